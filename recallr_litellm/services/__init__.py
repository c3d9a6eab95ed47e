"""What can be asked of a memory from outside a chat. REST, MCP, the commands and the console all call these functions.

Each takes an `Owner` or a `Project`, so none can be called for nobody, and none knows how it was asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from recallr_litellm.projects import Projects
from recallr_litellm.recall.profile import Profiles
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

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """All services of one worker."""

    projects: Projects
    """What this worker knows of projects."""
    project_admin: ProjectAdmin
    limits: Limits
    users: Users
    sessions: SessionService
    forgetting: Forgetting
    context: ContextService
    search: Search
    memories: Memories
    conflicts: Conflicts
    graph: Graph
    learning: Learning
    profiles: Profiles
    explain: Explain
    operations: Operations
    series: Series
    totals: Totals
    faults: Callable[[], Mapping[str, str]]
    """Part of the plugin → what keeps it from working; empty while memory works."""
    exporter: Exporter
    importer: Importer
    audit: Audit
    console_secret: Callable[[], Awaitable[str]]
    """What the console's cookies are signed with, in all workers."""
