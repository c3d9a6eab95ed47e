"""What happens to a request before the model sees it: admit, open the session, recall, inject."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from recallr_litellm.core.bounds import newest
from recallr_litellm.core.chats import chat_of
from recallr_litellm.core.helper_calls import CallShape, helper_call, may_quote, quotes
from recallr_litellm.core.history import plan
from recallr_litellm.core.instructions import instructions
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.options import Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.room import Model
from recallr_litellm.errors import (
    CallRefused,
    EmbeddingUnavailable,
    KeysUnavailable,
    ModelUnavailable,
    RecallrError,
    RequestError,
    StateUnavailable,
    Unavailable,
    UserNotFound,
    VectorsUnavailable,
)
from recallr_litellm.formats import FORMATS, Conversation
from recallr_litellm.gateway.admission import Admission, admit, authorise
from recallr_litellm.gateway.binding import Bindings
from recallr_litellm.gateway.call import AdmittedRequest, Call
from recallr_litellm.gateway.door import Door
from recallr_litellm.gateway.head_start import MemoryQuery, previous_in
from recallr_litellm.gateway.laid_blocks import LaidBlocks
from recallr_litellm.gateway.placement import Placement, place
from recallr_litellm.gateway.reading import hashed, own_words
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.stage import Stage
from recallr_litellm.litellm_host.tracing import body_as_sent, client_session, name_session
from recallr_litellm.memory.sessions import OpenedSession, Sessions
from recallr_litellm.metrics import ADDED, FAULTS, HELPER_CALLS, REJECTED
from recallr_litellm.projects import Projects
from recallr_litellm.recall.by_strategy import MemorySearch, Question
from recallr_litellm.recall.question import needs_previous
from recallr_litellm.recall.trace import Trace
from recallr_litellm.settings import Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore

_log = logging.getLogger(__name__)

_MARGIN, _MOST_MARGIN = 0.1, 1.0
"""Share of the deadline, and most seconds, that are kept from what may take long for writing down what was found."""


class Recollection:
    """The memory work of a request, bounded by the deadline of its strategy.

    Args:
        count_tokens: LiteLLM's own counter, for the budget of the memory block.
        model_behind: what is known of a model by its name, the team that asks, and whether the gateway routes it.
        traced: requests are explained afterwards.
    """

    def __init__(
        self,
        settings: Settings,
        projects: Projects,
        sessions: Sessions,
        state: StateStore,
        search: MemorySearch,
        *,
        state_breaker: CircuitBreaker,
        vectors_breaker: CircuitBreaker,
        embedding_breaker: CircuitBreaker,
        count_tokens: Callable[[str], int],
        model_behind: Callable[..., Model],
        reporter: Reporter,
        traced: bool = False,
    ) -> None:
        self._settings = settings
        self._projects = projects
        self._bindings = Bindings(
            min_session_timeout_seconds=settings.min_session_timeout_seconds, holders=settings.bound_by
        )
        self._sessions = sessions
        self._search = search
        self._state_breaker = state_breaker
        self._vectors_breaker = vectors_breaker
        self._embedding_breaker = embedding_breaker
        self._count_tokens = count_tokens
        self._model_behind = model_behind
        self._laid = LaidBlocks(settings, state, state_breaker, count_tokens=count_tokens)
        self._reporter = reporter
        self._traced = traced
        self.door = Door(
            settings,
            projects,
            sessions,
            search,
            breakers=(state_breaker, vectors_breaker, embedding_breaker),
            traced=traced,
        )

    async def enrich(self, call: Call, body: dict[str, Any], call_type: str, key: Any = None) -> None:
        """Admit a request and put into its body what the model should know.

        Args:
            key: LiteLLM's `UserAPIKeyAuth` of the request. If a project is bound to it, `call` wakes.

        Raises:
            RequestError: the request must be refused. Any other fault is logged, and the request goes on.
        """
        begun = perf_counter()
        try:
            if call.refused:
                await self._go_on_without(call, body, call_type)
                return
            binding = self._bindings.of(key)
            call.awake = call.awake or binding is not None
            self._reporter.begin(call, body, call_type)
            if not call.awake:
                self._reporter.identify(call, takes_part=False)
                return
            if self._traced:
                call.trace = Trace(call_type, str(body.get("model") or "") or None)
            format = FORMATS.get(call_type)
            reading = call.head_start.reading_of(body, call_type) if call.head_start is not None else None
            conversation = reading.conversation if reading else format.read(body) if format else None
            if format is None or conversation is None:  # no memory here; a wrong key is refused all the same
                call.project_id = authorise(call.raw, self._projects, binding)
                self._reporter.identify(call, takes_part=call.project_id is not None)
                return
            admission = admit(
                call,
                conversation.user,
                self._projects,
                binding,
                min_session_timeout_seconds=self._settings.min_session_timeout_seconds,
                key=key,
            )
            self._reporter.identify(call, takes_part=admission is not None)
            if admission is None:
                return
            as_sent = conversation.messages
            shape = replace(conversation.shape, headers=call.client_headers)
            conversation = reading.own if reading else await own_words(conversation, self._settings.client_tags)
            if (rule := await self._helper_call(shape, admission)) is not None:
                HELPER_CALLS.labels(rule).inc()
                call.status, call.reason = "off", f"helper call: {rule}"
                return
            conversation = replace(conversation, messages=newest(conversation.messages))
            await hashed(conversation.messages)
            chat = chat_of(
                conversation.messages,
                as_sent=as_sent[:2],
                header=admission.headers.conversation_id,
                client_headers=call.client_headers,
                body=body_as_sent(body),
                litellm_session=client_session(body),
            )
            request = replace(admission.session, chat=chat)
            admitted = AdmittedRequest(format, body, conversation, request, admission.headers.recall_strategy)
            # From here on the exchange is kept, whatever happens to its memory: only what succeeds is ever stored.
            call.admitted = admitted
            admitted.placement = self._place(call, admitted, admission, key)
            call.lap("admission")
            try:
                blocks = await self._remember_in_time(call, admitted, admission)
            except UserNotFound:
                if not admission.lenient:
                    raise
                call.admitted, call.status, call.reason = None, "off", "the user may not be created"
                return
            if call.session_id is not None and not call.forwarded:
                name_session(body, call.session_id)
            call.show(blocks.values())
            call.injected = admitted.placement.inject(format, body, blocks, into_system=self._laid.into_system)
            call.lap("injection")
        except RequestError as error:
            call.status, call.reason = "off", error.code
            if call.trace is not None:
                call.trace.fault = error.message
            REJECTED.labels(error.code).inc()
            raise
        except KeysUnavailable as error:
            self._reporter.identify(call, takes_part=False)
            self._note(call, error.reason, error)
        except Exception:  # noqa: BLE001 - whatever it is, it is ours and not the user's
            FAULTS.labels("request").inc()
            _log.exception("Request %s goes on without memory", call.request_id)
            call.degrade("store")
        finally:
            if call.head_start is not None:
                call.head_start.cancel()
            if call.awake:
                call.spent += perf_counter() - begun
                if not call.refused:
                    ADDED.observe(call.spent)

    async def _go_on_without(self, call: Call, body: dict[str, Any], call_type: str) -> None:
        """Prepare the second attempt of a request of which a guardrail has refused what was injected."""
        self._reporter.begin(call, body, call_type)
        self._reporter.identify(call, takes_part=True)
        if call.session_id is not None:
            name_session(body, call.session_id)
        await self._laid.take_back(call)

    def _place(self, call: Call, admitted: AdmittedRequest, admission: Admission, key: Any) -> Placement:
        name, team = str(admitted.body.get("model") or ""), getattr(key, "team_id", None)
        return place(
            self._model_behind(name, team, routed=not call.forwarded),
            admitted.conversation,
            admitted.body,
            size=call.size,
            instructions=instructions(admitted.strategy) if admission.headers.include_system_prompt else "",
            context_tokens=self._settings.most_context_tokens,
            count_tokens=self._count_tokens,
        )

    async def _helper_call(self, shape: CallShape, admission: Admission) -> str | None:
        """The rule by which a request only serves its client; None for a turn of the user's."""
        rule = helper_call(shape)
        if rule is not None or not may_quote(shape.last_user) or not self._state_breaker.allows_requests:
            return rule
        try:
            said = await self._sessions.recent_texts(admission.session.owner, tokens=self._settings.context_tokens)
        except RecallrError:
            return None
        asked, answered = ([m.text for m in said if m.role == role] for role in ("user", "assistant"))
        return "quotes the chat" if quotes(shape.last_user, asked, answered) else None

    async def _remember_in_time(
        self, call: Call, admitted: AdmittedRequest, admission: Admission
    ) -> dict[int, LaidBlock]:
        """The memory blocks for the request, by the number of user messages behind theirs; none when there is nothing,
        or no time."""
        stage = Stage(call, admitted, admission)
        call.status, call.strategy = "ok", stage.strategy.value
        if stage.strategy is Strategy.AUTO:
            stage.strategy = self._search.chosen(admitted.request.owner, stage.strategy, admitted.conversation.question)
            call.strategy = f"{Strategy.AUTO.value}:{stage.strategy.value}"
        seconds = self._settings.deadline_seconds(stage.strategy)
        stage.until = asyncio.get_running_loop().time() + seconds - min(_MOST_MARGIN, seconds * _MARGIN)
        try:
            async with asyncio.timeout(seconds):
                await self._gather(stage)
        except TimeoutError as error:
            if stage.searching:
                self._vectors_breaker.suspect()
                self._embedding_breaker.suspect()
            else:
                self._state_breaker.suspect()
            self._note(call, "timeout", error)
        except RequestError:
            raise
        except RecallrError as error:  # an outage, one refused call, or a store with another model's vectors
            self._trip(error, stage)
            self._note(call, error.reason if isinstance(error, Unavailable | CallRefused) else "store", error)
        if admitted.placement.refused:
            call.status, call.reason, call.strategy = "off", admitted.placement.refused, None
            return {}
        await self._laid.lay(stage)
        call.lap("block")
        stage.leave_trace(into_system=self._laid.into_system)
        if call.status == "ok" and not stage.shown_already and not any(block.text for block in stage.laid.values()):
            call.status = "empty"
        return stage.laid

    async def _gather(self, stage: Stage) -> None:
        """Fill the stage, the most needed first, so that what is there when time runs out can be used."""
        admitted = stage.admitted
        self._state_breaker.require()
        session = admitted.session = await self._sessions.open(admitted.request, with_blocks=self._laid.wanted(stage))
        admitted.request = replace(admitted.request, owner=session.owner)
        stage.call.session_id, stage.call.found_by = session.id, session.found_by
        if admitted.placement.refused:
            return
        owner, conversation = admitted.request.owner, admitted.conversation
        turn, question = conversation.turn, conversation.question
        if not turn:  # the provider keeps the history, and this request brings only the results of tools
            turn = next((entry.fingerprint for entry in reversed(session.entries) if entry.role == "user"), "")
            question = await self._said_before(owner, session, 0)
        stage.turn = turn
        kept = session.blocks
        if self._laid.settle_turn(stage, kept):
            return
        if not conversation.history_elsewhere:
            todo = plan(session.entries, conversation.messages, retry=stage.call.retried)
            settled = self._laid.put_back(stage, kept, todo)
            opened, session = session, await self._sessions.part(admitted.request, session, todo)
            admitted.session, admitted.plan = session, todo if session is opened else None
            stage.call.session_id = session.id
            if settled:
                return
            here = set(session.entries)
            unseen = [entry for entry in todo.unseen if entry in here]
            stage.unseen = await self._sessions.read(owner, session.id, unseen, tokens=self._settings.context_tokens)
        stage.ongoing = await self._sessions.ongoing(owner, session.other_ids, tokens=self._settings.context_tokens)
        self._vectors_breaker.require()
        self._embedding_breaker.require()
        stage.call.lap("session")
        stage.searching = True
        # Not `session.other_ids`: one that was made memory since then is to be found there.
        seen = frozenset((session.id, *(other.id for other in stage.ongoing)))
        previous = await self._previous_message(owner, conversation, session, question)
        asked, begun = Question(question, previous, conversation.messages[:-1]), stage.call.head_start
        query = MemoryQuery(owner, question, previous, stage.options)
        fault, part = None, "scoring"
        async for progress in self._search(
            owner,
            asked,
            stage.options,
            exclude_sessions=seen,
            now=stage.moment,
            until=stage.until,
            trace=stage.call.trace,
            begun=partial(begun.recalled, query, seen, stage.call.trace) if begun is not None else None,
        ):
            stage.recalled, fault = progress.recalled, progress.fault
            stage.call.lap(part)
            part = "agent"
        if fault is not None:
            self._note(stage.call, ModelUnavailable.reason, ModelUnavailable(fault))
        stage.searching = False

    async def _previous_message(
        self, owner: Owner, conversation: Conversation, session: OpenedSession, question: str
    ) -> str:
        """What the user said before the question, in this session; "" if it is the first, or tells enough itself."""
        if (previous := previous_in(conversation)) is not None:
            return previous
        if not needs_previous(question):
            return ""
        # A client that sends its newest message alone has said the one before in an earlier request.
        said = sum(message.role == "user" for message in conversation.messages)
        return await self._said_before(owner, session, 1 - said)

    async def _said_before(self, owner: Owner, session: OpenedSession, back: int) -> str:
        """The user's last message in the session, or the one `back` places before it; "" if there is none."""
        said = [entry for entry in session.entries if entry.role == "user"]
        wanted = [said[-1 - back]] if back < len(said) else []
        found = await self._sessions.read(owner, session.id, wanted, tokens=self._settings.context_tokens)
        return found[0].message.text if found else ""

    def _trip(self, error: RecallrError, stage: Stage) -> None:
        """Stop requests to a store that is out for everybody. What one call was refused stops nobody else."""
        if isinstance(error, StateUnavailable):
            self._state_breaker.trip(error)
        elif isinstance(error, VectorsUnavailable) and stage.searching:
            self._vectors_breaker.trip(error)
        elif isinstance(error, VectorsUnavailable):  # it may only refuse to write the new user
            self._vectors_breaker.suspect()
        elif isinstance(error, EmbeddingUnavailable):
            self._embedding_breaker.trip(error)
        elif isinstance(error, CallRefused):
            FAULTS.labels("request").inc()

    def _note(self, call: Call, reason: str, error: BaseException) -> None:
        call.degrade(reason)
        call.reason = str(error) or None
        call.lap("given up")
