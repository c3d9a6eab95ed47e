"""Outermost ASGI wrapper: takes our headers off, and lets each answer be read on its way out. See `answer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recallr_litellm.core.chat_ids import HEADER_NAMES
from recallr_litellm.core.helper_calls import CLASS_HEADER, MARKING_HEADERS
from recallr_litellm.gateway.answer import Answer, Deadline, Later, Store
from recallr_litellm.gateway.asgi import App, Event, Receive, Send, is_api_request, path_of, with_path_undecoded
from recallr_litellm.gateway.call import CURRENT, Call
from recallr_litellm.gateway.replay import Replay
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.memory.capture import beginning_of
from recallr_litellm.metrics import REQUESTS
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.tasks import InFlight

_OF_CLIENTS = frozenset({CLASS_HEADER, *MARKING_HEADERS, *HEADER_NAMES})

Ended = Callable[[Call, int | None], None]
"""Takes a Recallr request that has ended, with the HTTP status of its response, if it got one."""


Enter = Callable[[Call, str, bytes], None]
"""Begins what can be begun for a request whose body is there: its call, path and body."""


class RecallrMiddleware:
    """Wraps LiteLLM's application."""

    def __init__(
        self,
        app: App,
        *,
        store: Store,
        later: Later,
        deadline: Deadline,
        enter: Enter,
        ended: Sequence[Ended],
        reporter: Reporter,
        in_flight: InFlight,
    ) -> None:
        self._app = app
        self._store = store
        self._later = later
        self._deadline = deadline
        self._enter = enter
        self._ended = ended
        self._reporter = reporter
        self._in_flight = in_flight
        self._answers: set[Answer] = set()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one connection or request; all but Recallr requests pass through untouched.

        Whether a request without our headers is one, LiteLLM's authentication decides: see `Call.awake`.
        """
        if is_api_request(scope):  # answered by `api/rest`, which reads the headers itself
            await self._app(with_path_undecoded(scope), receive, send)
            return
        raw, rest = RawHeaders.take(scope.get("headers", ()))
        about_user, rest = self._reporter.take_headers(rest)
        if raw.pairs or about_user:
            scope = {**scope, "headers": rest}
        if scope["type"] != "http" or (not raw.pairs and scope["method"] != "POST"):
            # Nothing to remember, as of a WebSocket; but our headers are nobody else's business.
            await self._app(scope, receive, send)
            return
        call = Call(
            raw,
            awake=bool(raw.pairs),
            retried=_is_retry(rest),
            client_headers=_client_headers(rest),
            size=_size(rest),
            about_user=about_user,
        )
        answer = Answer(
            call, send, store=self._store, later=self._later, deadline=self._deadline, reporter=self._reporter
        )
        token = CURRENT.set(call)
        self._answers.add(answer)
        try:
            with self._in_flight.one_more():
                await self._serve(call, scope, receive, answer)
        except Exception:
            await answer.fail()
            raise  # the server logs it
        finally:
            self._answers.discard(answer)
            CURRENT.reset(token)
            if call.head_start is not None:
                call.head_start.cancel()
            if call.awake:
                REQUESTS.labels(call.status).inc()
            if (exchange := answer.unstored()) is not None:
                self._later(exchange, None)
            answer.report_beginning()
            if call.awake:
                for take in self._ended:
                    take(call, answer.http_status)

    async def _serve(self, call: Call, scope: Event, receive: Receive, answer: Answer) -> None:
        """Get the answer; where a guardrail refuses what was injected, that of the request as the client sent it."""
        if _is_form(scope):
            await self._app(scope, receive, answer)
            return
        again = {**scope, **({"state": {**scope["state"]}} if "state" in scope else {})}  # applications write to both
        body = Replay(receive, lambda whole: self._enter(call, path_of(scope), whole))

        async def send(event: Event) -> None:
            if not call.refused:
                body.forget()
                call.answering = True
                await answer(event)

        try:
            await self._app(scope, body, send)
        except Exception:
            if not call.refused:
                raise
        if call.refused:
            call.take_back()
            await self._app(again, body.again(), answer)

    def store_beginnings(self) -> None:
        """Store what has been received of the answers still coming in. Called when the process is told to end."""
        for answer in self._answers:
            if (exchange := answer.unstored()) is not None:
                self._later(beginning_of(exchange), None)


def _is_form(scope: Event) -> bool:
    """Whether it uploads a form, such as a file: nothing is injected into one, and it can be large."""
    return any(name == b"content-type" and value.startswith(b"multipart/") for name, value in scope["headers"])


def _client_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {
        lower: value.decode("latin-1")
        for name, value in headers
        if (lower := name.decode("latin-1").lower()) in _OF_CLIENTS
    }


def _size(headers: list[tuple[bytes, bytes]]) -> int | None:
    length = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(length) if length.isdigit() else None


def _is_retry(headers: list[tuple[bytes, bytes]]) -> bool:
    count = next((value for name, value in headers if name.lower() == b"x-stainless-retry-count"), b"0")
    return count.isdigit() and bool(count.strip(b"0"))
