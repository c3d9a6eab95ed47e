"""Whatever a request or an answer looks like, reporting it never fails the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litellm.types.utils import ModelResponse

from recallr_litellm.gateway.answer import Answer
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.reporting import Reporting
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.reconify.service import Reconify
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.tasks import InFlight
from tests.support.listeners import free_port


def open_reconify(**options: Any) -> Reconify:
    """With a Redis that is away: what is told is held."""

    async def probe() -> None:
        raise ConnectionError

    three = {"app_key": "a", "api_key": "b", "endpoint": "http://127.0.0.1:1/"}
    settings = ReconifySettings.model_validate({**three, **options})
    url = f"redis://127.0.0.1:{free_port()}"
    return Reconify(
        settings,
        url,
        CircuitBreaker("redis", probe),
        timeout_seconds=1.0,
        interval=1.0,
        capacity=10,
        in_flight=InFlight(),
    )


@pytest.fixture
async def reconify() -> AsyncIterator[Reconify]:
    reconify = open_reconify()
    yield reconify
    await reconify.close()


@pytest.fixture
def reporting(reconify: Reconify) -> Reporting:
    return Reporting(reconify, spawn=asyncio.create_task, default_timeout_seconds=600)


CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "Yes"}}]}\n\n'
WHOLE = b'{"choices": [{"message": {"content": "Yes"}}]}'


async def answer(reporting: Reporting, kind: bytes, *chunks: bytes, status: int = 200, left: bool = False) -> list[Any]:
    """Answer a request that is reported. Returns what the client got."""
    call = Call(RawHeaders((("x-recallr-user-id", "u"),)))
    body: dict[str, Any] = {"model": "m", "messages": []}
    reporting.begin(call, body, "acompletion")
    reporting.identify(call, takes_part=True)
    reporting.sent(call, body)
    got: list[Any] = []

    async def send(event: Any) -> None:
        got.append(event)

    async def store(exchange: Any, within: float) -> bool:
        raise AssertionError("it is not admitted")

    def later(exchange: Any, witness: Any) -> None:
        raise AssertionError("it is not admitted")

    to_client = Answer(call, send, store=store, later=later, deadline=lambda _: 5.0, reporter=reporting)
    await to_client({"type": "http.response.start", "status": status, "headers": [(b"Content-Type", kind)]})
    for number, chunk in enumerate(chunks, 1):
        await to_client({"type": "http.response.body", "body": chunk, "more_body": left or number < len(chunks)})
    to_client.report_beginning()
    await to_client._reported()
    return got


@pytest.mark.parametrize(
    ("kind", "chunks"),
    [
        (b"application/json", (WHOLE[:12], WHOLE[12:])),
        (b"text/event-stream; charset=utf-8", (CHUNK[:9], CHUNK[9:], b"data: [DONE]\n\n", b"")),
        (b"text/event-stream", (CHUNK, b"")),
    ],
)
async def test_an_answer_is_reported_once(
    reporting: Reporting, reconify: Reconify, kind: bytes, chunks: tuple[bytes, ...]
) -> None:
    got = await answer(reporting, kind, *chunks)
    assert b"".join(event.get("body", b"") for event in got) == b"".join(chunks)
    assert reconify.held == 1


@pytest.mark.parametrize(
    ("kind", "chunks", "status"),
    [
        (b"application/json", (WHOLE,), 400),
        (b"application/json", (b"no JSON",), 200),
        (b"application/json", (b"[" * 100_000,), 200),
        (b"application/json", (b"[]",), 200),
        (b"text/event-stream", (b"\xff\n\ndata: \xff\n\n", b""), 200),
        (b"text/plain", (b"Yes",), 200),
    ],
)
async def test_what_is_no_answer_is_not_reported(
    reporting: Reporting, reconify: Reconify, kind: bytes, chunks: tuple[bytes, ...], status: int
) -> None:
    await answer(reporting, kind, *chunks, status=status)
    assert reconify.held == 0


@pytest.mark.parametrize("which", ["provider", "client"])
async def test_a_body_nested_beyond_all_measure_goes_on_untold(which: str) -> None:
    reconify = open_reconify(request=which)
    reporting = Reporting(reconify, spawn=asyncio.create_task, default_timeout_seconds=600)
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    body = {"model": "m", "messages": deep}
    call = Call(RawHeaders((("x-recallr-user-id", "u"),)))
    reporting.begin(call, body, "acompletion")
    reporting.sent(call, body)
    assert call.reported is None
    await reconify.close()


@pytest.mark.parametrize("length", [1, 3])
async def test_an_answer_beyond_the_bound_is_passed_on_and_not_reported(
    reporting: Reporting, reconify: Reconify, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr("recallr_litellm.formats.answers.MAX_ANSWER_BYTES", len(WHOLE) - 1)
    monkeypatch.setattr("recallr_litellm.gateway.answer.MAX_ANSWER_BYTES", len(WHOLE) - 1)
    chunks = [WHOLE] + [b" "] * (length - 1)
    got = await answer(reporting, b"application/json", *chunks)
    assert [event.get("body") for event in got] == [None, *chunks], "it is not gathered to its end"
    assert reconify.held == 0


def begun(reporting: Reporting, session: str) -> Call:
    """A request that goes through LiteLLM, and is about to be answered."""
    call = Call(RawHeaders((("x-recallr-user-id", "u"),)), session_id=session)
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "I am Ann."}]}
    reporting.begin(call, body, "acompletion")
    reporting.identify(call, takes_part=True)
    reporting.sent(call, body)
    call.witness = Witness("the-call")
    return call


@pytest.fixture
def payloads(reconify: Reconify, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is queued, in its order."""
    queued: list[dict[str, Any]] = []

    async def add(owner: Any, session: str, id: str, payload: dict[str, Any], **_: Any) -> bool:
        queued.append(payload)
        return True

    monkeypatch.setattr(reconify, "add", add)
    return queued


def chat(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


EVENT = {"litellm_call_id": "the-call"}


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait_for(asyncio.gather(*tasks), timeout=60)


async def test_what_the_wire_lacks_is_waited_for_beside_the_response_and_the_order_is_kept(
    reconify: Reconify, payloads: list[dict[str, Any]]
) -> None:
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Any) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    reporting = Reporting(reconify, spawn=spawn, default_timeout_seconds=600)
    first, unread, last = (begun(reporting, "s1") for _ in range(3))
    assert first.witness
    assert unread.witness
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert reporting.answered(first, chat("One."), within=1.0) is None, "the response does not wait"
    assert reporting.answered(unread, None, within=1.0) is None
    assert reporting.answered(last, {**chat("Three."), "usage": usage}, within=1.0) is None
    unread.witness.succeed(EVENT, ModelResponse(**chat("Two."), usage=usage))
    first.witness.succeed(EVENT, ModelResponse(**chat("Other."), usage=usage))
    await ended(tasks)

    responses = [payload["response"] for payload in payloads]
    said = [response["choices"][0]["message"]["content"] for response in responses]
    assert said == ["One.", "Two.", "Three."], "the wire's answer where there is one, in the session's order"
    assert [response["usage"]["total_tokens"] for response in responses] == [3, 3, 3]
    assert reporting._waiting == {}


async def test_an_unread_answer_of_a_failed_call_is_not_reported(
    reconify: Reconify, payloads: list[dict[str, Any]]
) -> None:
    tasks: list[asyncio.Task[None]] = []
    reporting = Reporting(
        reconify,
        spawn=lambda work: tasks.append(asyncio.create_task(work)) or tasks[-1],  # type: ignore[func-returns-value]
        default_timeout_seconds=600,
    )
    call = begun(reporting, "s1")
    assert call.witness
    reporting.answered(call, None, within=1.0)
    call.witness.fail(EVENT)
    await ended(tasks)
    assert payloads == []


async def test_texts_are_reported_as_later_callbacks_leave_them(
    reporting: Reporting, payloads: list[dict[str, Any]]
) -> None:
    call = begun(reporting, "s1")
    masked = [{"role": "user", "content": "I am <NAME>."}]
    reporting.routed(call, {"model": "openai/gpt", "messages": masked, "api_key": "sk-x"}, "acompletion")
    task = reporting.answered(call, {**chat("Hi."), "usage": {"total_tokens": 1}}, within=1.0)
    assert task
    await task
    assert payloads[0]["request"] == {"model": "gpt", "messages": masked}
