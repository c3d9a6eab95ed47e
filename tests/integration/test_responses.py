"""Memory through the Responses API, with OpenAI's SDK: to a provider that speaks it, and to those that do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.memory import Memory, remember
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import BRIDGED_MODEL, CHAT_MODEL, Proxy
from tests.support.shown import CLOSING, OPENING, leading_block

FAKED_MODEL = "openai/in-no-cost-map"
"""LiteLLM takes it for one that cannot stream: asks for a whole answer and makes the events itself."""
MODELS = {"native": CHAT_MODEL, "faked stream": FAKED_MODEL, "bridged": BRIDGED_MODEL}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])

INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
OWN = "You are a travel agent. Ünïcode 🦊."
TOOLS: list[Any] = [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}]


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
    proxy: Proxy, who: str | None, given: Any, *, stream: bool = False, options: Any = None, **request: Any
) -> Answered:
    """One request through the SDK; `options` are Recallr headers."""
    with proxy.openai(who, **(options or {})) as client:
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


def result_of(call: Any) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 20 °C"}


@whole_and_streamed
def test_in_a_chain_nothing_piles_up_in_what_the_provider_keeps(
    proxy: Proxy, provider: Provider, user: str, stream: bool
) -> None:
    remember(proxy, user, "My cat Felix loves the sea.")
    provider.clear()
    answered = respond(proxy, user, "Where could I go with my cat Felix?", stream=stream)
    for given in ("And what can my cat eat there?", [{"role": "user", "content": "Any shellfish for my cat?"}]):
        before = provider.recorded[-1]
        previous = answered.response.id
        answered = respond(proxy, user, given, stream=stream, instructions=OWN, previous_response_id=previous)
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
    assert [role for role, _ in Memory(proxy).only(user).said] == ["user", "assistant"] * 3
    assert Memory(proxy).only(user).texts[::2] == [
        "Where could I go with my cat Felix?",
        "And what can my cat eat there?",
        "Any shellfish for my cat?",
    ]


BLOCK_MADE_ANEW: list[dict[str, object]] = [{}, {"timezone": "Asia/Tokyo"}, {"last_n_user_messages": 5, "min_top_k": 0}]
"""Headers of the requests of one turn. With them, a block that is made anew is another."""


@whole_and_streamed
def test_in_a_tool_turn_of_a_chain_the_model_sees_the_block_once_and_unchanged(
    proxy: Proxy, provider: Provider, user: str, stream: bool
) -> None:
    remember(proxy, user, "I live in Oslo and dislike rain.")
    provider.clear()
    asks_for_weather = Answer(tool_calls=(ToolCall(name="weather"),))
    previous: dict[str, str] = {}
    for words in ("Is the weather fine where I live?", "And tomorrow, where I live?"):
        provider.answer(asks_for_weather, asks_for_weather, Answer(text="Dry."))
        given: Any = words
        for options in BLOCK_MADE_ANEW:
            answered = respond(proxy, user, given, stream=stream, tools=TOOLS, options=options, **previous)
            assert answered.headers["x-recallr-memory-status"] == "ok", f"{words} {options}"
            previous = {"previous_response_id": answered.response.id}
            given = [result_of(call) for call in answered.output if call.type == "function_call"]

    opening, chained = asked(provider)[:3], asked(provider)[3:]
    assert "Oslo" in leading_block(opening[0]["input"])[0]
    assert OPENING not in opening[0]["instructions"].removeprefix(INSTRUCTIONS)
    assert chained[0]["input"] == "And tomorrow, where I live?"
    assert "Oslo" in chained[0]["instructions"]
    for turn in (opening, chained):
        assert len({request["instructions"] for request in turn}) == 1, "the same bytes in each request of a turn"
        for request in turn[1:]:
            assert [item["type"] for item in request["input"]] == ["function_call_output"], "as the client sent it"
    said = [stored.message for stored in Memory(proxy).only(user).messages]
    assert [message.role for message in said] == ["user", "assistant", "tool", "assistant", "tool", "assistant"] * 2


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
    proxy: Proxy, provider: Provider, user: str, model: str
) -> None:
    answer = Answer(text="Let me look — 🦊.", tool_calls=(ToolCall(name="weather", arguments='{"city": "Oslo"}'),))
    respond(proxy, user, "I live in Oslo.", model=model)
    provider.answer(answer, answer)
    remembered, plain = (
        respond(proxy, who, "The weather where I live?", model=model, stream=True, tools=TOOLS) for who in (user, None)
    )

    assert remembered.headers["x-recallr-memory-status"] == "ok"
    assert told(remembered) == told(plain)
    kinds = [event.type for event in remembered.events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [item.type for item in remembered.output] == ["message", "function_call"]
    said = "".join(event.delta for event in remembered.events if event.type == "response.output_text.delta")
    assert said == remembered.response.output_text == answer.text
