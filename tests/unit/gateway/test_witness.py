"""What LiteLLM's callbacks say of a request completes what the wire shows, and nothing else."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import ModelResponse, TextCompletionResponse

from recallr_litellm.core.options import Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.formats import CHAT, Conversation
from recallr_litellm.gateway import witness as module
from recallr_litellm.gateway.answer import Answer
from recallr_litellm.gateway.call import CURRENT, AdmittedRequest, Call
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.hooks import RecallrHooks
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.memory.sessions import SessionRequest
from recallr_litellm.request_headers import RawHeaders

CALL = {"litellm_call_id": "the-call"}
CHOICE: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "Felix."}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
SAID = ModelResponse(choices=[CHOICE], usage=USAGE)
PART = {"type": "output_text", "text": "Felix.", "annotations": []}
ITEM = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [PART]}


def witness_of(*events: tuple[dict[str, Any], Any]) -> Witness:
    witness = Witness("the-call")
    for arguments, response in events:
        witness.succeed(arguments, response)
    return witness


@pytest.mark.parametrize(
    "response",
    [
        SAID,
        TextCompletionResponse(choices=[{"text": "Felix.", "index": 0, "finish_reason": "stop"}]),
        ResponsesAPIResponse(id="r", created_at=1, output=[ITEM]),
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Felix."}]},
    ],
    ids=["chat", "completion", "responses", "messages"],
)
def test_the_reply_is_read_from_whatever_object_the_event_has(response: Any) -> None:
    assert [message.text for message in witness_of((CALL, response)).replies] == ["Felix."]


@pytest.mark.parametrize(
    ("arguments", "response"),
    [
        ({"litellm_call_id": "of-a-guardrail"}, SAID),
        (CALL | {"messages": [{"role": "user", "content": "redacted-by-litellm"}]}, SAID),
        (CALL, None),
        (CALL, {"choices": 7}),
        (CALL, SimpleNamespace(model_dump=lambda **_: 1 / 0)),
    ],
    ids=["another call", "redacted", "nothing", "odd", "raises"],
)
def test_an_event_without_the_requests_own_answer_has_no_reply(arguments: dict[str, Any], response: Any) -> None:
    assert witness_of((arguments, response)).replies == ()


def test_a_failure_counts_unless_the_provider_is_called_again() -> None:
    witness = Witness("the-call")
    witness.fail({"litellm_call_id": "of-a-guardrail"})
    assert not witness.told
    witness.fail(CALL)
    assert witness.failed
    witness.begin(CALL)
    assert not witness.failed, "a fallback may succeed"
    witness.succeed(CALL, SAID)
    witness.succeed(CALL, SAID)
    assert witness.replies[0].text == "Felix."
    assert witness.usage == USAGE


class Wire:
    """An answer that no reader knows, of a request whose events come when the test says so."""

    def __init__(self) -> None:
        self.call = Call(RawHeaders((("x-recallr-user-id", "u"),)))
        request = SessionRequest(Owner("acme", "u"), at=1)
        conversation = CHAT.read({"messages": [{"role": "user", "content": "My cat?"}]})
        self.call.admitted = AdmittedRequest(CHAT, {}, conversation or Conversation(()), request, Strategy.BALANCED)
        self.call.witness = Witness("the-call")
        self.stored: list[Exchange] = []
        self.waiting: list[tuple[Exchange, Witness | None]] = []

    async def end(self) -> None:
        async def store(exchange: Exchange, within: float) -> bool:
            self.stored.append(exchange)
            return True

        async def send(event: Any) -> None:
            pass

        answer = Answer(
            self.call,
            send,
            store=store,
            later=lambda exchange, witness: self.waiting.append((exchange, witness)),
            deadline=lambda _: 1.0,
            reporter=Reporter(),
        )
        headers = [(b"content-type", b"application/json")]
        await answer({"type": "http.response.start", "status": 200, "headers": headers})
        await answer({"type": "http.response.body", "body": b'{"sealed": 1}'})


async def test_an_event_before_the_end_of_the_response_brings_the_reply() -> None:
    wire = Wire()
    hooks = RecallrHooks(None)
    CURRENT.set(wire.call)
    await hooks.async_log_success_event(CALL, SAID, None, None)
    await wire.end()
    [exchange] = wire.stored
    assert [message.text for message in exchange.replies] == ["Felix."]
    assert exchange.final
    assert wire.waiting == []


async def test_for_an_event_after_the_response_the_users_words_do_not_wait() -> None:
    wire = Wire()
    await wire.end()
    [exchange] = wire.stored
    assert ([message.text for message in exchange.incoming], exchange.replies) == (["My cat?"], ())
    assert not exchange.final, "the reply may still come"
    [(last, witness)] = wire.waiting
    assert last.final
    assert witness is wire.call.witness


async def test_of_a_call_that_has_failed_nothing_is_stored() -> None:
    wire = Wire()
    CURRENT.set(wire.call)
    await RecallrHooks(None).async_log_failure_event(CALL, None, None, None)
    await wire.end()
    assert wire.stored == wire.waiting == []


async def test_the_wait_for_an_event_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    witness = Witness("the-call")
    await asyncio.wait_for(witness.wait(), timeout=60)
    assert witness.replies == ()
