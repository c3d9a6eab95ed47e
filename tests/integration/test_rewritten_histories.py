"""Clients that rewrite what they send again, through the proxy: the model sees each thing once, and it is kept once."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, Proxy

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CLEARED = "[Old tool result content cleared]"


@dataclass(frozen=True)
class Api:
    """How one API says the things that these tests are about."""

    ask: Callable[[Proxy, str, list[Any]], object]
    picture: dict[str, Any]
    """A content part."""
    text_type: str
    tool_turn: Callable[[str], list[Any]]
    """What stands in a history after a question that the model called a tool for; takes the tool's result."""

    def with_picture(self, text: str) -> dict[str, Any]:
        return says("user", [self.picture, {"type": self.text_type, "text": text}])


def says(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def _chat(proxy: Proxy, user: str, messages: list[Any]) -> object:
    tool: Any = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}
    return proxy.openai(user).chat.completions.create(model=CHAT_MODEL, messages=messages, tools=[tool])


def _responses(proxy: Proxy, user: str, messages: list[Any]) -> object:
    tool: Any = {"type": "function", "name": "read", "parameters": {"type": "object"}, "strict": False}
    return proxy.openai(user).responses.create(model=CHAT_MODEL, input=messages, tools=[tool])


def _messages(proxy: Proxy, user: str, messages: list[Any]) -> object:
    tool: Any = {"name": "read", "input_schema": {"type": "object"}}
    return proxy.anthropic(user).messages.create(model=CLAUDE_MODEL, max_tokens=100, messages=messages, tools=[tool])


def _chat_tool_turn(result: str) -> list[Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]


def _responses_tool_turn(result: str) -> list[Any]:
    return [
        {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": result},
    ]


def _messages_tool_turn(result: str) -> list[Any]:
    return [
        says("assistant", [{"type": "tool_use", "id": "call_1", "name": "read", "input": {}}]),
        says("user", [{"type": "tool_result", "tool_use_id": "call_1", "content": result}]),
    ]


URL = f"data:image/png;base64,{PIXEL}"
APIS = {
    "chat": Api(_chat, {"type": "image_url", "image_url": {"url": URL}}, "text", _chat_tool_turn),
    "responses": Api(
        _responses, {"type": "input_image", "image_url": URL, "detail": "auto"}, "input_text", _responses_tool_turn
    ),
    "messages": Api(
        _messages,
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        "text",
        _messages_tool_turn,
    ),
}


@pytest.fixture(params=APIS.values(), ids=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    return request.param  # type: ignore[no-any-return]


def assert_nothing_shown_again(provider: Provider, *texts: str) -> None:
    body = provider.recorded[-1].json
    seen = str(body)
    assert "<earlier in this conversation," not in seen, f"all of it is among the messages: {seen}"
    assert {text: seen.count(text) for text in texts} == dict.fromkeys(texts, 1)


def context(number: int) -> str:
    return "### Context\n" + "".join(f"Line {line} of document {number}.\n" for line in range(150)) + "\n"


WRAPPINGS: dict[str, Callable[[int, str], str]] = {
    "retrieved text in front": lambda number, text: f"{context(number)}{text}",
    "retrieved text behind": lambda number, text: f"{text}\n\n{context(number)}",
    "a template": lambda number, text: f"Answer from this only.\n{context(number)}Question: {text}\nAnswer in English.",
    "quoted": lambda number, text: f'{context(number)}The visitor writes: "{text}"',
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_what_is_put_around_the_newest_message_only_is_neither_shown_again_nor_kept(
    proxy: Proxy, provider: Provider, user: str, api: Api, wrap: Callable[[int, str], str]
) -> None:
    questions = [f"What does clause {number} say?" for number in range(5)]
    answers = [f"Clause {number} is about rent." for number in range(5)]
    history: list[Any] = []
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        provider.answer(Answer(text=answer))
        api.ask(proxy, user, [*history, says("user", wrap(number, question))])
        assert_nothing_shown_again(provider, *questions[: number + 1], *answers[:number])
        history += [says("user", question), says("assistant", answer)]

    kept = [text for pair in zip(questions, answers, strict=True) for text in pair]
    kept[-2] = wrap(4, questions[4])  # the client has not sent it otherwise yet
    assert [text.strip() for text in Memory(proxy).only(user).texts] == [text.strip() for text in kept]


NORMALISED: dict[str, Callable[[str], str]] = {
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "white space": lambda text: "  ".join(text.split()) + " \n",
    "typography and marks": lambda text: text.replace("'", "\u2019").replace("*", "").replace("...", "…"),
}


@pytest.mark.parametrize("normalised", NORMALISED.values(), ids=NORMALISED)
def test_a_normalised_history_is_known_again(
    proxy: Proxy, provider: Provider, user: str, api: Api, normalised: Callable[[str], str]
) -> None:
    said = [
        unicodedata.normalize("NFD", "It's Zoë's *café*...\nand mine."),
        unicodedata.normalize("NFD", "*Très* bien."),
    ]
    provider.answer(Answer(text=said[1]), Answer(text="Yes."))
    api.ask(proxy, user, [says("user", said[0])])
    api.ask(
        proxy,
        user,
        [says("user", normalised(said[0])), says("assistant", normalised(said[1])), says("user", "Is it open?")],
    )
    assert_nothing_shown_again(provider, "Zo", "bien", "Is it open?")
    assert Memory(proxy).only(user).texts == [*said, "Is it open?", "Yes."]


def test_a_picture_that_is_left_out_later_is_no_other_message(
    proxy: Proxy, provider: Provider, user: str, api: Api
) -> None:
    provider.answer(Answer(text="A cat."), Answer(text="A dog."), Answer(text="The dog."))
    api.ask(proxy, user, [api.with_picture("What is on the first?")])
    history = [says("user", "What is on the first?"), says("assistant", "A cat.")]
    api.ask(proxy, user, [*history, api.with_picture("And on this one?")])
    assert_nothing_shown_again(provider, "What is on the first?", "A cat.")
    history += [says("user", "And on this one? [picture]"), says("assistant", "A dog.")]
    api.ask(proxy, user, [*history, says("user", "Which is older?")])
    assert_nothing_shown_again(provider, "A cat.", "And on this one?", "A dog.", "Which is older?")
    assert Memory(proxy).only(user).texts == [
        *("What is on the first?", "A cat.", "And on this one?", "A dog.", "Which is older?", "The dog.")
    ]


@pytest.mark.parametrize("steps", ["cleared", "left out"])
def test_a_tool_result_that_is_cleared_or_left_out_later_is_not_shown_again(
    proxy: Proxy, provider: Provider, user: str, api: Api, steps: str
) -> None:
    log = "Compiling module.\n" * 300 + "failed"
    question = says("user", "Why is the build red?")
    provider.answer(Answer(tool_calls=(ToolCall(name="read", id="call_1"),)), Answer(text="A test fails."))
    api.ask(proxy, user, [question])
    api.ask(proxy, user, [question, *api.tool_turn(log)])
    later = api.tool_turn(CLEARED) if steps == "cleared" else []
    history = [question, *later, says("assistant", "A test fails.")]
    provider.answer(Answer(text="test_x"), Answer(text="Yes."))
    api.ask(proxy, user, [*history, says("user", "Which one?")])
    assert_nothing_shown_again(provider, "Why is the build red?", "A test fails.", "Which one?")
    history += [says("user", "Which one?"), says("assistant", "test_x")]
    api.ask(proxy, user, [*history, says("user", "Sure?")])
    assert_nothing_shown_again(provider, "Why is the build red?", "A test fails.", "Which one?", "test_x")
    assert Memory(proxy).only(user).texts == [
        *("Why is the build red?", "", log, "A test fails.", "Which one?", "test_x", "Sure?", "Yes.")
    ]


def test_a_window_of_a_rewritten_history_leaves_only_its_beginning_to_be_shown(
    proxy: Proxy, provider: Provider, user: str, api: Api
) -> None:
    questions = [f"What does clause {number} say?" for number in range(4)]
    answers = ["Rent.", "Heating.", "Notice.", "Pets."]
    history: list[Any] = []
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        provider.answer(Answer(text=answer))
        api.ask(proxy, user, [*history[-2:], says("user", f"{context(number)}{question}")])
        history += [says("user", question), says("assistant", answer)]

    seen = str(provider.recorded[-1].json)
    opening, closing = seen.index("<earlier in this conversation,"), seen.rindex("</recallr_memory>")
    assert opening < seen.index("Rent.") < seen.index("Heating.") < closing, "what it does not send, in order"
    assert {text: seen.count(text) for text in answers} == {"Rent.": 1, "Heating.": 1, "Notice.": 1, "Pets.": 0}
    texts = Memory(proxy).only(user).texts
    assert texts[1::2] == answers
    assert texts[:6:2] == questions[:3], "without what stood around them"
