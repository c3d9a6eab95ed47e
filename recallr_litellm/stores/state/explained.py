"""A part of the state store: what the last requests were given, and why.

The texts lie under their owner's key, so that forgetting the owner is one deletion; a project's index holds ids, times
and sizes only. Keys: `stores/state/keys.py`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller

_LIGHT = "light:"
"""Begins the field of a request's summary; that of the whole is the request's id."""


@dataclass(frozen=True, slots=True)
class ExplainedRequest:
    """A request as it is kept."""

    id: str
    project: str
    owner: Owner | None
    """None where the user is not known: then nothing in it is about one."""
    summary: str
    whole: str

    @property
    def place(self) -> str:
        """Where its texts lie, see `keys.explained`."""
        return self.owner.key if self.owner else keys.NOBODY


class ExplainedRequests(RedisCaller):
    """Keeps, for each project, what its last requests were given."""

    async def keep_explained(
        self, requests: Sequence[ExplainedRequest], *, most: int, most_bytes: int, seconds: float
    ) -> None:
        """Keep these requests, and let go of the project's oldest.

        Args:
            most: requests of a project, and `most_bytes` of them, that are kept.
            seconds: how long each is kept.
        """
        of_project: defaultdict[str, list[ExplainedRequest]] = defaultdict(list)
        owners: dict[str, Owner] = {}
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for one in requests:
                of_project[one.project].append(one)
                name = keys.explained(one.project, one.place)
                pipeline.hset(name, mapping={one.id: one.whole, _LIGHT + one.id: one.summary})
                pipeline.expire(name, round(seconds) + 1)
                if one.owner is not None:
                    owners[one.owner.key] = one.owner
            for owner in owners.values():  # last: who is forgotten after this finds what was written
                pipeline.exists(keys.gone(owner))
            replies = await pipeline.execute()
        forgotten = {
            owner.key for owner, gone in zip(owners.values(), replies[2 * len(requests) :], strict=True) if gone
        }
        for key in forgotten:
            await self.forget_explained(owners[key])
        for project, of_one in of_project.items():
            of_one = [one for one in of_one if one.place not in forgotten]
            rows = [f for one in of_one for f in (one.id, one.place, len(one.whole) + len(one.summary))]
            names = [keys.requests(project), keys.request_places(project)]
            arguments = (most, most_bytes, round(seconds * 1000), *rows)
            gone: list[str] = await self._run(self._scripts.explained, names, None, *arguments)
            await self._delete(project, list(zip(gone[::2], gone[1::2], strict=True)))

    async def explained(self, project: Project, request_id: str, *, seconds: float) -> str | None:
        """The whole of a request; None where the project has none of this id, or no more."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.zscore(keys.requests(project.id), request_id)
            pipeline.hget(keys.request_places(project.id), request_id)
            at, place = await pipeline.execute()
        if at is None or place is None or at < _since(seconds):
            return None
        async with self._reaching():
            whole: Any = await self._client.hget(keys.explained(project.id, _owner_of(place)), request_id)
        return None if whole is None else str(whole)

    async def list_explained(
        self, project: Project, *, offset: int, limit: int, seconds: float
    ) -> tuple[list[str], int]:
        """Summaries of the project's requests, newest first, and how many there are."""
        index, since = keys.requests(project.id), f"({_since(seconds)}"
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.zrevrangebyscore(index, "+inf", since, start=offset, num=limit)
            pipeline.zcount(index, since, "+inf")
            ids, total = await pipeline.execute()
        if not ids:
            return [], total
        async with self._reaching():
            places: Any = await self._client.hmget(keys.request_places(project.id), ids)
        found = [(id, _owner_of(place)) for id, place in zip(ids, places, strict=True) if place is not None]
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for id, place in found:
                pipeline.hget(keys.explained(project.id, place), _LIGHT + id)
            summaries = await pipeline.execute()
        return [summary for summary in summaries if summary is not None], total

    async def forget_explained(self, owner: Owner) -> int:
        """Delete all that is kept of an owner's requests. Returns how many there were."""
        async with self._reaching():
            await self._client.delete(keys.explained(owner.project, owner.key))
            places: Any = await self._client.hgetall(keys.request_places(owner.project))
        theirs = [id for id, place in places.items() if _owner_of(place) == owner.key]
        names = [keys.requests(owner.project), keys.request_places(owner.project)]
        if theirs:
            await self._run(self._scripts.unexplained, names, *theirs)
        return len(theirs)

    async def _delete(self, project: str, gone: Sequence[tuple[str, str]]) -> None:
        if gone:
            async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
                for id, place in gone:
                    pipeline.hdel(keys.explained(project, _owner_of(place)), id, _LIGHT + id)
                await pipeline.execute()


def _owner_of(place: str) -> str:
    return place.partition(" ")[0]


def _since(seconds: float) -> int:
    return round((time.time() - seconds) * 1000)
