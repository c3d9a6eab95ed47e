"""The other half of the state store: the queue of sessions that are to be processed.

A session is in the queue from its first request on, due when it has been quiet for its timeout. A request of its user
ends the lease on it and makes it wait again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.leased_queue import LeasedQueue
from recallr_litellm.stores.state.records import Claim


class SessionQueue(LeasedQueue):
    """What a worker does with sessions. At-least-once: a session may be processed more than once."""

    queue = keys.SESSION_QUEUE

    async def claim(
        self, limit: int, *, lease_seconds: float, busy: Collection[Owner] = (), now_ms: int | None = None
    ) -> list[Claim]:
        """Lease up to `limit` sessions that are due, of each owner one, so that nobody's many sessions keep others
        waiting. What they hold is loaded with `StateStore.load`.

        Args:
            busy: owners of whom the caller is processing a session now.
        """
        leased = await self._lease_due(
            limit, ["owner"], lease_seconds=lease_seconds, busy=[owner.key for owner in busy], now_ms=now_ms
        )
        return [
            Claim(
                **asdict(lease),
                owner=codec.load_owner(owner, lease.member),
                session_id=keys.session_id_of(lease.member),
            )
            for lease, [owner] in leased
            if owner is not None  # the script claims only what has one
        ]

    async def finish(self, claim: Claim) -> bool:
        """Remove the processed session with all that belongs to it. True if nothing of it is left.

        False if the user came back to it or another worker has claimed it since: it stays, to become due again.
        """
        owner, session_id = claim.owner, claim.session_id
        names = [
            keys.session(owner, session_id),
            keys.blocks(owner, session_id),
            keys.due(keys.bucket_of(owner)),
            keys.open_sessions(owner),
            keys.current(owner),
        ]
        return bool(
            await self._run(
                self._scripts.finish, names, keys.prefix(claim.bucket), claim.member, session_id, claim.token
            )
        )

    async def retry_failed(self, sessions: Iterable[tuple[Owner, str]]) -> int:
        """Make these sessions due now, if they are set aside; their attempts are forgotten. Returns how many were."""
        return await self.requeue([(keys.bucket_of(owner), keys.member(owner, id)) for owner, id in sessions])

    async def failed(self) -> list[tuple[Owner, str, str]]:
        """Owner, session id and reason of every session set aside."""
        return [(owner, keys.session_id_of(member), reason) for owner, member, reason in await self._set_aside()]
