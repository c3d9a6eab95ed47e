"""What the provider answers reaches the client byte for byte, wherever it is cut, and is stored once."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recallr_litellm.core.options import Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.formats import FORMATS, Conversation
from recallr_litellm.gateway.call import CURRENT, AdmittedRequest
from recallr_litellm.gateway.middleware import RecallrMiddleware
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.memory.sessions import SessionRequest
from recallr_litellm.tasks import InFlight
from tests.support.script import Answer, ToolCall
from tests.support.wires import WIRES, Wire

TEXT = "Grüß dich, 🦊!\n\ndata: [DONE]\n\nAnd a “second” line."
"""Letters of one to four bytes, and what looks like the end of an event."""
CALLS = (ToolCall(name="weather", arguments='{"city":"Tromsø 🏔"}'),)
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Chat": ("acompletion", {"messages": [{"role": "user", "content": "Hi."}]}),
    "Completions": ("atext_completion", {"prompt": "Hi."}),
    "Responses": ("aresponses", {"input": "Hi."}),
    "Anthropic": ("anthropic_messages", {"messages": [{"role": "user", "content": "Hi."}]}),
    "Gemini": ("agenerate_content_stream", {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}]}),
}
"""The stand-in provider's API → LiteLLM's name for its requests, and one of them."""
STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-of-the-provider", b"\xe9")]
JSON = [(b"content-type", b"application/json")]
every_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: type(wire).__name__)


@dataclass
class Passed:
    """What became of an answer on its way through the middleware."""

    events: list[dict[str, Any]] = field(default_factory=list)
    """What the client's server was told to send."""
    stored: list[Exchange] = field(default_factory=list)
    later: list[Exchange] = field(default_factory=list)

    @property
    def kept(self) -> list[Exchange]:
        """Without what may still go on, and what was amended."""
        kept: list[Exchange] = []
        for exchange in (*self.stored, *self.later):
            if exchange.amends:
                kept.pop()
            if exchange.final:
                kept.append(exchange)
        return kept

    @property
    def bodies(self) -> list[bytes]:
        return [event["body"] for event in self.events[1:]]

    @property
    def status(self) -> bytes:
        return dict(self.events[0]["headers"])[b"x-recallr-memory-status"]


def pass_through(
    wire: Wire,
    chunks: Sequence[bytes],
    headers: Sequence[tuple[bytes, bytes]],
    *,
    status: int = 200,
    store: bool | Exception = True,
    breaks: bool = False,
) -> Passed:
    """Send an answer through the middleware, and check that the client gets it as it is.

    Args:
        store: what storing the exchange comes to.
        breaks: the connection to the provider is lost after the last chunk.
    """
    passed = Passed()
    sent: list[dict[str, Any]] = [{"type": "http.response.start", "status": status, "headers": list(headers)}]
    sent += [{"type": "http.response.body", "body": chunk, "more_body": True} for chunk in chunks]
    before = copy.deepcopy(sent)

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        call = CURRENT.get()
        assert call is not None
        call_type, body = REQUESTS[type(wire).__name__]
        conversation = FORMATS[call_type].read(body) or Conversation(())
        asked = SessionRequest(Owner("acme", "alice"), at=call.received_at)
        call.admitted = AdmittedRequest(FORMATS[call_type], body, conversation, asked, Strategy.BALANCED)
        for event in sent:
            await send(event)
        if breaks:
            raise ConnectionResetError
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def keep(exchange: Exchange, within: float) -> bool:
        passed.stored.append(exchange)
        if isinstance(store, Exception):
            raise store
        return store

    async def send(event: Any) -> None:
        passed.events.append(dict(event))

    async def receive() -> Any:
        raise AssertionError("nobody asks for the request here")

    middleware = RecallrMiddleware(
        answering,
        store=keep,
        later=lambda exchange, witness: passed.later.append(exchange),
        deadline=lambda call: 1.0,
        enter=lambda *_: None,
        ended=(),
        reporter=Reporter(),
        in_flight=InFlight(),
    )
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"x-recallr-user-id", b"alice")]}
    try:
        asyncio.run(middleware(scope, receive, send))
    except ConnectionResetError:
        assert breaks
    assert sent == before, "what LiteLLM has sent is its own, and not to be written to"
    start, *_ = passed.events
    own = list(start["headers"])
    assert (start["status"], own[: len(headers)]) == (status, list(headers))
    assert all(name.startswith(b"x-recallr-") for name, _ in own[len(headers) :])
    assert b"".join(passed.bodies) == b"".join(chunks), "the same bytes"
    assert [bool(event.get("more_body")) for event in passed.events[1:]] == [True] * len(passed.bodies[:-1]) + [breaks]
    return passed


def answer_of(wire: Wire) -> Answer:
    return Answer(text=TEXT, tool_calls=() if type(wire).__name__ == "Completions" else CALLS)


def stream_of(wire: Wire, answer: Answer) -> bytes:
    return b"".join(event.data for event in wire.events(answer, {"model": "m", **REQUESTS[type(wire).__name__][1]}, 1))


def whole_of(wire: Wire, answer: Answer) -> bytes:
    return json.dumps(wire.whole(answer, {"model": "m", **REQUESTS[type(wire).__name__][1]}, 1)).encode()


@st.composite
def cut(draw: st.DrawFn, body: bytes) -> list[bytes]:
    """A body in pieces, cut anywhere: within a letter too, and with empty ones among them."""
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


@every_wire
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_wherever_a_stream_is_cut_it_is_passed_on_piece_by_piece_and_stored_once(
    wire: Wire, data: st.DataObject
) -> None:
    answer = answer_of(wire)
    chunks = data.draw(cut(stream_of(wire, answer)))
    passed = pass_through(wire, chunks, STREAM)
    assert passed.bodies == [*chunks, b""], "each piece at once, as it came"
    [exchange] = passed.kept
    [reply] = exchange.replies
    assert reply.text == TEXT
    assert [json.loads(call.arguments) for call in reply.tool_calls] == [
        json.loads(call.arguments) for call in answer.tool_calls
    ]
    assert not exchange.partial
    assert passed.stored, "before the response has ended"


@every_wire
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_of_a_stream_that_breaks_anywhere_what_the_client_has_is_stored(wire: Wire, data: st.DataObject) -> None:
    whole = stream_of(wire, Answer(text=TEXT))
    chunks = data.draw(cut(whole[: data.draw(st.integers(0, len(whole)))]))
    passed = pass_through(wire, chunks, STREAM, breaks=True)
    assert passed.bodies == chunks
    assert len(passed.kept) <= 1
    for exchange in passed.kept:
        [reply] = exchange.replies
        assert TEXT.startswith(reply.text), "what is stored is what the client has"
        assert exchange.partial or reply.text == TEXT


@every_wire
@pytest.mark.parametrize("packed", [False, True])
def test_a_whole_answer_is_stored_before_the_client_has_it(wire: Wire, packed: bool) -> None:
    body = whole_of(wire, answer_of(wire))
    chunks = [gzip.compress(body)] if packed else [body[:50], body[50:]]
    passed = pass_through(wire, chunks, [*JSON, (b"content-encoding", b"gzip")] if packed else JSON)
    assert [reply.text for exchange in passed.stored for reply in exchange.replies] == [TEXT]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"junk"),
        ([(b"Content-Type", b"\xff")], b"{}"),
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[" * 3000),
        (JSON, b"\xff\xfe"),
        (JSON, b'{"choices": 7}'),
        ([*JSON, (b"content-encoding", b"gzip")], b"{}"),
        ([*JSON, (b"content-encoding", b"br")], b"\x0b\x00\x80"),
        (STREAM, b"data: junk\n\n\xff"),
    ],
)
@pytest.mark.parametrize("status", [200, 429])
def test_of_what_cannot_be_read_the_users_words_are_kept_if_the_call_succeeded(
    headers: list[tuple[bytes, bytes]], body: bytes, status: int
) -> None:
    passed = pass_through(WIRES[0], [body], headers, status=status)
    kept = [(message.text, exchange.replies) for exchange in passed.stored for message in exchange.incoming]
    assert kept == ([("Hi.", ())] if status == 200 else [])
    assert passed.later == []


@pytest.mark.parametrize("store", [False, RuntimeError("the store is broken")])
def test_an_answer_that_cannot_be_stored_is_passed_on_and_the_status_says_so(store: bool | Exception) -> None:
    passed = pass_through(WIRES[0], [whole_of(WIRES[0], answer_of(WIRES[0]))], JSON, store=store)
    assert passed.status == b"degraded; reason=store"
    assert len(passed.stored) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_whole_answer_beyond_the_bound_is_passed_on_and_only_the_users_words_are_kept(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recallr_litellm.formats.answers.MAX_ANSWER_BYTES", 2_000)
    monkeypatch.setattr("recallr_litellm.gateway.answer.MAX_ANSWER_BYTES", 2_000)
    body = whole_of(WIRES[0], Answer(text="x" * 10_000))
    chunks = [gzip.compress(body)] if packed else [body[start : start + 1_500] for start in range(0, len(body), 1_500)]
    passed = pass_through(WIRES[0], chunks, [*JSON, (b"content-encoding", b"gzip")] if packed else JSON)
    assert passed.status == b"degraded; reason=store"
    assert [exchange.replies for exchange in passed.stored] == [()]
    if not packed:
        assert passed.bodies == [b"".join(chunks[:2]), *chunks[2:], b""], "past the bound nothing is held back"


def of_tools(*rest: dict[str, Any]) -> list[bytes]:
    """A stream in which the gateway runs the model's tool call itself and lets the model go on."""
    call = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": "{}"}}
    deltas: list[tuple[dict[str, Any], str | None]] = [({"tool_calls": [call]}, None), ({}, "tool_calls")]
    deltas += [(delta, None) for delta in rest] + [({}, "stop")]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas]
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


SECOND_CALL = {"index": 0, "id": "c2", "function": {"name": "weather", "arguments": '{"day":2}'}}


@pytest.mark.parametrize(
    ("rest", "text", "calls"),
    [
        ([{"content": "It "}, {"content": "rains."}], "It rains.", ["{}"]),
        (
            [{"content": "Wait."}, {"tool_calls": [SECOND_CALL]}, {"content": " Rain."}],
            "Wait. Rain.",
            ["{}", '{"day":2}'],
        ),
        ([{"role": "assistant", "content": ""}], "", ["{}"]),
    ],
)
def test_an_answer_after_a_finish_reason_belongs_to_the_exchange(
    rest: list[dict[str, Any]], text: str, calls: list[str]
) -> None:
    [exchange] = pass_through(WIRES[0], of_tools(*rest), STREAM).kept
    [reply] = exchange.replies
    assert (reply.text, [call.arguments for call in reply.tool_calls], exchange.partial) == (text, calls, False)


def test_an_answer_that_breaks_off_after_a_finish_reason_is_a_part() -> None:
    chunks = of_tools({"content": "It "}, {"content": "rains."})[:3]
    [exchange] = pass_through(WIRES[0], chunks, STREAM, breaks=True).kept
    assert (exchange.replies[0].text, exchange.partial) == ("It ", True)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("answered", WIRES, ids=lambda wire: type(wire).__name__)
def test_an_answer_is_read_in_its_own_format_whatever_the_requests_is(answered: Wire, streamed: bool) -> None:
    given = Answer(text=TEXT)
    asked = next(wire for wire in WIRES if type(wire).__name__ == "Responses")
    chunks, headers = ([stream_of(answered, given)], STREAM) if streamed else ([whole_of(answered, given)], JSON)
    [exchange] = pass_through(asked, chunks, headers).kept
    assert [reply.text for reply in exchange.replies] == [TEXT]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b'{"error": {"message": "overloaded"}}'),
        (STREAM, b'data: {"error": {"message": "overloaded"}}\n\n'),
        (STREAM, b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'),
    ],
)
def test_of_an_error_with_status_200_nothing_is_kept(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert pass_through(WIRES[0], [body], headers).kept == []
