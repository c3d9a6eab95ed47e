"""What the provider answers reaches the client byte for byte, whatever it is and wherever it is cut.

In the process itself: the real middleware with the real readers of every format, around an application that answers
with what hypothesis makes up. What it makes up are genuine answers of the stand-in provider's, damaged, and plain junk.
"""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recallr_litellm.core.options import Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.formats import FORMATS, Conversation, Format
from recallr_litellm.gateway.call import CURRENT, AdmittedRequest
from recallr_litellm.gateway.middleware import RecallrMiddleware
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.memory.sessions import SessionRequest
from recallr_litellm.metrics import FAULTS
from tests.support.script import Answer, ToolCall
from tests.support.wires import WIRES, Wire

TEXT = "Grüß dich, 🦊!\n\ndata: [DONE]\n\nAnd a “second” line."
"""Letters of one to four bytes, and what looks like the end of an event."""
WITH_CALLS = Answer(text=TEXT, tool_calls=(ToolCall(name="weather", arguments='{"city": "Tromsø 🏔"}'),))
RECALLR = [(b"x-recallr-api-key", b"rai_key"), (b"x-recallr-user-id", b"alice")]

FORMAT_OF = {"Chat": "acompletion", "Completions": "atext_completion", "Responses": "aresponses"} | {
    "Anthropic": "anthropic_messages",
    "Gemini": "agenerate_content_stream",
}
"""The stand-in's API → LiteLLM's name for it."""
every_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: type(wire).__name__)


def format_of(wire: Wire) -> Format:
    return FORMATS[FORMAT_OF[type(wire).__name__]]


def request_of(wire: Wire) -> dict[str, Any]:
    """A request for an answer of this API."""
    words = "Good morning."
    return {
        "Chat": {"model": "m", "messages": [{"role": "user", "content": words}]},
        "Completions": {"model": "m", "prompt": words},
        "Responses": {"model": "m", "input": words},
        "Anthropic": {"model": "m", "messages": [{"role": "user", "content": words}]},
        "Gemini": {"contents": [{"role": "user", "parts": [{"text": words}]}]},
    }[type(wire).__name__]


@dataclass
class Passed:
    """What came of an answer on its way through the middleware."""

    events: list[dict[str, Any]] = field(default_factory=list)
    """What the client's server was told to send."""
    stored: list[Exchange] = field(default_factory=list)
    later: list[Exchange] = field(default_factory=list)

    @property
    def start(self) -> dict[str, Any]:
        return self.events[0]

    @property
    def bodies(self) -> list[bytes]:
        return [event["body"] for event in self.events[1:]]


def pass_through(
    format: Format,
    body: dict[str, Any],
    chunks: Sequence[bytes],
    *,
    status: int = 200,
    headers: Sequence[tuple[bytes, bytes]] = (),
    store: bool | Exception = True,
    breaks: bool = False,
) -> Passed:
    """Send an answer through the middleware.

    Args:
        body: the request that it answers.
        store: what storing the exchange comes to.
        breaks: the connection to the provider is lost after the last chunk.
    """
    passed = Passed()
    sent = [{"type": "http.response.start", "status": status, "headers": list(headers)}]
    sent += [{"type": "http.response.body", "body": chunk, "more_body": True} for chunk in chunks]
    before = copy.deepcopy(sent)

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        call = CURRENT.get()
        assert call is not None
        conversation = format.read(body) or Conversation(())
        asked = SessionRequest(Owner("acme", "alice"), at=call.received_at)
        call.admitted = AdmittedRequest(format, body, conversation, asked, Strategy.BALANCED)
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
        later=passed.later.append,
        deadline=lambda call: 1.0,
        log=lambda *_: None,
        reporter=Reporter(),
    )
    scope = {"type": "http", "method": "POST", "path": "/", "headers": RECALLR}
    try:
        asyncio.run(middleware(scope, receive, send))
    except ConnectionResetError:
        assert breaks
    assert sent == before, "what LiteLLM has sent is its own, and not to be written to"
    return passed


def check_untouched(
    passed: Passed, chunks: Sequence[bytes], status: int, headers: Sequence[tuple[bytes, bytes]]
) -> None:
    """Check that the client gets this answer, and besides it only headers of ours."""
    start, *_ = passed.events
    assert (start["type"], start["status"]) == ("http.response.start", status)
    own = list(start["headers"])
    assert own[: len(headers)] == list(headers), "the headers are the provider's, in their order"
    assert all(name.startswith(b"x-recallr-") for name, _ in own[len(headers) :])
    assert b"".join(passed.bodies) == b"".join(chunks), "the same bytes"
    assert [event["type"] for event in passed.events[1:]] == ["http.response.body"] * len(passed.bodies)
    assert not any(event.get("more_body") for event in passed.events[-1:]), "the answer comes to its end"


def faults(where: str) -> float:
    """How often the plugin has met with a fault of its own."""
    return FAULTS.labels(where)._value.get()


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


# --- what is made up

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
STATUSES = st.sampled_from([200, 200, 200, 201, 206, 302, 400, 429, 500, 529])
ANSWERS = st.sampled_from(
    [
        WITH_CALLS,
        Answer(text=TEXT),
        Answer(choices=("Red.", "Green — 🦊.")),
        Answer(text="cut", finish_reason="length"),
        Answer(text="", chunks=1),
        Answer(text="one two", finish_reason="error"),
    ]
)
KINDS = st.sampled_from(
    [
        *[b"text/event-stream", b"text/event-stream; charset=utf-8", b"Text/Event-Stream", b"application/jsonl"],
        *[b"application/json", b"application/json; charset=utf-8", b"text/plain", b"", b"\xff"],
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value within a value, itself included."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A value with up to two of its parts replaced by any JSON."""
    value = copy.deepcopy(value)
    for replacement in draw(st.lists(JSON, max_size=2)):
        path = draw(st.sampled_from(list(places(value))))
        if not path:
            return replacement
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = replacement
    return value


@st.composite
def cut(draw: st.DrawFn, body: bytes) -> list[bytes]:
    """A body in pieces, cut anywhere: within a letter too, and with empty ones among them."""
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


@st.composite
def event_of(draw: st.DrawFn, data: bytes) -> bytes:
    """An event of a stream, damaged or not."""
    lines = data.strip().split(b"\ndata: ")
    try:
        parsed = json.loads(lines[-1].removeprefix(b"data: "))
    except ValueError:
        return data
    ending = draw(st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n", ""]))
    field = draw(st.sampled_from(["data: ", "data:", "data: ", "data", ": ", "event: "]))
    return f"{field}{json.dumps(draw(damaged(parsed)), ensure_ascii=draw(st.booleans()))}{ending}".encode(
        errors="replace"
    )


@st.composite
def streams(draw: st.DrawFn, wire: Wire) -> list[bytes]:
    """A stream of this API in pieces: its events in order or not, some damaged or doubled, junk among them."""
    events = [event.data for event in wire.events(draw(ANSWERS), request_of(wire), 1)]
    order = draw(st.lists(st.integers(0, len(events) - 1), max_size=12) | st.just(list(range(len(events)))))
    body = b""
    for number in order:
        how = draw(st.integers(0, 9))
        body += (
            draw(st.binary(max_size=12)) if how == 0 else draw(event_of(events[number])) if how < 4 else events[number]
        )
    return draw(cut(body))


@st.composite
def wholes(draw: st.DrawFn, wire: Wire) -> bytes:
    """A whole answer of this API, damaged or not, or no JSON at all."""
    answer = draw(damaged(wire.whole(draw(ANSWERS), request_of(wire), 1)))
    body = json.dumps(answer, ensure_ascii=draw(st.booleans())).encode(errors="replace")
    return draw(st.sampled_from([body, body, body, body[: len(body) // 2], b"", b"[" * 3000, b"\xff\xfe", b"NaN"]))


STORES = st.sampled_from([True, True, False, RuntimeError("the store is broken")])


@every_wire
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_stream_is_passed_on_piece_by_piece_as_it_came(wire: Wire, data: st.DataObject) -> None:
    chunks, status = data.draw(streams(wire)), data.draw(STATUSES)
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-of-the-provider", b"\xe9")]
    body = data.draw(damaged(request_of(wire) | {"n": 2}).filter(lambda made: isinstance(made, dict)))
    before = faults("stream")
    passed = pass_through(format_of(wire), body, chunks, status=status, headers=headers, store=data.draw(STORES))

    assert faults("stream") == before, "the reader has given up: it must never raise"
    check_untouched(passed, chunks, status, headers)
    assert passed.bodies == [*chunks, b""], "each piece at once, as it came"
    assert len(passed.stored) + len(passed.later) <= 1, "an exchange is stored once"


@every_wire
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_whole_answer_is_passed_on_as_it_came(wire: Wire, data: st.DataObject) -> None:
    plain, status = data.draw(wholes(wire)), data.draw(STATUSES)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(plain))]
    packing = data.draw(st.sampled_from(["", "", "gzip", "said to be gzip", "br"]))
    body = gzip.compress(plain) if packing == "gzip" else plain
    if packing:
        headers.append((b"content-encoding", b"br" if packing == "br" else b"gzip"))
    chunks = data.draw(cut(body))
    before = faults("answer")
    passed = pass_through(
        format_of(wire), request_of(wire), chunks, status=status, headers=headers, store=data.draw(STORES)
    )
    check_untouched(passed, chunks, status, headers)
    if packing in ("", "gzip") and is_json(plain):
        assert faults("answer") == before, "the reader has given up: it must never raise"


@every_wire
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_junk_of_any_kind_is_passed_on_as_it_came(wire: Wire, data: st.DataObject) -> None:
    chunks = data.draw(st.lists(st.binary(max_size=40), max_size=6))
    status = data.draw(STATUSES)
    headers = data.draw(st.just([]) | st.builds(lambda kind: [(b"Content-Type", kind)], KINDS))
    passed = pass_through(format_of(wire), request_of(wire), chunks, status=status, headers=headers)
    check_untouched(passed, chunks, status, headers)
    assert passed.stored == passed.later == [], "nobody has said anything"


@every_wire
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_wherever_a_genuine_stream_is_cut_the_same_answer_is_stored_once(wire: Wire, data: st.DataObject) -> None:
    answer = Answer(text=TEXT) if type(wire).__name__ == "Completions" else WITH_CALLS
    whole = b"".join(event.data for event in wire.events(answer, request_of(wire), 1))
    chunks = data.draw(cut(whole))
    headers = [(b"content-type", b"text/event-stream")]
    passed = pass_through(format_of(wire), request_of(wire), chunks, headers=headers)

    check_untouched(passed, chunks, 200, headers)
    [exchange] = passed.stored
    [reply] = exchange.replies
    assert reply.text == TEXT
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        (call.name, json.loads(call.arguments)) for call in answer.tool_calls
    ]
    assert not exchange.partial
    assert passed.later == []


@every_wire
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_of_a_genuine_stream_that_breaks_anywhere_the_client_has_what_is_stored(
    wire: Wire, data: st.DataObject
) -> None:
    answer = Answer(text=TEXT)
    whole = b"".join(event.data for event in wire.events(answer, request_of(wire), 1))
    chunks = data.draw(cut(whole[: data.draw(st.integers(0, len(whole)))]))
    headers = [(b"content-type", b"text/event-stream")]
    passed = pass_through(format_of(wire), request_of(wire), chunks, headers=headers, breaks=True)

    assert passed.bodies == chunks, "each piece at once, as it came"
    for exchange in passed.stored + passed.later:
        [reply] = exchange.replies
        assert TEXT.startswith(reply.text), "what is stored is what the client has"
        assert exchange.partial or reply.text == TEXT
    assert len(passed.stored) + len(passed.later) <= 1


@every_wire
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_request_raises_and_what_is_not_ours_stays(wire: Wire, data: st.DataObject) -> None:
    body = data.draw(damaged(request_of(wire) | {"tools": [{"name": "weather"}], "user": "alice", "n": 1}))
    if not isinstance(body, dict):
        return  # LiteLLM has refused it by then
    before = copy.deepcopy(body)
    format = format_of(wire)
    conversation = format.read(body)
    assert body == before, "reading changes nothing"
    if conversation is None:
        return
    assert isinstance(conversation.question, str)
    format.inject(body, instructions="INSTRUCTIONS", memory="MEMORY", into_system=data.draw(st.booleans()))
    ours = {"messages", "system", "prompt", "input", "instructions", "contents"} | {
        "systemInstruction",
        "system_instruction",
    }
    assert {key: value for key, value in body.items() if key not in ours} == {
        key: value for key, value in before.items() if key not in ours
    }
