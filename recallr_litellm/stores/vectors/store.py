"""The memory of all users: what is asked of it, whatever Qdrant it runs on."""

from __future__ import annotations

from recallr_litellm.stores.vectors.audit import AuditRecords
from recallr_litellm.stores.vectors.forgetting import Forgetting
from recallr_litellm.stores.vectors.knowledge import Knowledge
from recallr_litellm.stores.vectors.projects import ProjectRecords
from recallr_litellm.stores.vectors.records import Records
from recallr_litellm.stores.vectors.searching import Searching
from recallr_litellm.stores.vectors.users import Users


class VectorStore(Searching, Records, Knowledge, Users, Forgetting, ProjectRecords, AuditRecords):
    """Users, processed sessions, their messages and summaries, memories, and the projects with their keys.

    >>> store = VectorStore(open_collections(settings), embedder)
    >>> await store.open()
    >>> await store.save_session(owner, session, turns, summary)
    >>> await store.save_memories(owner, [(memory, passage)])
    >>> passages, summaries, memories = await store.search(owner, dense, sparse, exclude_sessions={session.id})

    Times are milliseconds since the epoch, UTC. Every method raises `VectorsUnavailable` in an
    outage of Qdrant and before `open` has succeeded, and `VectorsRefused` when Qdrant refuses this
    call alone.
    """
