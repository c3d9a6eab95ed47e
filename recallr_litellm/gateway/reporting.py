"""Reports finished interactions to Reconify: requests as LiteLLM's hooks get them, answers as the client gets them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from recallr_litellm.errors import RedactionFailed
from recallr_litellm.gateway.call import Call, ReportedRequest, now_ms
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.header_values import Pairs
from recallr_litellm.litellm_host.models import providers_name
from recallr_litellm.metrics import FAULTS, RECONIFY
from recallr_litellm.reconify.bodies import TEXTS, client_body, sent_body
from recallr_litellm.reconify.files import without_files
from recallr_litellm.reconify.payload import Interaction, build, is_reported, lacks_usage
from recallr_litellm.reconify.person import person_of, take_from_body, take_headers
from recallr_litellm.reconify.redact import load_redaction, redacted
from recallr_litellm.reconify.service import Reconify

_log = logging.getLogger(__name__)

_MOST_WAITING = 1000
"""Reports that wait at once. Past it the wire's record is reported as it is."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Runs work in a task that a shutdown waits for."""


class Reporting(Reporter):
    """Reports the interactions of one worker.

    Args:
        default_timeout_seconds: of sessions whose requests name none.

    Raises:
        ConfigurationError: `RECONIFY_REDACT` cannot be used.
    """

    reports = True

    def __init__(self, reconify: Reconify, *, spawn: Spawn, default_timeout_seconds: int) -> None:
        settings = reconify.settings
        self._reconify = reconify
        self._all = settings.scope == "all"
        self._as_written = settings.request == "client"
        self._redact = load_redaction(settings.redact) if settings.redact else None
        self._keep_files = settings.keep_files
        self._spawn = spawn
        self._default_timeout_seconds = default_timeout_seconds
        self._waiting: dict[str, asyncio.Task[None]] = {}
        """The last report of each session that waits for LiteLLM's event, or behind one that does."""

    def take_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[Pairs, list[tuple[bytes, bytes]]]:
        return take_headers(headers)

    def begin(self, call: Call, body: dict[str, Any], call_type: str) -> None:
        if is_reported(call_type) and (call.awake or self._all):
            call.reported = ReportedRequest(call_type, about_user=take_from_body(body))
            if self._as_written:
                with _never_failing(call):
                    call.reported.request = client_body(body, call_type)

    def identify(self, call: Call, *, takes_part: bool) -> None:
        if call.reported is None:
            return
        call.reported.person = person_of(call.about_user, call.reported.about_user, call.user_id)
        if not (takes_part or self._all):
            call.reported = None

    def sent(self, call: Call, body: dict[str, Any]) -> None:
        if call.reported is not None and not self._as_written:
            with _never_failing(call):
                call.reported.request = sent_body(body, call.reported.call_type)

    def routed(self, call: Call, arguments: Mapping[str, Any], call_type: str) -> None:
        if call.reported is not None and not self._as_written and is_reported(call_type):
            with _never_failing(call):
                request = call.reported.request
                if call_type == call.reported.call_type:  # not a request that LiteLLM has translated into another API's
                    sent = sent_body({name: arguments[name] for name in TEXTS if name in arguments}, call_type)
                    request.update({name: text for name, text in sent.items() if name in request})
                request["model"] = providers_name(arguments)

    def answered(self, call: Call, whole: dict[str, Any] | None, *, within: float) -> asyncio.Task[None] | None:
        reported = call.reported
        if reported is None:
            return None
        call.reported = None
        request = call.admitted.request if call.admitted else None
        interaction = Interaction(
            call_type=reported.call_type,
            request=reported.request,
            reply=whole or {},
            requested_at_ms=call.received_at,
            answered_at_ms=now_ms(),
            session_id=call.session_id,
            timeout_seconds=(request.timeout_seconds or self._default_timeout_seconds) if request else None,
            person=reported.person,
        )
        session = call.session_id or call.request_id
        earlier = self._waiting.get(session)
        witness = call.witness if whole is None or lacks_usage(whole) else None
        waits = (witness is not None and not witness.told) or earlier is not None
        if waits and len(self._waiting) >= _MOST_WAITING:
            waits, witness, earlier = False, None, None
        task = self._spawn(self._report(call, interaction, within, witness, earlier))
        if not waits:
            return task
        self._waiting[session] = task
        task.add_done_callback(lambda _: self._waiting.pop(session) if self._waiting.get(session) is task else None)
        return None

    async def _report(
        self,
        call: Call,
        interaction: Interaction,
        within: float,
        witness: Witness | None,
        earlier: asyncio.Task[None] | None,
    ) -> None:
        """Report an interaction.

        Args:
            witness: of what the interaction lacks.
            earlier: the report of an earlier interaction of the session, which comes first.
        """
        try:
            if earlier is not None:
                await asyncio.wait({earlier})
            if witness is not None:
                await witness.wait()
                if not interaction.reply:
                    interaction = replace(interaction, reply=witness.answer or {})
                interaction = replace(interaction, usage=witness.usage)
            if self._redact is not None:  # the user's own code, which may take its time
                payload = await asyncio.to_thread(self._payload, interaction)
            else:
                payload = self._payload(interaction)
            if payload is not None:
                owner = call.admitted.request.owner if call.admitted else None
                await self._reconify.add(
                    owner,
                    call.session_id or "",
                    call.request_id,
                    payload,
                    within=within,
                    received_at=call.received_at,
                )
        except RedactionFailed as error:
            RECONIFY.labels("dropped").inc()
            _log.error("Interaction %s is not reported to Reconify: %s", call.request_id, error)
        except Exception:  # noqa: BLE001 - it is about analytics, and the request is not to suffer for it
            FAULTS.labels("reconify").inc()
            _log.exception("Interaction %s is not reported to Reconify", call.request_id)

    def _payload(self, interaction: Interaction) -> dict[str, Any] | None:
        payload = build(interaction)
        if payload is not None and not self._keep_files:
            payload = {**payload, **{part: without_files(payload[part]) for part in ("request", "response")}}
        return redacted(payload, self._redact) if payload is not None and self._redact is not None else payload


@contextlib.contextmanager
def _never_failing(call: Call) -> Iterator[None]:
    """On any error, for example with a body nested too deep, the request continues and is not reported."""
    try:
        yield
    except Exception:  # noqa: BLE001 - it is about analytics, and the request is not to suffer for it
        call.reported = None
        FAULTS.labels("reconify").inc()
        _log.exception("Request %s is not reported to Reconify", call.request_id)
