"""Chats of one user stay apart, whether their client names them or only sends their history."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.memory import SHORT, Memory
from tests.support.provider import Provider
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, Proxy, Reply

EARLIER, OTHER = "<earlier in this conversation", "<other open conversation"


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


def block(provider: Provider) -> str:
    text = provider.last.user_text
    return text[: text.index("</recallr_memory>")] if text.startswith("<recallr_memory ") else ""


class Tab:
    """A chat of a client that sends its whole history."""

    def __init__(self, proxy: Proxy, user: str, *before: tuple[str, str], **options: Any) -> None:
        self.proxy, self.user, self.options = proxy, user, options
        self.history: list[ChatCompletionMessageParam] = []
        for said, answered in before:
            self.history += [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]

    def say(self, text: str, **options: Any) -> Reply:
        self.history.append({"role": "user", "content": text})
        reply = self.proxy.ask(self.user, *self.history, **self.options, **options)
        self.history.append({"role": "assistant", "content": reply.text})
        return reply


def test_a_chat_with_a_history_of_its_own_is_shown_the_other_one_as_another(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    letter = Tab(proxy, user)
    first = letter.say("Draft a resignation letter to my boss")
    pancakes = Tab(proxy, user, ("Hi!", "Hello! How can I help?"))
    second = pancakes.say("Give me a pancake recipe")

    assert second.session_id != first.session_id
    assert EARLIER not in block(provider)
    assert "resignation" in block(provider).partition(OTHER)[2]
    assert memory.session(user, second.session_id).texts[0] == "Give me a pancake recipe", "its history is not stored"

    for tab, own, session in ((letter, "shorter", first), (pancakes, "thinner", second)) * 2:
        assert tab.say(f"Make it {own}").session_id == session.session_id
        assert EARLIER not in block(provider)
    assert not {"Make it shorter"} & set(memory.session(user, second.session_id).texts)
    assert not {"Make it thinner"} & set(memory.session(user, first.session_id).texts)


@pytest.mark.parametrize("order", ["abab", "aabb", "abba", "abaabbab"])
def test_chats_that_begin_without_a_name_part_once_their_histories_show_it(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, order: str
) -> None:
    topics = {"a": "letter", "b": "pancakes"}
    tabs = {name: Tab(proxy, user) for name in topics}
    sessions: dict[str, set[str]] = {name: set() for name in topics}
    for number, name in enumerate(order + "ab"):
        first = not tabs[name].history
        reply = tabs[name].say(f"{topics[name]} {number}")
        if not first:
            sessions[name].add(reply.session_id)
            assert EARLIER not in block(provider), f"{name} {number}: the client has sent its chat"
    assert [len(ids) for ids in sessions.values()] == [1, 1]
    assert sessions["a"] != sessions["b"]
    for name, topic in topics.items():
        said = memory.session(user, *sessions[name]).said
        assert [text for role, text in said if role == "user" and topic not in text] == []
        assert len(said) == len(tabs[name].history), "each message is kept once"


def test_a_client_names_its_chat(proxy: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    a1 = proxy.ask(user, "My cat is Felix.", conversation_id="chat a")
    b1 = proxy.ask(user, "My dog is Rex.", conversation_id="chat b")
    assert "My cat is Felix." in block(provider).partition(OTHER)[2]
    assert EARLIER not in block(provider)
    unnamed = proxy.ask(user, "My fish is Wanda.")
    a2 = proxy.ask(user, "He is grey.", conversation_id="chat a")
    earlier, _, other = block(provider).partition(OTHER)
    assert "My cat is Felix." in earlier.partition(EARLIER)[2]
    assert "Rex" in other
    assert "Wanda" in other

    assert a1.session_id == a2.session_id
    assert len({a1.session_id, b1.session_id, unnamed.session_id}) == 3
    assert proxy.ask(user, "And she is gold.", conversation_id="").session_id == unnamed.session_id, (
        "an empty one is none"
    )
    by_id = proxy.ask(user, "Rex barks.", conversation_id="chat a", session_id=b1.session_id)
    assert by_id.session_id == b1.session_id, "the id of a session wins"
    stranger = proxy.ask(f"other-{user}", "Who is in chat a?", conversation_id="chat a")
    assert stranger.session_id != a1.session_id
    assert "Felix" not in block(provider)
    assert [
        line
        for line in proxy.log.splitlines()
        if a2.headers["x-recallr-request-id"] in line and " chat=header " in line
    ]


def test_a_chat_whose_session_is_over_goes_on_in_a_new_one(proxy: Proxy, memory: Memory, user: str) -> None:
    first = proxy.ask(user, "One.", conversation_id="a", session_timeout_seconds=SHORT)
    beside = proxy.ask(user, "Two.", conversation_id="b")
    memory.wait_processed(user, first.session_id)
    assert proxy.ask(user, "Three.", conversation_id="a").session_id not in {first.session_id, beside.session_id}
    assert proxy.ask(user, "Four.", conversation_id="b").session_id == beside.session_id


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ({"X-OpenWebUI-Chat-Id": "{}"}, {}),
        ({"x-litellm-session-id": "{}"}, {}),
        ({"User-Agent": "codex_cli_rs/0.50", "session_id": "{}"}, {}),
        ({}, {"session_id": "{}"}),
        ({}, {"cursorConversationId": "{}"}),
    ],
    ids=["Open WebUI", "LiteLLM", "Codex", "LiteLLM, metadata", "Cursor"],
)
def test_the_ids_that_clients_send_anyway_name_chats(
    proxy: Proxy, provider: Provider, user: str, headers: dict[str, str], metadata: dict[str, str]
) -> None:
    def ask(chat: str, text: str) -> str:
        with proxy.openai(user) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=CHAT_MODEL,
                messages=[{"role": "user", "content": text}],
                extra_headers={name: value.format(chat) for name, value in headers.items()},
                extra_body={"metadata": {name: value.format(chat) for name, value in metadata.items()}}
                if metadata
                else {},
            )
        return raw.headers["x-recallr-session-id"]

    chats = "chat-0123456789a", "chat-0123456789b"
    a1, b1 = ask(chats[0], "My cat is Felix."), ask(chats[1], "My dog is Rex.")
    assert EARLIER not in block(provider)
    assert ask(chats[0], "He is grey.") == a1 != b1
    assert "Felix" in block(provider).partition(EARLIER)[2].partition(OTHER)[0]
    assert proxy.ask(user, "Who am I?").session_id not in {a1, b1}


@pytest.mark.parametrize(
    "form", ["user_5e_account__session_{}", '{{"device_id": "5e", "session_id": "{}"}}'], ids=["old", "new"]
)
def test_a_session_of_claude_code_is_a_chat(proxy: Proxy, user: str, form: str) -> None:
    def ask(chat: str, text: str) -> str:
        with proxy.anthropic(user) as client:
            raw = client.messages.with_raw_response.create(
                model=CLAUDE_MODEL,
                max_tokens=100,
                messages=[{"role": "user", "content": text}],
                metadata={"user_id": form.format(chat)},
            )
        return raw.headers["x-recallr-session-id"]

    a, b = "11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-666666666666"
    a1, b1 = ask(a, "Fix the build."), ask(b, "Write the changelog.")
    assert ask(a, "Now the tests.") == a1 != b1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_responses_go_on_in_the_chat_that_they_name(proxy: Proxy, provider: Provider, user: str, stream: bool) -> None:
    def respond(given: str, **request: Any) -> tuple[str, str]:
        with proxy.openai(user) as client:
            create = client.responses.with_raw_response.create
            if stream:
                raw: Any = create(model=CHAT_MODEL, input=given, stream=True, **request)
                response = list(raw.parse())[-1].response
            else:
                raw = create(model=CHAT_MODEL, input=given, **request)
                response = raw.parse()
        return response.id, raw.headers["x-recallr-session-id"]

    a1, in_a = respond("My cat is Felix.")
    elsewhere = proxy.ask(user, "My dog is Rex.", conversation_id="b")
    _, in_c = respond("My fish is Wanda.", conversation="conv_c")
    proxy.ask(user, "Let us begin again", conversation_id="d")
    a2, still_in_a = respond("He is grey.", previous_response_id=a1)
    assert len({in_a, elsewhere.session_id, in_c}) == 3
    assert still_in_a == in_a
    assert respond("She is gold.", conversation={"id": "conv_c"})[1] == in_c
    assert respond("And old.", previous_response_id=a2)[1] == in_a
    assert respond("Who else?", previous_response_id="resp_" + "f" * 32)[1] == in_a, "an unknown one is no error"
