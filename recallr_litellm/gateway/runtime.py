"""Puts the parts together for one worker, starts and stops them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.room import Model
from recallr_litellm.errors import StateUnavailable, Unavailable, VectorsUnavailable
from recallr_litellm.gateway.background import for_ever, report_fault, run_aside
from recallr_litellm.gateway.offered_services import OfferedServices
from recallr_litellm.gateway.recollection import Recollection
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.learning.estimate import Price
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.learner import Learner
from recallr_litellm.learning.model import Written
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.memory.capture import Capture, Exchange
from recallr_litellm.memory.processing import Processor
from recallr_litellm.memory.sessions import DEFAULT_TIMEOUT_SECONDS, Sessions
from recallr_litellm.metrics import EXCHANGES, QUEUE
from recallr_litellm.recall import Recall
from recallr_litellm.recall.agentic import Agent, Completion
from recallr_litellm.recall.by_strategy import MemorySearch
from recallr_litellm.recall.profile import Profiles
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.services.explain import Explain
from recallr_litellm.services.forgetting import Forgetting
from recallr_litellm.services.learning import Learning
from recallr_litellm.services.retention import Retention
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import GatewayEmbed
from recallr_litellm.stores.state.learning_queue import LearningQueue
from recallr_litellm.tasks import InFlight, end

if TYPE_CHECKING:
    from recallr_litellm.reconify.service import Reconify
    from recallr_litellm.services.webhooks import Webhooks

_log = logging.getLogger(__name__)

_LATE_SECONDS = 10.0
"""Longest wait for storing an exchange that no client waits for."""

_GIVES_WAY_SECONDS = 0.1
_REST = 5.0
"""How work in the background gives way to requests: see `InFlight.first`."""

_NOTE_INTERVALS = 10
"""After how many process intervals it is noted who was heard of."""

_COUNT_SECONDS = 10.0
"""How often the queue is counted for the metrics."""


class Runtime(OfferedServices):
    """The plugin in one worker.

    Args:
        gateway_embed: embeds through the gateway, for `RECALLR_EMBEDDING_MODEL=litellm/…`.
        gateway_complete: completes a chat with the model of the gateway that is its first argument.
        gateway_write_json: likewise, has it write JSON by a schema.
        count_tokens: tokens of a text.
        model_behind: see `Recollection`.
        price_of: of a model of the gateway; None where it is not known.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        gateway_embed: GatewayEmbed,
        gateway_complete: Callable[..., Coroutine[Any, Any, Completion]],
        gateway_write_json: Callable[..., Coroutine[Any, Any, Written]],
        count_tokens: Callable[[str], int],
        model_behind: Callable[..., Model],
        price_of: Callable[[str], Price | None] = lambda _: None,
    ) -> None:
        super().__init__(settings, gateway_embed=gateway_embed, count_tokens=count_tokens)
        self._gateway_complete = gateway_complete
        self._gateway_write_json = gateway_write_json
        self._model_behind = model_behind
        self._price_of = price_of
        self._tasks: set[asyncio.Task[Any]] = set()
        self._to_store: set[asyncio.Task[Any]] = set()
        self._reconify: Reconify | None = None
        self._webhooks: Webhooks | None = None
        self._learner: Learner | None = None
        self._to_learn: LearningQueue | None = None
        self.reporter = Reporter()
        self.in_flight = InFlight()
        """The requests that work in the background gives way to."""

    def start(self, install: Callable[[], None]) -> None:
        """Open everything, put it into use and start the background work. Blocks; called once, on the worker's loop.

        A store that does not answer does not stop the start: requests are served without memory until it does.

        Raises:
            ConfigurationError: something is wrong that only a person can set right.
        """
        try:
            self._open()
            self._put_together()
            install()
        except BaseException:
            run_aside(self._resources.aclose())
            raise
        self._work()

    def _put_together(self) -> None:
        """Make the services out of what is open."""
        settings = self.settings
        default_timeout = max(DEFAULT_TIMEOUT_SECONDS, settings.min_session_timeout_seconds)
        self._sessions = Sessions(self._state, self._vectors, default_timeout_seconds=default_timeout)
        self._capture = Capture(self._state, self._sessions, self._state_breaker, capacity=settings.held_exchanges)
        self._open_reconify(default_timeout)
        self._open_webhooks()
        budget = TokenBudget(self._state, lambda project: self.projects.settings_of(project).memory_budget_tokens)
        profiles = Profiles(self._vectors, tokens=self.projects.profile_tokens, count_tokens=self._count_tokens)
        search = MemorySearch(
            Recall(self._vectors, self._embedder, self._sparse),
            self._vectors,
            self._agent(),
            may_use_agentic=self.projects.may_use_agentic,
            budget=budget,
            profiles=profiles,
        )
        self._open_learning(budget)
        self._processor = Processor(
            self._state,
            self._vectors,
            self._embedder,
            self._sparse,
            state_breaker=self._state_breaker,
            vectors_breaker=self._writes_breaker,
            embedding_breaker=self._embedding_breaker,
            interval=settings.process_interval_seconds,
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_processing_attempts,
            on_processed=self._processed,
            count_tokens=self._count_tokens,
        )
        self._resources.push_async_callback(self._processor.give_back)
        explain = Explain(
            self._state,
            self._state_breaker,
            hours=settings.explain_hours,
            megabytes=settings.explain_mb,
            wanted=self.projects.wants_explanations,
        )
        self.recollection = Recollection(
            settings,
            self.projects,
            self._sessions,
            self._state,
            search,
            state_breaker=self._state_breaker,
            vectors_breaker=self._vectors_breaker,
            embedding_breaker=self._embedding_breaker,
            count_tokens=self._count_tokens,
            model_behind=self._model_behind,
            reporter=self.reporter,
            traced=explain.enabled,
        )
        forgetting = Forgetting(
            self._knowing,
            self._state_breaker,
            timeout_seconds=self._store_seconds,
            interval=max(settings.process_interval_seconds, settings.lease_seconds / 10),
            lease_seconds=settings.lease_seconds,
            on_user_forgotten=self._webhooks.user_forgotten if self._webhooks is not None else None,
        )
        self._retention = Retention(
            self._state,
            self._vectors,
            forgetting,
            self.projects.retentions,
            interval=60 * settings.process_interval_seconds,
        )
        model = settings.memory_model
        self.services = self._offer(
            self._sessions,
            search,
            explain,
            forgetting,
            budget,
            profiles,
            write=partial(self._gateway_write_json, model) if model is not None else None,
            learning=Learning(
                self.projects,
                self._vectors,
                self._to_learn,
                model,
                price=self._price_of,
                rules=self._learning_rules,
            ),
            on_resolved=self._webhooks.conflict_resolved if self._webhooks is not None else None,
            default_timeout_seconds=default_timeout,
        )

    def _agent(self) -> Agent | None:
        model = self.settings.memory_model
        return Agent(partial(self._gateway_complete, model), count_tokens=self._count_tokens) if model else None

    def _open_learning(self, budget: TokenBudget) -> None:
        settings = self.settings
        if settings.memory_model is None or not settings.learning:
            return
        queue = LearningQueue.from_url(self._redis_url, timeout_seconds=self._store_seconds)
        self._to_learn = queue
        self._resources.push_async_callback(queue.close)
        self._learner = Learner(
            queue,
            self._knowing,
            partial(self._gateway_write_json, settings.memory_model),
            breakers=self._breakers,
            state_breaker=self._state_breaker,
            rules=self._learning_rules,
            budget=budget,
            interval=settings.process_interval_seconds,
            lease_seconds=settings.lease_seconds,
            on_conflict=self._webhooks.conflict_raised if self._webhooks is not None else None,
        )

    def _learning_rules(self, project: str) -> Rules:
        of_project = self.projects.settings_of(project)
        return Rules(
            categories=of_project.categories or (),
            include=of_project.learn or "",
            exclude=of_project.never_learn or "",
            conflicts=of_project.merge_conflicts is True,
        )

    async def _processed(self, owner: Owner, session_id: str, last_at: int) -> None:
        """What follows on a session that became memory."""
        if self._to_learn is not None and self.projects.settings_of(owner.project).learning is not False:
            await self._to_learn.add(owner, session_id, last_at)
        if self._webhooks is not None:
            await self._webhooks.session_processed(owner, session_id, last_at)

    def _open_reconify(self, default_timeout_seconds: int) -> None:
        reconify, settings = load_reconify_settings(), self.settings
        if not reconify.enabled:
            return
        # Imported only where Reconify is on: its bridges use private APIs of LiteLLM.
        from recallr_litellm.gateway.reporting import Reporting
        from recallr_litellm.reconify.service import Reconify

        self._reconify = Reconify(
            reconify,
            self._redis_url,
            self._state_breaker,
            timeout_seconds=self._store_seconds,
            interval=settings.process_interval_seconds,
            capacity=settings.held_exchanges,
            may_keep=self._state.may_keep,
            in_flight=self.in_flight,
        )
        self._resources.push_async_callback(self._reconify.close)
        self.reporter = Reporting(
            self._reconify,
            spawn=lambda work: self._spawn(work, self._to_store),
            default_timeout_seconds=default_timeout_seconds,
        )

    def _open_webhooks(self) -> None:
        settings = self.settings
        if settings.webhook_url is None or settings.webhook_secret is None:
            return
        from recallr_litellm.services.webhooks import Webhooks

        self._webhooks = Webhooks(
            settings.webhook_url,
            settings.webhook_secret.get_secret_value(),
            self._redis_url,
            self._state_breaker,
            timeout_seconds=self._store_seconds,
            interval=settings.process_interval_seconds,
            in_flight=self.in_flight,
        )
        self._resources.push_async_callback(self._webhooks.close)

    def _work(self) -> None:
        """Start what runs in the background."""
        for needed in (*(breaker.watch for breaker in self._breakers), self._known_projects.keep):
            self._spawn(for_ever(needed), self._tasks)  # give way to nobody: requests depend on what these find out
        with self.in_flight.first(within=_GIVES_WAY_SECONDS, rest=_REST):
            for work in (
                self._processor.run,
                self._keep_flushing_held,
                self._keep_counting,
                self.services.explain.run,
                self.services.series.run,
                self.services.forgetting.run,
                self._retention.run,
                self._list_earlier,
                self._keep_noting_users,
                *(self._reconify.background if self._reconify is not None else ()),
                *(self._webhooks.background if self._webhooks is not None else ()),
                *((self._learner.run,) if self._learner is not None else ()),
            ):
                self._spawn(for_ever(work), self._tasks)

    async def store(self, exchange: Exchange, within: float) -> bool:
        """Store an exchange within so many seconds; held, and False, when that fails."""
        return await self._capture.store_or_hold(exchange, within=within)

    def store_later(self, exchange: Exchange, witness: Witness | None) -> None:
        """Store an exchange whose request is over, with a witness as that knows the answer. A shutdown waits for it."""
        waits = len(self._to_store) < self.settings.held_exchanges
        self._spawn(self._store_late(exchange, witness if waits else None), self._to_store)

    async def _store_late(self, exchange: Exchange, witness: Witness | None) -> None:
        if witness is not None:
            await witness.wait()
            exchange = replace(exchange, replies=witness.replies)
        await self.store(exchange, _LATE_SECONDS)

    def close_at_stop(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something closed with the rest."""
        self._resources.push_async_callback(close)

    async def stop(self) -> None:
        """Store what is still to be stored, within the drain time, and let go of everything."""
        try:
            try:
                async with asyncio.timeout(self.settings.drain_seconds):
                    await asyncio.gather(*self._to_store, return_exceptions=True)
                    if self._capture.held:
                        await self._capture.flush()
                    if self._reconify is not None:
                        await self._reconify.flush()
                    await self.services.explain.flush()
                    await self.services.series.flush()
            except (Unavailable, TimeoutError) as error:
                _log.warning("Draining did not come to its end: %s", error or "time is up")
            if self._capture.held:
                EXCHANGES.labels("dropped").inc(self._capture.held)
                _log.error("%d exchanges are lost: the state store did not come back", self._capture.held)
        finally:
            await end(self._tasks | self._to_store)
            await self._resources.aclose()

    async def _keep_flushing_held(self) -> None:
        while True:
            await asyncio.sleep(self.settings.process_interval_seconds)
            if self._capture.held and self._state_breaker.allows_requests:
                try:
                    await self._capture.flush()
                except StateUnavailable as error:
                    self._state_breaker.trip(error)

    async def _keep_noting_users(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_INTERVALS * self.settings.process_interval_seconds)
            if self._writes_breaker.allows_requests:
                try:
                    await self._sessions.users.note_seen()
                except VectorsUnavailable as error:
                    self._writes_breaker.trip(error)

    async def _list_earlier(self) -> None:
        """Once a store: have what an earlier version wrote listed and counted with the rest."""
        while True:
            await asyncio.sleep(self.settings.process_interval_seconds)
            if self._writes_breaker.allows_requests:
                try:
                    found = await self._vectors.list_earlier()
                except VectorsUnavailable as error:
                    self._writes_breaker.trip(error)
                else:
                    if found:
                        _log.info("%d users of an earlier version are now listed and counted with the others", found)
                    return

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            if self._state_breaker.allows_requests:
                try:
                    for state, count in (await self._state.depth()).items():
                        QUEUE.labels(state).set(count)
                except StateUnavailable as error:
                    self._state_breaker.trip(error)

    def _spawn(self, work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(report_fault)
        return task
