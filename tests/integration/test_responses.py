"""Memory through the Responses API, with OpenAI's SDK: to a provider that speaks it, and to those that do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import BRIDGED_MODEL, CHAT_MODEL, Proxy

FAKED_MODEL = "openai/in-no-cost-map"
"""LiteLLM takes it for one that cannot stream: asks for a whole answer and makes the events itself."""
MODELS = {"native": CHAT_MODEL, "faked stream": FAKED_MODEL, "bridged": BRIDGED_MODEL}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])

OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
OWN = "You are a travel agent. Ünïcode 🦊."
TOOLS: list[Any] = [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}]


@pytest.fixture(scope="module")
def gateway(proxy: Proxy) -> Proxy:
    return proxy


@pytest.fixture
def memory(gateway: Proxy) -> Memory:
    return Memory(gateway)


@dataclass(frozen=True)
class Answered:
    """What a client gets."""

    response: Any
    headers: httpx.Headers
    events: tuple[Any, ...] = ()

    @property
    def output(self) -> list[Any]:
        """The items as a client sends them back."""
        return list(self.response.output)

    @property
    def session_id(self) -> str:
        return self.headers["x-recallr-session-id"]


def respond(
    gateway: Proxy, who: str | None, given: Any, *, stream: bool = False, options: Any = None, **request: Any
) -> Answered:
    """One request through the SDK; `options` are Recallr headers."""
    with gateway.openai(who, **(options or {})) as client:
        create = client.responses.with_raw_response.create
        request = {"model": CHAT_MODEL, "input": given, **request}
        if not stream:
            raw = create(**request)
            return Answered(raw.parse(), raw.headers)
        raw = create(**request, stream=True)
        events = tuple(raw.parse())
        return Answered(events[-1].response, raw.headers, events)


def asked(provider: Provider) -> list[dict[str, Any]]:
    """The bodies of the responses requests that have reached the provider."""
    return [request.json for request in provider.recorded if request.path == "/v1/responses"]


def parted(text: str) -> tuple[str, str]:
    """The memory block at the start of a message, and the words after it. Fails the test if there is none."""
    assert text.startswith(OPENING), f"the message should begin with the memory block: {text!r}"
    block, closing, words = text.partition(CLOSING)
    return block + closing, words


def remember(gateway: Proxy, user: str, text: str) -> None:
    """Let the user say this in a session that is over and processed."""
    answered = respond(gateway, user, text, options={"session_timeout_seconds": SHORT})
    Memory(gateway).wait_processed(user, answered.session_id)


def result_of(call: Any) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 20 °C"}


@every_model
@whole_and_streamed
def test_text_and_calls_of_one_answer_are_stored_once_as_one_message(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, model: str, stream: bool
) -> None:
    calls = [ToolCall(id=f"call_{n}", name="weather", arguments=f'{{"city":"{n}"}}') for n in ("Oslo", "Rome")]
    provider.answer(Answer(text="Let me look.", tool_calls=tuple(calls)), Answer(text="Sun."), Answer(text="Bye."))
    given: list[Any] = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "The weather?"}]
    for number in range(3):
        answered = respond(gateway, user, given, model=model, stream=stream, tools=TOOLS)
        given += answered.output  # as OpenAI's guides tell clients to do
        given += [result_of(call) for call in answered.output if call.type == "function_call"]
        given += [{"role": "user", "content": "Thanks."}] if number == 1 else []

    kept = [stored.message for stored in memory.only(user).messages]
    assert [(message.role, message.text) for message in kept] == [
        ("user", "The weather?"),
        ("assistant", "Let me look."),
        ("tool", "sunny, 20 °C"),
        ("tool", "sunny, 20 °C"),
        ("assistant", "Sun."),
        ("user", "Thanks."),
        ("assistant", "Bye."),
    ]
    assert [(call.id, call.name, json.loads(call.arguments)["city"]) for call in kept[1].tool_calls] == [
        ("call_Oslo", "weather", "Oslo"),
        ("call_Rome", "weather", "Rome"),
    ]
    assert [message.tool_call_id for message in kept[2:4]] == ["call_Oslo", "call_Rome"]


def test_parts_and_settings_pass_through_untouched(gateway: Proxy, provider: Provider, user: str) -> None:
    respond(gateway, user, "My cat is called Felix.")
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "detail": "low"},
    ]
    settings = {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "truncation": "auto",
        "metadata": {"a": "b"},
    }
    respond(gateway, user, [{"type": "message", "role": "user", "content": parts}], **settings)

    body = asked(provider)[-1]
    [message] = body["input"]
    block, *rest = message["content"]
    assert rest == parts
    assert (block["type"], parted(block["text"])[1].strip()) == ("input_text", "")
    assert {key: body[key] for key in settings} == settings


@whole_and_streamed
def test_in_a_chain_nothing_piles_up_in_what_the_provider_keeps(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, stream: bool
) -> None:
    remember(gateway, user, "My cat Felix loves the sea.")
    provider.clear()
    answered = respond(gateway, user, "Where could I go with my cat Felix?", stream=stream)
    for given in ("And what can my cat eat there?", [{"role": "user", "content": "Any shellfish for my cat?"}]):
        before = provider.recorded[-1]
        previous = answered.response.id
        answered = respond(gateway, user, given, stream=stream, instructions=OWN, previous_response_id=previous)
        body = asked(provider)[-1]
        assert body["input"] == given, "what the client sent, and nothing of ours: the provider keeps it"
        assert body["previous_response_id"].startswith("resp_0"), "LiteLLM has made the provider's own id of it"
        system, block = body["instructions"].split(f"\n\n{OPENING}")
        assert system.startswith(f"{OWN}\n\n{INSTRUCTIONS}")
        assert block.endswith(CLOSING), "memory is behind the instructions, which hold for this response only"
        assert "Felix loves the sea." in block
        assert "earlier in this conversation" not in block, "the provider itself shows the model what it keeps"
        assert before is not provider.recorded[-1]
        assert answered.headers["x-recallr-memory-status"] == "ok"

    inputs = [json.dumps(body["input"]) for body in asked(provider)]
    assert [OPENING in given for given in inputs] == [True, False, False], "only a turn without a chain has it there"
    assert [role for role, _ in memory.only(user).said] == ["user", "assistant"] * 3
    assert memory.only(user).texts[::2] == [
        "Where could I go with my cat Felix?",
        "And what can my cat eat there?",
        "Any shellfish for my cat?",
    ]


@pytest.mark.parametrize("wrapped", [False, True], ids=["in the body", "in the extra body"])
def test_a_conversation_that_the_provider_keeps_gets_nothing_of_ours(
    gateway: Proxy, provider: Provider, user: str, wrapped: bool
) -> None:
    respond(gateway, user, "My cat is called Felix.")
    conversation: dict[str, Any] = {"conversation": "conv_1"}
    extra = {"extra_body": conversation} if wrapped else conversation
    respond(gateway, user, "What is my cat called?", extra_body=extra)

    body = asked(provider)[-1]
    assert body.get("conversation") == ("conv_1" if wrapped else None), "LiteLLM passes it on in the extra body only"
    assert body["input"] == "What is my cat called?"
    assert body["instructions"].startswith(INSTRUCTIONS)


BLOCK_MADE_ANEW: list[dict[str, object]] = [{}, {"timezone": "Asia/Tokyo"}, {"last_n_user_messages": 5, "min_top_k": 0}]
"""Headers of the requests of one turn. With them, a block that is made anew is another."""


@whole_and_streamed
def test_in_a_tool_turn_of_a_chain_the_model_sees_the_block_once_and_unchanged(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, stream: bool
) -> None:
    remember(gateway, user, "I live in Oslo and dislike rain.")
    provider.clear()
    asks_for_weather = Answer(tool_calls=(ToolCall(name="weather"),))
    previous: dict[str, str] = {}
    for words in ("Is the weather fine where I live?", "And tomorrow, where I live?"):
        provider.answer(asks_for_weather, asks_for_weather, Answer(text="Dry."))
        given: Any = words
        for options in BLOCK_MADE_ANEW:
            answered = respond(gateway, user, given, stream=stream, tools=TOOLS, options=options, **previous)
            assert answered.headers["x-recallr-memory-status"] == "ok", f"{words} {options}"
            previous = {"previous_response_id": answered.response.id}
            given = [result_of(call) for call in answered.output if call.type == "function_call"]

    opening, chained = asked(provider)[:3], asked(provider)[3:]
    assert "Oslo" in parted(opening[0]["input"])[0]
    assert OPENING not in opening[0]["instructions"].removeprefix(INSTRUCTIONS)
    assert chained[0]["input"] == "And tomorrow, where I live?"
    assert "Oslo" in chained[0]["instructions"]
    for turn in (opening, chained):
        assert len({request["instructions"] for request in turn}) == 1, "the same bytes in each request of a turn"
        for request in turn[1:]:
            assert [item["type"] for item in request["input"]] == ["function_call_output"], "as the client sent it"
    said = [stored.message for stored in memory.only(user).messages]
    assert [message.role for message in said] == ["user", "assistant", "tool", "assistant", "tool", "assistant"] * 2


def test_in_the_instructions_the_block_is_said_in_every_request_of_a_turn(
    into_system: Proxy, provider: Provider, user: str
) -> None:
    respond(into_system, user, "I live in Oslo and dislike rain.")
    asks_for_weather = Answer(tool_calls=(ToolCall(name="weather"),))
    provider.answer(asks_for_weather, asks_for_weather)
    first = respond(into_system, user, "Is the weather fine where I live?", tools=TOOLS)
    given = [result_of(first.output[0])]
    respond(into_system, user, given, tools=TOOLS, previous_response_id=first.response.id, options=BLOCK_MADE_ANEW[1])

    opening, going_on = asked(provider)[-2:]
    assert opening["input"] == "Is the weather fine where I live?"
    assert going_on["input"] == given
    assert "Oslo" in opening["instructions"].partition(OPENING)[2]
    assert going_on["instructions"] == opening["instructions"], "instructions do not outlast their response"


def begin(gateway: Proxy, user: str, until: str, *, model: str = CHAT_MODEL) -> tuple[Any, httpx.Headers]:
    """Ask for a stream and read it up to these words. The connection is open still."""
    raw = gateway.openai(user).responses.with_raw_response.create(model=model, input="Count to four.", stream=True)
    stream = raw.parse()
    received = ""
    while received != until:
        event = next(stream)
        received += event.delta if event.type == "response.output_text.delta" else ""
    return stream, raw.headers


@whole_and_streamed
def test_a_request_without_our_headers_is_as_if_the_plugin_were_not_there(
    gateway: Proxy, plain_proxy: Proxy, provider: Provider, memory: Memory, user: str, stream: bool
) -> None:
    request = {"instructions": OWN, "user": user, "tools": TOOLS, "store": False, "previous_response_id": "resp_1"}
    given = [{"role": "user", "content": [{"type": "input_text", "text": "Ünïcode 🦊."}]}]
    with_plugin = respond(gateway, None, given, stream=stream, **request)
    respond(plain_proxy, None, given, stream=stream, **request)

    ours, plain = provider.recorded
    assert ours.body == plain.body
    assert not any("recallr" in name for name in with_plugin.headers)
    assert not memory.user_known(user)


def told(answered: Answered) -> list[dict[str, Any]]:
    """The events as the client got them, without what differs from one request to the next: ids and times; the number
    of tokens; and `instructions`, which the provider says back."""

    def same(value: Any) -> Any:
        if isinstance(value, dict):
            varying = ("id", "item_id", "call_id", "created_at", "completed_at", "usage", "instructions")
            return {key: same(inner) for key, inner in value.items() if key not in varying}
        return [same(inner) for inner in value] if isinstance(value, list) else value

    return [same(event.model_dump()) for event in answered.events]


@every_model
def test_the_client_gets_the_same_events_with_memory_and_without(
    gateway: Proxy, provider: Provider, user: str, model: str
) -> None:
    answer = Answer(text="Let me look — 🦊.", tool_calls=(ToolCall(name="weather", arguments='{"city": "Oslo"}'),))
    respond(gateway, user, "I live in Oslo.", model=model)
    provider.answer(answer, answer)
    remembered, plain = (
        respond(gateway, who, "The weather where I live?", model=model, stream=True, tools=TOOLS)
        for who in (user, None)
    )

    assert remembered.headers["x-recallr-memory-status"] == "ok"
    assert told(remembered) == told(plain)
    kinds = [event.type for event in remembered.events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [item.type for item in remembered.output] == ["message", "function_call"]
    said = "".join(event.delta for event in remembered.events if event.type == "response.output_text.delta")
    assert said == remembered.response.output_text == answer.text
