"""Part of the state store: sessions as the API sees them, made, described and ended by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.contents import MARKER_SECONDS, SessionContents
from recallr_litellm.stores.state.records import EndResult, SessionState

_FIELDS = ("created", "last", "version", "timeout", "metadata", "dated", "lease", "ending")


class RequestedSessions(SessionContents):
    """What the API does with a session, besides writing to it."""

    async def create(
        self,
        owner: Owner,
        session_id: str,
        *,
        timeout_seconds: int,
        metadata: Mapping[str, JsonValue],
        created_at: int | None = None,
        now_ms: int | None = None,
    ) -> None:
        """Make a session without messages. Does nothing if it is there already.

        Args:
            created_at: when it is said to have begun, in the past; its messages are of then too. None: now.
        """
        bucket = keys.bucket_of(owner)
        names = [
            keys.session(owner, session_id),
            keys.due(bucket),
            keys.failed(bucket),
            keys.empty_sessions(owner),
            keys.gone(owner),
            keys.gone(owner, session_id),
        ]
        fixed = (keys.member(owner, session_id), session_id, codec.dump_owner(owner), created_at, timeout_seconds)
        await self._run(self._scripts.create, names, now_ms, *fixed, codec.dump_metadata(metadata))

    async def open_sessions(self, owner: Owner) -> list[str]:
        """Ids of all sessions of the owner that are not processed yet, the last used first. Those that hold no messages
        are among them if they were asked for."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.zrevrange(keys.open_sessions(owner), 0, -1, withscores=True)
            pipeline.zrevrange(keys.empty_sessions(owner), 0, -1, withscores=True)
            with_messages, empty = await pipeline.execute()
        by_use = sorted([*with_messages, *empty], key=lambda pair: -pair[1])
        return list(dict.fromkeys(id for id, _ in by_use))

    async def look(self, owner: Owner, session_ids: Sequence[str]) -> dict[str, SessionState]:
        """How these sessions are; those that are not in Redis are left out."""
        if not session_ids:
            return {}
        failed = keys.failed(keys.bucket_of(owner))
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for id in session_ids:
                pipeline.hmget(keys.session(owner, id), _FIELDS)
                pipeline.zscore(failed, keys.member(owner, id))
                pipeline.zrevrange(keys.contents(owner, id, "order"), 0, 0, withscores=True)
                pipeline.hlen(keys.contents(owner, id, "messages"))
            replies: list[Any] = await pipeline.execute()
        found: dict[str, SessionState] = {}
        for index, id in enumerate(session_ids):
            fields, set_aside, last, count = replies[4 * index : 4 * index + 4]
            created, used, version, timeout, metadata, dated, lease, ending = fields
            if created is None:
                continue
            found[id] = SessionState(
                id=id,
                version=int(version),
                created_at=int(created),
                last_at=int(used),
                timeout_seconds=int(timeout),
                metadata=codec.load_metadata(metadata),
                dated=dated is not None,
                processing=lease is not None or ending is not None,
                failed=set_aside is not None,
                message_count=count,
                last_message=(last[0][0], int(last[0][1])) if last else None,
            )
        return found

    async def describe(
        self, owner: Owner, session_id: str, metadata: Mapping[str, JsonValue], *, now_ms: int | None = None
    ) -> bool:
        """Replace what is noted about a session. False if it is not in Redis."""
        names = [keys.session(owner, session_id), keys.due(keys.bucket_of(owner))]
        fixed = (keys.member(owner, session_id), codec.dump_metadata(metadata))
        return bool(await self._run(self._scripts.describe, names, now_ms, *fixed))

    async def end(
        self, owner: Owner, session_id: str, *, request: str | None = None, now_ms: int | None = None
    ) -> EndResult:
        """Have a session processed now rather than after its timeout.

        Args:
            request: names a request that may be repeated for a day.
        """
        bucket = keys.bucket_of(owner)
        names = [
            keys.session(owner, session_id),
            keys.due(bucket),
            keys.failed(bucket),
            keys.exchange(owner, request or "-"),
        ]
        fixed = (keys.member(owner, session_id), request, MARKER_SECONDS)
        answer = await self._run(self._scripts.end, names, now_ms, *fixed)
        return EndResult(answer or "gone")

    async def newest(self, owner: Owner, session_id: str, n: int) -> tuple[StoredMessage, ...]:
        """The newest `n` messages of a session, whole, by position."""
        async with self._reaching():
            ids: Any = await self._client.zrevrange(keys.contents(owner, session_id, "order"), 0, n - 1)
        return await self.whole(owner, session_id, ids)

    async def stored(self, owner: Owner, exchange: str) -> bool:
        """Whether the exchange is stored, as far as Redis remembers."""
        async with self._reaching():
            return await self._client.get(keys.exchange(owner, exchange)) == "final"
