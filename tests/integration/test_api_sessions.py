"""Sessions by the API are those of chats: what one makes, the other continues."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from recallrai.exceptions import InvalidSessionStateError, SessionNotFoundError
from recallrai.models import MessageRole, SessionStatus
from recallrai.session import Session

from tests.support.api import call, sdk
from tests.support.memory import Memory
from tests.support.provider import Provider
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

USER, ASSISTANT = MessageRole.USER, MessageRole.ASSISTANT
BLOCK_ENDS = "</recallr_memory>"


def texts(session: Session) -> list[tuple[str, str]]:
    """(role, content) of each message."""
    return [(message.role.value, message.content) for message in session.get_messages(limit=200).messages]


def process(session: Session) -> None:
    """Have it processed, and wait until it is."""
    session.process()
    wait_processed(session)


def wait_processed(session: Session) -> None:
    def status() -> SessionStatus:
        session.refresh()
        return session.status

    eventually(status, "the session is processed", until=lambda found: found is SessionStatus.PROCESSED)


def test_a_session_goes_through_its_states(proxy: Proxy, user: str) -> None:
    person = sdk(proxy).create_user(user)
    session = person.create_session(metadata={"channel": "mail", "tags": ["a", 1, None]})
    assert (session.status, session.metadata) == (SessionStatus.PENDING, {"channel": "mail", "tags": ["a", 1, None]})

    session.add_message(USER, "I keep bees in Ghent.")
    session.add_message(ASSISTANT, "How many hives?")
    assert texts(session) == [("user", "I keep bees in Ghent."), ("assistant", "How many hives?")]
    session.process()
    with pytest.raises(InvalidSessionStateError):
        session.process()
    with pytest.raises(InvalidSessionStateError, match="Cannot add a message"):
        session.add_message(USER, "Too late.")
    wait_processed(session)
    assert session.metadata["channel"] == "mail", "what was noted goes along"
    assert texts(session) == [("user", "I keep bees in Ghent."), ("assistant", "How many hives?")]
    with pytest.raises(InvalidSessionStateError, match="processed"):
        session.add_message(USER, "Too late.")
    session.update({"channel": "phone"})
    assert person.get_session(session.session_id).metadata == {"channel": "phone"}, "also of a processed one"


def test_a_session_without_messages_stays(proxy: Proxy, user: str) -> None:
    session = sdk(proxy).create_user(user).create_session(metadata={"kind": "empty"})

    process(session)

    assert (session.metadata, texts(session)) == ({"kind": "empty"}, [])


def test_a_chat_goes_on_with_a_session_of_the_api_and_the_other_way_round(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    person = sdk(proxy).create_user(user)
    session = person.create_session()
    session.add_message(USER, "My cat is called Felix.")
    session.add_message(ASSISTANT, "A fine name.")

    proxy.ask(user, "Is he old?", session_id=session.session_id)

    shown = provider.last.user_text
    assert "My cat is called Felix." in shown[: shown.index(BLOCK_ENDS)], "the model is shown what the client left out"
    expected = [
        ("user", "My cat is called Felix."),
        ("assistant", "A fine name."),
        ("user", "Is he old?"),
        ("assistant", 'You said: "Is he old?".'),
    ]
    assert texts(session) == expected

    chat = proxy.ask(user, "I moved to Ghent.")
    continued = person.get_session(chat.session_id)
    continued.add_message(USER, "In May.")
    assert texts(continued)[-1] == ("user", "In May.")
    assert texts(continued)[-3] == ("user", "I moved to Ghent.")
    messages = [message.content for message in person.get_last_n_messages(100).messages]
    assert sorted(messages) == sorted({text for _, text in (*expected, *texts(continued))}), "each once, over all"


def test_a_session_of_the_past_is_recalled_with_its_date(proxy: Proxy, provider: Provider, user: str) -> None:
    then = datetime(2021, 3, 5, 9, 30, tzinfo=UTC)
    session = sdk(proxy).create_user(user).create_session(custom_created_at_utc=then)
    assert session.created_at == then
    session.add_message(USER, "I adopted a greyhound named Pixel.")
    session.add_message(ASSISTANT, "Congratulations!")
    stamps = [message.timestamp for message in session.get_messages().messages]
    assert stamps == sorted(stamps)
    assert {stamp.date() for stamp in stamps} == {then.date()}
    process(session)
    assert session.created_at == then

    proxy.ask(user, "What is my greyhound named?")

    block = provider.last.user_text.partition(BLOCK_ENDS)[0]
    assert "Pixel" in block
    assert "5 Mar 2021" in block, block


def test_sessions_are_listed_the_last_used_first_and_filtered(proxy: Proxy, user: str) -> None:
    person = sdk(proxy).create_user(user)
    made = [person.create_session(metadata={"number": number, "even": number % 2 == 0}) for number in range(6)]
    for number, session in enumerate(made):
        session.add_message(USER, f"This is number {number}.")
    for session in made[:3]:
        process(session)

    def numbers(**options: object) -> list[int]:
        return [session.metadata["number"] for session in person.list_sessions(**options).sessions]

    everything = person.list_sessions(limit=4)
    assert (everything.total, everything.has_more) == (6, True)
    assert [session.metadata["number"] for session in everything.sessions] == [5, 4, 3, 2]
    rest = person.list_sessions(offset=4, limit=4)
    assert (rest.total, rest.has_more) == (6, False)
    assert [session.metadata["number"] for session in rest.sessions] == [1, 0]
    assert numbers(metadata_filter={"even": True}) == [4, 2, 0]
    assert numbers(metadata_filter={"even": True, "number": 2}) == [2]
    assert numbers(status_filter=[SessionStatus.PROCESSED]) == [2, 1, 0]
    assert numbers(status_filter=[SessionStatus.PENDING], metadata_filter={"even": False}) == [5, 3]
    assert numbers(status_filter=[SessionStatus.FAILED]) == []


def test_a_chats_message_does_not_go_into_a_session_of_the_api_unasked(proxy: Proxy, user: str) -> None:
    session = sdk(proxy).create_user(user).create_session()

    chat = proxy.ask(user, "Hello.")

    assert chat.session_id != session.session_id
    assert texts(session) == []


def test_a_user_is_made_once_by_a_repeated_request(proxy: Proxy, user: str) -> None:
    body = {"custom_user_id": user, "metadata": {"plan": "pro"}}

    def create(_: int) -> int:
        return call(proxy, "POST", "/users", body=body, idempotency_key="make").status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(create, range(8))) == {201}
    assert call(proxy, "POST", "/users", body=body, idempotency_key="other").status_code == 409
    assert call(proxy, "POST", "/users", body=body).status_code == 409


def test_a_repeated_request_is_done_once(proxy: Proxy, user: str) -> None:
    sdk(proxy).create_user(user)
    path = f"/users/{user}/sessions"

    def create(_: int) -> str:
        return str(call(proxy, "POST", path, body={}, idempotency_key="make").json()["session_id"])

    with ThreadPoolExecutor(8) as threads:
        [id] = set(threads.map(create, range(8)))
        message = {"role": "user", "message": "I keep bees."}

        def add(_: int) -> str:
            return str(call(proxy, "POST", f"{path}/{id}/add-message", body=message, idempotency_key="add").text)

        assert len(set(threads.map(add, range(8)))) == 1
    call(proxy, "POST", f"{path}/{id}/add-message", body=message)
    call(proxy, "POST", f"{path}/{id}/add-message", body={**message, "message": "And hens."}, idempotency_key="add")
    session = sdk(proxy).get_user(user).get_session(id)
    assert [text for _, text in texts(session)] == ["I keep bees.", "I keep bees.", "And hens."]
    answers = [call(proxy, "POST", f"{path}/{id}/process", idempotency_key="end").status_code for _ in range(2)]
    assert answers == [200, 200]
    wait_processed(session)
    repeated = call(proxy, "POST", f"{path}/{id}/add-message", body=message, idempotency_key="add")
    assert repeated.status_code == 200, "it was added, so a repetition is told so"
    assert call(proxy, "POST", f"{path}/{id}/process", idempotency_key="end").status_code == 200
    assert call(proxy, "POST", f"{path}/{id}/process", idempotency_key="other").status_code == 400


def test_many_at_once_write_each_message_once_in_an_order(proxy: Proxy, user: str) -> None:
    session = sdk(proxy).create_user(user).create_session()

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda number: session.add_message(USER, f"Number {number}."), range(60)))

    page = session.get_messages(offset=0, limit=200)
    assert page.total == 60
    assert sorted(message.content for message in page.messages) == sorted(f"Number {number}." for number in range(60))
    halves = [session.get_messages(offset=at, limit=30) for at in (0, 30)]
    assert [half.has_more for half in halves] == [True, False]
    assert [message for half in halves for message in half.messages] == page.messages


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"auto_process_after_seconds": 0}, "auto_process_after_seconds"),
        ({"auto_process_after_seconds": 10**12}, "auto_process_after_seconds"),
        ({"custom_created_at_utc": "2021-03-05T09:30:00"}, "custom_created_at_utc"),
        ({"custom_created_at_utc": "2999-03-05T09:30:00Z"}, "custom_created_at_utc"),
        ({"custom_created_at_utc": "0001-01-01T00:00:00Z"}, "custom_created_at_utc"),
        ({"metadata": ["no object"]}, "metadata"),
        ({"metadata": {"large": "x" * 20_000}}, "metadata"),
    ],
)
def test_a_session_that_cannot_be_made_is_refused_by_name(
    proxy: Proxy, user: str, body: dict[str, object], field: str
) -> None:
    sdk(proxy).create_user(user)

    response = call(proxy, "POST", f"/users/{user}/sessions", body=body)

    assert response.status_code == 422, response.text
    assert response.json()["detail"].startswith(f"{field}: "), response.text


def test_an_unknown_session_is_none(proxy: Proxy, user: str) -> None:
    person = sdk(proxy).create_user(user)
    theirs = sdk(proxy).create_user(f"other-{user}").create_session()

    for id in (theirs.session_id, "0" * 32, "no id at all"):
        with pytest.raises(SessionNotFoundError, match=f"Session {id} not found"):
            person.get_session(id)
    assert Memory(proxy).sessions(user) == []
