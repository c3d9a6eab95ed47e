"""Part of the state store: how many tokens of the memory model a project has used today."""

from __future__ import annotations

from datetime import UTC, datetime

from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller

_KEPT_SECONDS = 3 * 24 * 3600


class SpentTokens(RedisCaller):
    """Counts tokens, those of all workers together."""

    async def spend_tokens(self, project: str, tokens: int) -> int:
        """Count tokens of a project's day (UTC). Returns those of the day so far."""
        name = keys.spent_tokens(project, datetime.now(UTC).date().isoformat())
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.incrby(name, tokens)
            pipeline.expire(name, _KEPT_SECONDS)
            spent, _ = await pipeline.execute()
        return int(spent)
