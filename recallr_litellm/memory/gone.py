"""What background work has to do for a user, or a session, that was forgotten while it was at work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.vectors import VectorStore

IsGone = Callable[..., Awaitable[bool]]
"""`StateStore.is_gone`."""


async def undo_if_gone(is_gone: IsGone, vectors: VectorStore, owner: Owner, session_id: str) -> bool:
    """Delete what was written if it is for somebody who is forgotten; to be called after the last write.

    Returns:
        Whether it was.
    """
    if not await is_gone(owner, session_id):
        return False
    if await is_gone(owner):
        await vectors.delete_all_of(owner)
    await vectors.delete_messages(owner, session_id)  # of its memories `Forgetting` decides
    return True
