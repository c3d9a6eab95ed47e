"""Part of the state store: what the console's cookies are signed with."""

from __future__ import annotations

import secrets

from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller


class ConsoleSecret(RedisCaller):
    """The secret of all workers. Where Redis is emptied there is another one, and visitors come in anew."""

    async def console_secret(self) -> str:
        """The secret; made by whoever asks first."""
        async with self._reaching():
            await self._client.set(keys.console_secret(), secrets.token_urlsafe(32), nx=True)
            return str(await self._client.get(keys.console_secret()))
