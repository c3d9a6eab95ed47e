"""A part of the state store: what happened in each minute and hour, in numbers, by project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.calls import RedisCaller

_MOST_QUEUED = 10_000
"""Sessions of a bucket that are looked at to count those of each project."""
_SAMPLED_SECONDS = 55
QUEUE = "queue:"
"""Begins the fields that hold lengths, which are set; the others are added up."""


class Step(Enum):
    """How much time one point stands for: seconds, and how long such points are kept."""

    MINUTE = (60, 6 * 3600)
    HOUR = (3600, 28 * 24 * 3600)

    @property
    def seconds(self) -> int:
        """Of a point."""
        return self.value[0]

    @property
    def kept_seconds(self) -> int:
        """How long points are kept."""
        return self.value[1]

    def begin(self, moment: float) -> int:
        """Beginning of the point that a moment belongs to; both in seconds since the epoch."""
        return int(moment) // self.seconds * self.seconds


class TimeSeries(RedisCaller):
    """Adds numbers up, those of all workers."""

    async def add_to_series(self, counts: Mapping[tuple[str, int], Mapping[str, int]]) -> None:
        """Add to the points of minutes and hours.

        Args:
            counts: project and beginning of the minute → field → number.
        """
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for (project, minute), fields in counts.items():
                for step in Step:
                    name = keys.series(project, step.seconds, step.begin(minute))
                    for field, count in fields.items():
                        if field.startswith(QUEUE):
                            pipeline.hset(name, field, str(count))
                        else:
                            pipeline.hincrby(name, field, count)
                    pipeline.expire(name, step.kept_seconds + step.seconds)
            await pipeline.execute()

    async def read_series(self, project: str, step: Step, beginnings: Sequence[int]) -> list[dict[str, int]]:
        """The fields of points, by their beginnings; none where nothing happened."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for beginning in beginnings:
                pipeline.hgetall(keys.series(project, step.seconds, beginning))
            points: list[dict[str, str]] = await pipeline.execute() if beginnings else []
        return [{field: int(count) for field, count in point.items()} for point in points]

    async def may_sample(self) -> bool:
        """Whether it is this worker's turn to count the queues: once a minute it is one's."""
        async with self._reaching():
            return bool(await self._client.set(keys.sampled(), 1, ex=_SAMPLED_SECONDS, nx=True))

    async def queues_of_projects(self, *, now_ms: int) -> dict[str, dict[str, int]]:
        """Project → sessions that are due, and those that were set aside as failed."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(keys.BUCKETS):
                pipeline.zrangebyscore(keys.due(bucket), "-inf", now_ms, start=0, num=_MOST_QUEUED)
                pipeline.zrange(keys.failed(bucket), 0, _MOST_QUEUED - 1)
            replies: list[list[str]] = await pipeline.execute()
        members = [
            (bucket, state, member)
            for place, queue in enumerate(replies)
            for bucket, state in [(place // 2, ("due", "failed")[place % 2])]
            for member in queue
        ]
        owners: list[Any] = []
        if members:
            async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
                for bucket, _, member in members:
                    pipeline.hget(keys.sessions(bucket) + member, "owner")
                owners = await pipeline.execute(raise_on_error=False)
        counts: dict[str, dict[str, int]] = {}
        for (_, state, member), owner in zip(members, owners, strict=True):
            if isinstance(owner, str):
                of_project = counts.setdefault(codec.load_owner(owner, member).project, {"due": 0, "failed": 0})
                of_project[state] += 1
        return counts
