"""An answer on its way to the client: read, stored and reported before the response ends.

It is read off the wire, as the client gets it, because LiteLLM's success events do not come for every answer the client
sees (streams of some models, disconnects, shutdown) and sometimes come twice. What cannot be read there is taken from
those events (`witness`); where they do not come either, the user's words are kept without an answer.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from urllib.parse import quote

from recallr_litellm.formats import FORMATS, Format, Reply
from recallr_litellm.formats.answers import MAX_ANSWER_BYTES, AnswerTooLarge, StreamedAnswer, format_of, read_whole
from recallr_litellm.formats.deltas import Json
from recallr_litellm.gateway.asgi import Event, Send
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.metrics import ANSWERS_TOO_LARGE, FAULTS

_log = logging.getLogger(__name__)

Store = Callable[[Exchange, float], Awaitable[bool]]
"""Stores an exchange within so many seconds; False when it is only held."""
Later = Callable[[Exchange, Witness | None], None]
"""Stores an exchange in a task of its own, which a shutdown waits for: with a witness, once that has been heard."""
Deadline = Callable[[Call], float]
"""Seconds that the plugin may still add to this request."""


class Answer:
    """ASGI `send` for one request.

    Args:
        send: the server's.
    """

    def __init__(
        self, call: Call, send: Send, *, store: Store, later: Later, deadline: Deadline, reporter: Reporter
    ) -> None:
        self._call = call
        self._send = send
        self._store = store
        self._later = later
        self._deadline = deadline
        self._reporter = reporter
        self.http_status: int | None = None
        """None until there is one."""
        self._start: Event | None = None
        """Held until its headers can say everything."""
        self._encoding = b""
        self._format: Format | None = None
        """Of the request; None where the answer is neither to be stored nor to be reported."""
        self._body: list[bytes] | None = None
        """A whole answer while it is gathered."""
        self._gathered = 0
        """Its bytes."""
        self._stream: StreamedAnswer | None = None
        self._begun: Reply | None = None
        """The reply that is stored already, but may go on."""
        self._done = False
        """Stored, held, or waiting for the witness; nothing more is to be done."""
        self._sending = False
        """The client has got the start of the answer."""
        self._report: asyncio.Task[None] | None = None

    async def __call__(self, event: Event) -> None:
        """Send an event on."""
        if event["type"] == "http.response.start":
            self._begin(event)
            if self._body is None:  # a stream, or nothing that is read: all that its headers say is known by now
                await self._send_start()
        elif event["type"] != "http.response.body":
            await self._send(event)
        elif self._body is not None:
            await self._gather(event, self._body)
        else:
            await self._pass_on(event)

    async def fail(self) -> None:
        """Answer for an application that has failed without an answer, as the server would, but with our headers."""
        if self._call.awake and not self._sending:
            self.http_status = 500
            self._start = {
                "type": "http.response.start",
                "status": 500,
                "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")],
            }
            await self._send_start()
            await self._send({"type": "http.response.body", "body": b"Internal Server Error"})

    def unstored(self) -> Exchange | None:
        """The exchange as far as the client has it, if it is not stored yet."""
        if self._done or self._stream is None:
            return None
        reply = self._stream.reply
        return self._exchange(reply) if reply.messages and reply != self._begun else None

    def report_beginning(self) -> None:
        """Report a stream that has not come to its end."""
        if self._stream is not None and self._call.reported is not None:
            self._begin_report(self._stream.whole)

    def _begin(self, event: Event) -> None:
        self._start = event
        self.http_status = event["status"]
        call = self._call
        call.lap("provider")
        if not 200 <= event["status"] < 300:
            return
        if call.admitted is not None:
            self._format, request = call.admitted.format, call.admitted.body
        elif call.reported is not None:
            self._format, request = FORMATS[call.reported.call_type], call.reported.request
        else:
            return
        kind = _header(event, b"content-type")
        if kind.startswith(b"text/event-stream"):
            self._stream = StreamedAnswer(self._format, request)
        elif kind.startswith(b"application/json"):
            self._body = []
            self._encoding = _header(event, b"content-encoding")

    async def _gather(self, event: Event, chunks: list[bytes]) -> None:
        chunk = event.get("body", b"")
        chunks.append(chunk)
        self._gathered += len(chunk)
        if event.get("more_body", False) and self._gathered <= MAX_ANSWER_BYTES:
            return
        self._body, self._done = None, True
        body = b"".join(chunks)  # makes no copy of a single chunk
        whole = self._read(body)
        reply = self._read_reply(whole) if whole is not None else Reply()
        if reply.messages or whole is None or not whole.get("error"):
            known = whole is not None and (reply.messages or format_of(whole) is not None)
            self._begin_report(whole if known else None)
            await self._keep(reply)
        await self._reported()
        await self._send_start()
        await self._send({**event, "body": body})

    async def _pass_on(self, event: Event) -> None:
        stream, last = self._stream, not event.get("more_body", False)
        if stream is not None:
            stream.feed(event.get("body", b""))
        if self._format is not None and not self._done:
            if last or (stream is not None and stream.ended):
                await self._end(stream)
            elif stream is not None and stream.complete and self._begun is None and (reply := stream.reply).messages:
                # For clients that go on as soon as they see a finish reason. More may follow all the same.
                await self._keep(reply)
                self._begun = reply
        await self._reported()
        await self._send(event)

    async def _end(self, stream: StreamedAnswer | None) -> None:
        """Store and report an answer that is not one JSON object; None where it is no stream of events either."""
        self._done = True
        reply = stream.reply if stream is not None else Reply()
        if not reply.messages and stream is not None and stream.failed:
            return
        known = stream is not None and (reply.messages or stream.recognised)
        self._begin_report(stream.whole if stream is not None and known else None)
        if reply != self._begun:
            await self._keep(reply)

    def _begin_report(self, whole: Json | None) -> None:
        """Report beside storing the exchange; what is left of it is waited for before the last event.

        Args:
            whole: the answer; None where it cannot be read here.
        """
        if self._report is None and self._call.reported is not None:
            self._report = self._reporter.answered(self._call, whole, within=self._deadline(self._call))

    async def _reported(self) -> None:
        if self._report is not None and not self._report.done():
            await asyncio.wait({self._report}, timeout=self._deadline(self._call))

    def _exchange(self, reply: Reply) -> Exchange | None:
        exchange = self._call.exchange(reply)
        return exchange if exchange is None or self._begun is None else replace(exchange, amends=True)

    async def _keep(self, reply: Reply) -> None:
        """Store the exchange. Without a reply it is what the user said, and the reply that the witness may have."""
        witness = self._call.witness
        if not reply.messages and witness is not None:
            if witness.failed:
                return
            reply = replace(reply, messages=witness.replies, complete=True)
        exchange = self._exchange(reply)
        if exchange is None:
            return
        waits = not reply.messages and witness is not None and not witness.told
        self._call.lap("answer")
        begun = perf_counter()
        try:
            await self._call.kept()
            stored = await self._store(
                replace(exchange, final=False) if waits else exchange, self._deadline(self._call)
            )
        except Exception:  # noqa: BLE001 - the answer is the client's, whatever becomes of our copy
            FAULTS.labels("capture").inc()
            _log.exception("Exchange %s is lost", exchange.id)
            stored = False
        if waits:
            self._later(exchange, witness)
        if not stored and not self._call.degraded:
            self._call.degrade("store")
        self._call.spent += perf_counter() - begun
        self._call.lap("capture")

    def _read(self, body: bytes) -> Json | None:
        try:
            return read_whole(body, self._encoding)
        except AnswerTooLarge as error:
            ANSWERS_TOO_LARGE.inc()
            self._call.witness = None  # LiteLLM's event holds as much
            _log.warning("The answer to request %s is not read: %s", self._call.request_id, error)
        except Exception:  # noqa: BLE001 - an answer that cannot be read must reach the client all the same
            FAULTS.labels("answer").inc()
            _log.exception("The answer to request %s cannot be read", self._call.request_id)
        if self._call.admitted is not None and not self._call.degraded:
            self._call.degrade("store")
        return None

    def _read_reply(self, whole: Json) -> Reply:
        format = format_of(whole) or self._format
        try:
            return format.read_reply(whole) if format is not None else Reply()
        except Exception:  # noqa: BLE001 - as above
            FAULTS.labels("answer").inc()
            _log.exception("The answer to request %s cannot be read", self._call.request_id)
            return Reply()

    async def _send_start(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            self._sending = True
            if self._call.awake:
                start = {**start, "headers": [*start.get("headers", ()), *_response_headers(self._call)]}
            await self._send(start)


def _response_headers(call: Call) -> list[tuple[bytes, bytes]]:
    values = {
        "x-recallr-request-id": call.request_id,
        "x-recallr-process-time": f"{call.spent * 1000:.1f}",
        "x-recallr-memory-status": call.status,
    }
    if call.session_id is not None:
        values["x-recallr-session-id"] = call.session_id
    if call.user_id is not None:
        values["x-recallr-user-id"] = _OUTER_SPACE.sub("%20", quote(call.user_id, safe=_PRINTABLE))
    return [(name.encode(), value.encode("ascii", "replace")) for name, value in values.items()]


_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%") + " "
"""What stands in a header as it is: printable ASCII, but the percent sign, which marks what is encoded."""
_OUTER_SPACE = re.compile(r"^ | $")
"""HTTP allows no space at the ends of a header's value."""


def _header(event: Event, name: bytes) -> bytes:
    return next((bytes(value).lower() for key, value in event.get("headers", ()) if key.lower() == name), b"")
