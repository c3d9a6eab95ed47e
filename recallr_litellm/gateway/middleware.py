"""Outermost ASGI wrapper: takes our headers off, puts ours on, has the last word on capture.

The answer is read off the wire, as the client gets it, because LiteLLM's success events do not come for
every answer the client sees (streams of some models, disconnects, shutdown) and sometimes come twice.
"""

from __future__ import annotations

import json
import logging
import re
import zlib
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from time import perf_counter
from urllib.parse import quote

from recallr_litellm.formats import Reply
from recallr_litellm.formats.sse import EventReader
from recallr_litellm.gateway.asgi import App, Event, Receive, Send
from recallr_litellm.gateway.call import CURRENT, Call
from recallr_litellm.gateway.headers import RawHeaders
from recallr_litellm.gateway.reporting import Recorder, Reporting
from recallr_litellm.memory.capture import Exchange, beginning_of
from recallr_litellm.metrics import FAULTS, REQUESTS
from recallr_litellm.reconify.person import ReconifyHeaders

_log = logging.getLogger(__name__)


Store = Callable[[Exchange, float], Awaitable[bool]]
"""Stores an exchange within so many seconds; False when it is only held."""
Later = Callable[[Exchange], None]
"""Stores an exchange in a task of its own, which a shutdown waits for."""
Deadline = Callable[[Call], float]
"""Seconds that the plugin may still add to this request."""
Log = Callable[[Call, int | None], None]
"""Writes the log line of a Recallr request that has ended, with the HTTP status of its response, if it got one."""


class RecallrMiddleware:
    """Wraps LiteLLM's application.

    Args:
        app: the wrapped ASGI application.
        store, later, deadline, log: see the types.
        reporting: None while Reconify is off.
    """

    def __init__(
        self,
        app: App,
        *,
        store: Store,
        later: Later,
        deadline: Deadline,
        log: Log,
        reporting: Reporting | None = None,
    ) -> None:
        self._app = app
        self._store = store
        self._later = later
        self._deadline = deadline
        self._log = log
        self._reporting = reporting
        self._answers: set[Answer] = set()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one connection or request; all but Recallr requests pass through untouched.

        Whether a request without our headers is one, LiteLLM's authentication decides: see `Call.awake`.
        """
        raw, rest = RawHeaders.take(scope.get("headers", ()))
        about_user = ReconifyHeaders()
        if self._reporting is not None:
            about_user, rest = ReconifyHeaders.take(rest)
        if raw.pairs or about_user.pairs:
            scope = {**scope, "headers": rest}
        if scope["type"] != "http" or (not raw.pairs and scope["method"] != "POST"):
            # Nothing to remember, as of a WebSocket; but our headers are nobody else's business.
            await self._app(scope, receive, send)
            return
        call = Call(raw, awake=bool(raw.pairs), retried=_is_retry(rest), about_user=about_user)
        recorder = Recorder(self._reporting, call, self._deadline) if self._reporting is not None else None
        answer = Answer(call, send, store=self._store, deadline=self._deadline, recorder=recorder)
        token = CURRENT.set(call)
        self._answers.add(answer)
        try:
            with self._reporting.serving() if self._reporting is not None else nullcontext():
                await self._app(scope, receive, answer)
        except Exception:
            await answer.fail()
            raise  # the server logs it
        finally:
            self._answers.discard(answer)
            CURRENT.reset(token)
            if call.awake:
                REQUESTS.labels(call.status).inc()
            if (exchange := answer.unstored()) is not None:
                self._later(exchange)
            if recorder is not None:
                recorder.end()
            if call.awake:
                self._log(call, answer.http_status)

    def store_beginnings(self) -> None:
        """Store what has been received of the answers still coming in. Called when the process is told to end."""
        for answer in self._answers:
            if (exchange := answer.unstored()) is not None:
                self._later(beginning_of(exchange))


class Answer:
    """Sends the answer on and keeps it: stored before the client can see that it is finished."""

    def __init__(
        self, call: Call, send: Send, *, store: Store, deadline: Deadline, recorder: Recorder | None = None
    ) -> None:
        self._call = call
        self._recorder = recorder
        self._send = send
        self._store = store
        self._deadline = deadline
        self.http_status: int | None = None
        """None until there is one."""
        self._start: Event | None = None
        self._body: bytearray | None = None
        """A whole answer while it is gathered."""
        self._events: EventReader | None = None
        """A streamed answer."""
        self._done = False
        """Stored or held; nothing more is to be done."""
        self._sending = False
        """The client has got the start of the answer."""

    async def __call__(self, event: Event) -> None:
        """ASGI `send`."""
        if self._events is not None and event["type"] == "http.response.body":
            self._events.feed(event.get("body", b""))
        if self._recorder is not None:
            self._recorder.see(event)
        if event["type"] == "http.response.start":
            self.http_status = event["status"]
        if event["type"] == "http.response.start" and self._call.awake:
            self._begin(event)
            if self._body is None:  # a stream, or nothing that is kept: all that its headers say is known by now
                await self._send_start()
        elif event["type"] != "http.response.body":
            await self._send(event)
        elif self._body is not None:
            await self._gather(event)
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
        return None if self._done or self._events is None else self._call.exchange(self._events.reply)

    def _begin(self, event: Event) -> None:
        """Hold the start until its headers can say everything."""
        self._start = event
        admitted = self._call.admitted
        if admitted is None or not 200 <= event["status"] < 300:
            return
        kind = _header(event, b"content-type")
        if kind.startswith(b"text/event-stream"):
            listen = self._recorder.listen() if self._recorder is not None else None
            self._events = EventReader(admitted.format.stream_reader(admitted.body), listen)
        elif kind.startswith(b"application/json"):
            self._body = bytearray()

    async def _gather(self, event: Event) -> None:
        assert self._body is not None
        self._body += event.get("body", b"")
        if event.get("more_body", False):
            return
        body, self._body = bytes(self._body), None
        await self._keep(self._read(body))
        await self._reported()
        await self._send_start()
        await self._send({**event, "body": body})

    async def _pass_on(self, event: Event) -> None:
        if self._events is not None and (self._events.complete or not event.get("more_body", False)):
            await self._keep(self._events.reply)
        await self._reported()
        await self._send_start()
        await self._send(event)

    async def _reported(self) -> None:
        """Reconify is told while the exchange is stored; what is left of it is waited for here."""
        if self._recorder is not None:
            await self._recorder.reported()

    async def _keep(self, reply: Reply) -> None:
        exchange = None if self._done else self._call.exchange(reply)
        if exchange is None:
            return
        begun = perf_counter()
        self._done = True
        try:
            stored = await self._store(exchange, self._deadline(self._call))
        except Exception:  # noqa: BLE001 - the answer is the client's, whatever becomes of our copy
            FAULTS.labels("capture").inc()
            _log.exception("Exchange %s is lost", exchange.id)
            stored = False
        if not stored and not self._call.degraded:
            self._call.degrade("store")
        self._call.spent += perf_counter() - begun

    def _read(self, body: bytes) -> Reply:
        admitted = self._call.admitted
        assert admitted is not None
        assert self._start is not None
        try:
            answer = json.loads(_decompressed(body, _header(self._start, b"content-encoding")))
            return admitted.format.read_reply(answer) if isinstance(answer, dict) else Reply()
        except Exception:  # noqa: BLE001 - an answer that cannot be read must reach the client all the same
            FAULTS.labels("answer").inc()
            _log.exception("The answer to request %s cannot be read and is not stored", self._call.request_id)
            return Reply()

    async def _send_start(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            self._sending = True
            headers = [*start.get("headers", ()), *_response_headers(self._call)]
            await self._send({**start, "headers": headers})


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


def _decompressed(body: bytes, encoding: bytes) -> bytes:
    """LiteLLM compresses whole answers for clients that accept gzip."""
    return zlib.decompress(body, wbits=zlib.MAX_WBITS | 16) if encoding == b"gzip" else body


def _is_retry(headers: list[tuple[bytes, bytes]]) -> bool:
    count = next((value for name, value in headers if name.lower() == b"x-stainless-retry-count"), b"0")
    return count.isdigit() and bool(count.strip(b"0"))
