"""Tells Reconify of finished interactions: what was asked, taken in LiteLLM's hook; what was answered, off the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from recallr_litellm.errors import RedactionFailed
from recallr_litellm.formats import Reply
from recallr_litellm.formats.sse import EventReader
from recallr_litellm.gateway.call import Call, now_ms
from recallr_litellm.litellm_host.models import providers_name
from recallr_litellm.metrics import FAULTS, RECONIFY
from recallr_litellm.reconify.bodies import client_body, sent_body
from recallr_litellm.reconify.payload import Interaction, build, is_reported
from recallr_litellm.reconify.person import person_of, take_from_body
from recallr_litellm.reconify.records import ReportedRequest
from recallr_litellm.reconify.redact import load_redaction, redacted
from recallr_litellm.reconify.service import Reconify

_log = logging.getLogger(__name__)

_END = re.compile(r'\{\s*"type":\s*"(?:message_stop|response\.(?:completed|incomplete|failed))"')
"""Anthropic's and Responses' last events. Gemini has none: there the HTTP answer ends."""

_MANY_EVENTS = 500
"""Longer streams, and the user's own code, are worked on in a thread: the hop costs more than a short one takes."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Runs work in a task that a shutdown waits for."""


class Reporting:
    """The way of interactions to Reconify, for one worker.

    Args:
        spawn: see the type.
        default_timeout_seconds: of sessions whose requests name none.

    Raises:
        ConfigurationError: `RECONIFY_REDACT` cannot be used.
    """

    def __init__(self, reconify: Reconify, *, spawn: Spawn, default_timeout_seconds: int) -> None:
        settings = reconify.settings
        self._reconify = reconify
        self._all = settings.scope == "all"
        self._as_written = settings.request == "client"
        self._redact = load_redaction(settings.redact) if settings.redact else None
        self._spawn = spawn
        self._default_timeout_seconds = default_timeout_seconds

    def serving(self) -> AbstractContextManager[None]:
        """To be held while a request is served: sending gives way to it."""
        return self._reconify.in_flight.one_more()

    def begin(self, call: Call, body: dict[str, Any], call_type: str) -> None:
        """Take off the body what it says of its user, and keep it if it is to be told as the client wrote it.

        Called before anything is injected. Does nothing for a request that is not reported.
        """
        if is_reported(call_type) and (call.awake or self._all):
            call.reported = ReportedRequest(call_type, about_user=take_from_body(body))
            if self._as_written:
                with _never_failing(call):
                    call.reported.request = client_body(body)

    def identify(self, call: Call, *, takes_part: bool) -> None:
        """Say who asks, once it is known whether the request takes part in memory.

        Raises:
            InvalidReconifyUser: what the request says of its user is wrong.
        """
        if call.reported is None:
            return
        call.reported.person = person_of(call.about_user, call.reported.about_user, call.user_id)
        if not (takes_part or self._all):
            call.reported = None

    def sent(self, call: Call, body: dict[str, Any]) -> None:
        """Keep the body as it goes on to the provider, if it is to be told so."""
        if call.reported is not None and not self._as_written:
            with _never_failing(call):
                call.reported.request = sent_body(body)

    def routed(self, call: Call, arguments: Mapping[str, Any], call_type: str) -> None:
        """Tell the model by the name under which the provider gets it, if the request is told as the provider got it.

        Args:
            arguments: of LiteLLM's call of the model that its router has chosen; of several, the last one counts.
        """
        if call.reported is not None and not self._as_written and is_reported(call_type):
            with _never_failing(call):
                call.reported.request["model"] = providers_name(arguments)

    def answered(
        self, call: Call, reply: dict[str, Any] | None, events: tuple[str, ...], *, complete: bool, within: float
    ) -> asyncio.Task[None] | None:
        """Tell Reconify, in a task that never raises. None when there is nothing to tell.

        Args:
            within: seconds that Redis may take before the payload is held in this process.
        """
        reported = call.reported
        if reported is None or (reply is None and not events):
            return None
        call.reported = None
        request = call.admitted.request if call.admitted else None
        interaction = Interaction(
            call_type=reported.call_type,
            request=reported.request,
            reply=reply,
            events=events,
            requested_at_ms=call.received_at,
            answered_at_ms=now_ms(),
            session_id=call.session_id,
            timeout_seconds=(request.timeout_seconds or self._default_timeout_seconds) if request else None,
            person=reported.person,
            complete=complete,
        )
        return self._spawn(self._tell(call, interaction, within))

    async def _tell(self, call: Call, interaction: Interaction, within: float) -> None:
        try:
            if self._redact is not None or len(interaction.events) > _MANY_EVENTS:
                payload = await asyncio.to_thread(self._payload, interaction)
            else:
                payload = self._payload(interaction)
            if payload is not None:
                owner = call.admitted.request.owner if call.admitted else None
                await self._reconify.add(owner, call.session_id or "", call.request_id, payload, within=within)
        except RedactionFailed as error:
            RECONIFY.labels("dropped").inc()
            _log.error("Interaction %s is not reported to Reconify: %s", call.request_id, error)
        except Exception:  # noqa: BLE001 - it is about analytics, and the request is not to suffer for it
            FAULTS.labels("reconify").inc()
            _log.exception("Interaction %s is not reported to Reconify", call.request_id)

    def _payload(self, interaction: Interaction) -> dict[str, Any] | None:
        payload = build(interaction)
        return redacted(payload, self._redact) if payload is not None and self._redact is not None else payload


@contextlib.contextmanager
def _never_failing(call: Call) -> Iterator[None]:
    """Whatever goes wrong, for example with a body nested beyond all measure: the request goes on, untold."""
    try:
        yield
    except Exception:  # noqa: BLE001 - it is about analytics, and the request is not to suffer for it
        call.reported = None
        FAULTS.labels("reconify").inc()
        _log.exception("Request %s is not reported to Reconify", call.request_id)


class Recorder:
    """Keeps what the client is answered, until it can be reported.

    Args:
        within: seconds that the plugin may still add to this request.
    """

    def __init__(self, reporting: Reporting, call: Call, within: Callable[[Call], float]) -> None:
        self._reporting = reporting
        self._call = call
        self._within = within
        self._encoding = b""
        self._body: list[bytes] | None = None
        """A whole answer."""
        self._stream: _EventLog | None = None
        """A streamed answer."""
        self._events: EventReader | None = None
        """Reads the stream, unless somebody else does."""
        self._task: asyncio.Task[None] | None = None

    def see(self, event: Any) -> None:
        """Take an ASGI event on its way to the client; when it is the last one of an answer, begin to report."""
        if self._call.reported is not None:
            with _never_failing(self._call):
                self._see(event)

    def _see(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self._start(event)
        elif event["type"] == "http.response.body":
            self._take(event.get("body", b""), last=not event.get("more_body", False))

    def listen(self) -> Callable[[str], None] | None:
        """What takes each event of the stream, for one who reads it anyway. None: nobody needs to be told.

        To be called when the answer has begun; the events are to be given before the bytes that they came in.
        """
        self._events = None
        return self._stream.feed if self._stream is not None else None

    async def reported(self) -> None:
        """Wait for a report that has begun, as long as the request may be held up by it."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=self._within(self._call))

    def end(self) -> None:
        """The answer is over, and if it has not ended as it should, it broke off."""
        if self._stream is not None:
            self._report(None, tuple(self._stream.events), complete=False)

    def _start(self, event: Any) -> None:
        headers = {bytes(name).lower(): bytes(value).lower() for name, value in event.get("headers", ())}
        kind = headers.get(b"content-type", b"")
        if not 200 <= event["status"] < 300:
            self._call.reported = None
        elif kind.startswith(b"text/event-stream"):
            self._stream = _EventLog()
            self._events = EventReader(self._stream)
        elif kind.startswith(b"application/json"):
            self._body = []
            self._encoding = headers.get(b"content-encoding", b"")

    def _take(self, chunk: bytes, *, last: bool) -> None:
        if self._stream is not None:
            if self._events is not None:
                self._events.feed(chunk)
            if last or self._stream.complete:
                self._report(None, tuple(self._stream.events), complete=True)
        elif self._body is not None:
            self._body.append(bytes(chunk))
            if last:
                reply = self._read(b"".join(self._body))
                self._body = None
                self._report(reply, (), complete=True)

    def _read(self, body: bytes) -> dict[str, Any] | None:
        try:
            if self._encoding == b"gzip":
                body = zlib.decompress(body, wbits=zlib.MAX_WBITS | 16)
            answer = json.loads(body)
        except (ValueError, RecursionError, zlib.error):
            return None
        return answer if isinstance(answer, dict) else None

    def _report(self, reply: dict[str, Any] | None, events: tuple[str, ...], *, complete: bool) -> None:
        if self._task is None:
            within = self._within(self._call)
            self._task = self._reporting.answered(self._call, reply, events, complete=complete, within=within)


class _EventLog:
    """A `StreamReader` that keeps the events as they are."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.complete = False
        """The event has come that is the last in its format."""

    def feed(self, data: str) -> None:
        """See `StreamReader.feed`."""
        self.events.append(data)
        self.complete = self.complete or data == "[DONE]" or _END.match(data) is not None

    @property
    def reply(self) -> Reply:
        """See `StreamReader.reply`. What is said here is not read."""
        return Reply()
