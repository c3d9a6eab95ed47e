"""The door: recalls begin here, beside LiteLLM's own preparations of the request.

Only for a request with a Recallr key of its own, once that, its headers and its user are verified: nothing is searched
for or embedded for strangers. Where LiteLLM authenticates, by a binding, it has to do so first. Nothing is written
here, and no session is touched. If the request turns out to ask for something else, because LiteLLM or a guardrail has
changed it, memory is searched anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

from recallr_litellm.core.helper_calls import helper_call, may_quote
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.formats import FORMATS, Conversation
from recallr_litellm.formats.paths import call_type_of
from recallr_litellm.gateway.admission import Admission, admit
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.head_start import HeadStart, MemoryQuery, previous_in
from recallr_litellm.gateway.reading import Reading
from recallr_litellm.json_text import parsed
from recallr_litellm.memory.sessions import Sessions
from recallr_litellm.projects import Projects
from recallr_litellm.recall.by_strategy import MemorySearch, Question
from recallr_litellm.recall.question import needs_previous
from recallr_litellm.recall.trace import Trace
from recallr_litellm.settings import Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker

_MOST_BYTES = 100_000
"""Of a request that is read here, on the event loop: less than a millisecond's work."""


class Door:
    """Begins recalls.

    Args:
        breakers: of all that a search needs.
        traced: searches are explained afterwards.
    """

    def __init__(
        self,
        settings: Settings,
        projects: Projects,
        sessions: Sessions,
        search: MemorySearch,
        *,
        breakers: Sequence[CircuitBreaker],
        traced: bool,
    ) -> None:
        self._settings = settings
        self._projects = projects
        self._sessions = sessions
        self._search = search
        self._breakers = breakers
        self._traced = traced

    def enter(self, call: Call, path: str, body: bytes) -> None:
        """Begin the recall of a request whose body is there, if it is to have one. Raises nothing."""
        begun = perf_counter()
        try:
            call.head_start = self._head_start(call, path, body)
        except Exception:  # noqa: BLE001 - whatever is wrong with the request is told where it is enriched
            call.head_start = None
        call.spent += perf_counter() - begun

    def _head_start(self, call: Call, path: str, body: bytes) -> HeadStart | None:
        call_type = call_type_of(path)
        if call_type is None or call.raw.first("api-key") is None or len(body) > _MOST_BYTES:
            return None
        data = parsed(body.decode())
        conversation = FORMATS[call_type].read(data)
        if conversation is None:
            return None
        admission = admit(  # of a copy: who sent the request is told of it only once LiteLLM has let it in
            copy(call),
            conversation.user,
            self._projects,
            None,
            min_session_timeout_seconds=self._settings.min_session_timeout_seconds,
        )
        if admission is None:
            return None
        own = conversation.of_the_user(self._settings.client_tags)
        begun = HeadStart(Reading(call_type, data, conversation, own))
        query = self._query(call, admission, conversation, own)
        if query is not None and all(breaker.allows_requests for breaker in self._breakers):
            trace = Trace() if self._traced else None
            begun.search(query, self._find(query, call, admission.session.session_id, trace), trace)
        return begun

    def _query(
        self, call: Call, admission: Admission, conversation: Conversation, own: Conversation
    ) -> MemoryQuery | None:
        """What memory is to be searched for; None where that is nothing, or cannot be said without the session."""
        shape = replace(conversation.shape, headers=call.client_headers)
        if conversation.no_place or own.continues_turn or not own.turn:
            return None
        if helper_call(shape) is not None or may_quote(shape.last_user):
            return None
        previous = previous_in(own)
        if previous is None and needs_previous(own.question):
            return None
        owner = self._sessions.users.probable(admission.session.owner)
        options = admission.headers.recall_options
        options = replace(options, strategy=self._search.chosen(owner, options.strategy, own.question))
        return MemoryQuery(owner, own.question, previous or "", options)

    async def _find(
        self, query: MemoryQuery, call: Call, session_id: str | None, trace: Trace | None
    ) -> Recalled | None:
        if not await self._sessions.users.is_known(query.owner):
            return None
        return await self._search.first(
            query.owner,
            Question(query.question, query.previous),
            query.options,
            exclude_sessions=frozenset({session_id} if session_id else ()),
            now=datetime.fromtimestamp(call.received_at / 1000, UTC),
            trace=trace,
        )
