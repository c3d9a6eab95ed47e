"""Which session a request belongs to, and what the model is shown of the user's open sessions."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded
from tests.support.proxy import CHAT_MODEL, OTHER_API_KEY, OTHER_PROJECT, Proxy

UNKNOWN_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


def refused(proxy: Proxy, user: str, **options: object) -> openai.NotFoundError:
    """The 404 that this request is answered with."""
    with pytest.raises(openai.NotFoundError) as refusal:
        proxy.ask(user, f"Hello from {user}.", **options)
    return refusal.value


def block_of(request: Recorded) -> str:
    """The memory block of a request, "" if it has none."""
    text = request.user_text
    return text[: text.index("</recallr_memory>")] if text.startswith("<recallr_memory ") else ""


def assert_each_once(request: Recorded, *texts: str) -> None:
    """The model sees each of these exactly once, in the block or among the messages."""
    seen = request.body.decode()
    counts = {text: seen.count(text) for text in texts}
    assert set(counts.values()) == {1}, f"the model should see each of these once, not {counts}: {seen}"


def test_an_unknown_user_is_refused_with_a_hint(proxy: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    error = refused(proxy, user, allow_new_user_creation=False)

    assert (error.type, error.code, error.param) == ("not_found_error", "user_not_found", "X-Recallr-User-Id")
    assert "X-Recallr-Allow-New-User-Creation: true" in error.message, "the answer says how to allow it"
    assert provider.chats(user) == [], "the model is not called"
    assert not memory.user_known(user), "and the user is not made"

    refused(proxy, user, allow_new_user_creation=None)  # the default is not to create
    proxy.ask(user, "Hello.")
    proxy.ask(user, "Hello again.", allow_new_user_creation=False)
    assert memory.only(user).texts.count("Hello again.") == 1, "once created, the user is known"
    error = refused(proxy, user, allow_new_user_creation=False, project_id=OTHER_PROJECT, api_key=OTHER_API_KEY)
    assert error.code == "user_not_found", "in another project it is another user"


def test_a_session_goes_on_until_it_was_quiet_for_its_timeout(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    first = proxy.ask(user, "One.", session_timeout_seconds=600)
    second = proxy.ask(user, "Two.", stream=True, session_timeout_seconds=SHORT)
    memory.wait_processed(user, second.session_id)
    third = proxy.ask(user, "Three.")

    assert first.session_id == second.session_id
    assert third.session_id != first.session_id, "its time was up: a new session"
    assert memory.only(user).texts[0] == "Three."


async def test_concurrent_first_requests_make_one_session(proxy: Proxy, provider: Provider, user: str) -> None:
    async with proxy.async_openai(user) as client:
        answers = await asyncio.gather(
            *[
                client.chat.completions.with_raw_response.create(
                    model=CHAT_MODEL, messages=[{"role": "user", "content": f"This is number {number}."}]
                )
                for number in range(20)
            ]
        )

    assert len({answer.headers["x-recallr-session-id"] for answer in answers}) == 1
    [status, *others] = {answer.headers["x-recallr-memory-status"].partition(";")[0] for answer in answers}
    assert not others or {status, *others} == {"ok", "empty"}, "no request went without its memory"
    kept = await asyncio.to_thread(lambda: Memory(proxy).only(user))
    asked = sorted(text for role, text in kept.said if role == "user")
    assert asked == sorted(f"This is number {number}." for number in range(20)), "each question is kept once"
    replies = sorted(text for role, text in kept.said if role == "assistant")
    assert replies == sorted(f'You said: "This is number {number}.".' for number in range(20)), "and each answer"


def test_an_open_session_is_continued_by_its_id(proxy: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    first = proxy.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
    memory.wait_processed(user, first.session_id)
    second = proxy.ask(user, "My dog is called Rex.")

    again = proxy.ask(user, "And my fish is called Wanda.", session_id=second.session_id)
    assert again.session_id == second.session_id
    back = proxy.ask(user, "Felix is grey.", session_id=first.session_id, session_timeout_seconds=600)
    assert back.session_id == first.session_id, "a processed session is reopened"
    assert memory.session(user, first.session_id).said == [
        ("user", "My cat is called Felix."),
        ("assistant", 'You said: "My cat is called Felix.".'),
        ("user", "Felix is grey."),
        ("assistant", 'You said: "Felix is grey.".'),
    ]
    block = block_of(provider.last)
    assert block.index("<earlier in this conversation") < block.index("Felix.") < block.index("<other open conver")
    assert proxy.ask(user, "Hm.").session_id == first.session_id, "the session last continued is the current one"


def test_another_open_session_is_recalled_verbatim(proxy: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    provider.answer(Answer(text="A fine name."), Answer(text="Noted."))
    first = proxy.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
    memory.wait_processed(user, first.session_id)
    second = proxy.ask(user, "The wifi password is 'hunter2 & <more>'.")
    proxy.ask(user, "zzz", session_id=first.session_id, session_timeout_seconds=600)

    block = block_of(provider.last)
    other = block[block.index("<other open conversation") :]
    assert "The wifi password is 'hunter2 & <more>'." in other, "word for word, though it is not processed"
    assert "Noted." in other
    assert_each_once(provider.last, "My cat is called Felix.", "A fine name.", "wifi password", "Noted.")
    assert {kept.id for kept in memory.sessions(user)} == {first.session_id, second.session_id}


def test_unknown_sessions_and_those_of_others_are_answered_alike(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    proxy.ask(user, "Hello.")
    theirs = proxy.ask(f"other-{user}", "Hello.")
    processed = proxy.ask(f"third-{user}", "I keep bees.", session_timeout_seconds=SHORT)
    memory.wait_processed(f"third-{user}", processed.session_id)

    ids = [UNKNOWN_ID, "no id at all", theirs.session_id, processed.session_id]
    errors = [refused(proxy, user, session_id=id) for id in ids]

    assert [error.body for error in errors] == [errors[0].body] * len(ids), "nothing tells whose session it is"
    assert (errors[0].code, errors[0].param) == ("session_not_found", "X-Recallr-Session-Id")
    assert provider.chats(user) == [], "the model is not called"
    with_key = refused(proxy, user, session_id=theirs.session_id, project_id=OTHER_PROJECT, api_key=OTHER_API_KEY)
    assert with_key.body == errors[0].body, "nor across projects"


def test_whatever_window_of_its_history_a_client_sends_the_model_sees_all_of_it_once(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    window = 2  # messages of three that are shown besides the last
    history: list[ChatCompletionMessageParam] = []
    for number, text in enumerate(["My cat is Felix.", "My dog is Rex.", "And who is Wanda?"]):
        history.append({"role": "user", "content": text})
        provider.answer(Answer(text=f"Reply {number}."))
        reply = proxy.ask(user, *history[-window:])
        history.append({"role": "assistant", "content": reply.text})

    assert_each_once(provider.last, "My cat is Felix.", "Reply 0.", "My dog is Rex.", "Reply 1.", "And who is Wanda?")
    sent = history[:-1][-window:]
    received = provider.last.messages[-len(sent) :]
    assert received[:-1] == sent[:-1], "what the client sent, the model gets as sent"
    assert received[-1]["content"].endswith("And who is Wanda?")


def test_the_last_messages_and_summaries_come_when_asked_for(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    for text in ("I work as a beekeeper in Ljubljana.", "My sister Ana plays the cello in an orchestra."):
        reply = proxy.ask(user, text, session_timeout_seconds=SHORT)
        memory.wait_processed(user, reply.session_id)

    proxy.ask(user, "?!")  # nothing to search for: what comes now was asked for by header
    assert block_of(provider.last) == ""
    proxy.ask(user, "?!", last_n_user_messages=1, session_timeout_seconds=600)
    block = block_of(provider.last)
    assert "<recent messages" in block
    assert "cello" in block
    assert "beekeeper" not in block, "one was asked for"
    assert "<recent summaries" not in block
    proxy.ask(user, "?!", last_n_user_messages=5)
    block = block_of(provider.last)
    assert block.index("beekeeper") < block.index("cello"), "oldest first"
    proxy.ask(user, "?!", last_n_summaries=1)
    block = block_of(provider.last)
    assert "<recent summaries" in block
    assert "cello" in block
    assert "beekeeper" not in block
    assert "<recent messages" not in block
