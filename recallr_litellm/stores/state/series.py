"""A part of the state store: what happened in each minute and hour, in numbers, by project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller

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
