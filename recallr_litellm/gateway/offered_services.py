"""The half of a worker that puts together what REST, MCP, the commands and the console call."""

from __future__ import annotations

from recallr_litellm.core.options import Strategy
from recallr_litellm.gateway.opened_stores import OpenedStores
from recallr_litellm.learning.model import WriteJson
from recallr_litellm.learning.reconciling import OnConflict
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.memory.sessions import Sessions
from recallr_litellm.recall.by_strategy import MemorySearch
from recallr_litellm.recall.profile import Profiles
from recallr_litellm.services import Services
from recallr_litellm.services.audit import Audit
from recallr_litellm.services.conflicts import Conflicts
from recallr_litellm.services.context import ContextService
from recallr_litellm.services.explain import Explain
from recallr_litellm.services.forgetting import Forgetting
from recallr_litellm.services.graph import Graph
from recallr_litellm.services.learning import Learning
from recallr_litellm.services.limits import Limits
from recallr_litellm.services.memories import Memories
from recallr_litellm.services.operations import Operations
from recallr_litellm.services.projects import ProjectAdmin
from recallr_litellm.services.search import Search
from recallr_litellm.services.series import Series
from recallr_litellm.services.sessions import SessionService
from recallr_litellm.services.totals import Totals
from recallr_litellm.services.transfer.exporting import Exporter
from recallr_litellm.services.transfer.importing import Importer
from recallr_litellm.services.users import Users


class OfferedServices(OpenedStores):
    """Stores and models with the services over them."""

    def _offer(
        self,
        sessions: Sessions,
        search: MemorySearch,
        explain: Explain,
        forgetting: Forgetting,
        budget: TokenBudget,
        profiles: Profiles,
        *,
        learning: Learning,
        write: WriteJson | None,
        on_resolved: OnConflict | None,
        default_timeout_seconds: int,
    ) -> Services:
        """All services of this worker.

        Args:
            write: asks the memory model; None where there is none.
            on_resolved: told of each conflict that is settled.
            default_timeout_seconds: of a session that names none.
        """
        settings = self.settings
        min_timeout = settings.min_session_timeout_seconds
        project_admin = ProjectAdmin(
            self.projects,
            self._known_projects,
            self._vectors,
            self._state,
            min_session_timeout_seconds=min_timeout,
        )
        api_sessions = SessionService(
            self._state, self._vectors, min_timeout_seconds=min_timeout, heard_of=sessions.users.heard_of
        )
        operations = Operations(self._state, timeout_seconds=self._store_seconds)
        users = Users(self._state, self._vectors, sessions.users, forgetting)
        return Services(
            projects=self.projects,
            project_admin=project_admin,
            limits=Limits(self.projects, self._state, self._state_breaker),
            users=users,
            explain=explain,
            operations=operations,
            series=Series(self._state, self._state_breaker, queues=operations.queues),
            totals=Totals(self._vectors, operations),
            faults=self.faults,
            sessions=api_sessions,
            exporter=Exporter(self._state, self._vectors),
            importer=Importer(
                self._state,
                self._vectors,
                self._embedder,
                self._sparse,
                users,
                default_timeout_seconds=default_timeout_seconds,
            ),
            memories=Memories(api_sessions, self._knowing, forget_explained=explain.forget),
            audit=Audit(self._vectors),
            console_secret=self._state.console_secret,
            conflicts=Conflicts(self._knowing, write, budget, on_resolved=on_resolved),
            learning=learning,
            graph=Graph(self._vectors),
            profiles=profiles,
            forgetting=forgetting,
            context=ContextService(
                settings,
                sessions,
                self._state,
                self._vectors,
                search,
                (self._vectors_breaker, self._embedding_breaker),
                count_tokens=self._count_tokens,
                explain=explain,
            ),
            search=Search(
                search,
                (self._vectors_breaker, self._embedding_breaker),
                seconds=settings.deadline_seconds(Strategy.BALANCED),
            ),
        )
