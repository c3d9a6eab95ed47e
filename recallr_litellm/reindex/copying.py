"""Making one collection hold what another one holds, embedded anew.

A pass compares the two, point by point, and repairs what differs. So it does not matter where an earlier pass was cut
off, nor what was written to the original meanwhile: the next pass finds both, and embeds nothing that is there already.
A pass during which nothing is written leaves the two alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from recallr_litellm.core.records import Passage
from recallr_litellm.errors import Unavailable
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.engine import Stored, WholeEngine
from recallr_litellm.stores.vectors.store import batches

_PAGE = 64
"""Points compared at a time."""
_PORTION = 16
"""Points embedded and written at a time: what a killed reindex does again at most."""

_LONGEST_PAUSE = 2.0
"""Seconds."""

Embed = Callable[[list[str]], Awaitable[list[Passage]]]
Tell = Callable[[int, int], None]
"""(points that are alike now, texts embedded for them), both since the last time."""
T = TypeVar("T")


class Patience:
    """Tries again, with growing pauses, what failed because a store or the model was away; for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns in the end. Raises `Unavailable` when it failed for too long, and at once all else."""
        trying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            stop=stop_after_delay(self._seconds),
            reraise=True,
        )
        return await trying(call)


class Copy:
    """A collection and its copy.

    Args:
        source: the original; open.
        target: the copy; open, and described by its own `meta` point.
        embed: makes the vectors of texts.
        pause: seconds to rest for each second of work, for the sake of others in this process.
        tell: is told of the progress.
    """

    def __init__(
        self, source: WholeEngine, target: WholeEngine, embed: Embed, *, patience: Patience, pause: float, tell: Tell
    ) -> None:
        self._source = source
        self._target = target
        self._embed = embed
        self._patience = patience
        self._pause = pause
        self._tell = tell

    async def make_alike(self) -> int:
        """One pass. Returns how many points differed."""
        differed = 0
        async for page in self._pages(self._source):
            differed += await self._bring(page)
        async for page in self._pages(self._target):
            differed += await self._take_away(page)
        return differed

    async def carry_over_users(self) -> None:
        """Bring what a request has written to the original after its copy was made, when the copy is in use already.

        Requests write users only. All else belongs to a session, and a session that was made memory too late is made
        memory once more, in the copy; to bring an older state of it now would undo that.
        """
        async for page in self._pages(self._source, without=schema.SESSION):
            there = await self._patience(partial(self._target.read, _ids(page)))
            await self._write([point for point in page if point.id not in there])

    async def _pages(self, engine: WholeEngine, *, without: str | None = None) -> AsyncIterator[list[Stored]]:
        """All points but the `meta` one, which each collection has of its own."""
        after: str | None = None
        while True:
            page, after = await self._patience(partial(engine.walk, _PAGE, after=after, without=without))
            yield [point for point in page if point.id != points.META_ID]
            if after is None:
                return

    async def _bring(self, page: Sequence[Stored]) -> int:
        there = await self._patience(partial(self._target.read, _ids(page)))
        missing = [point for point in page if there.get(point.id) != point.payload]
        self._tell(len(page) - len(missing), 0)
        for portion in _portions(missing):
            await self._write(portion)
        return len(missing)

    async def _write(self, portion: Sequence[Stored]) -> None:
        begun = perf_counter()
        texts = {point.id: text for point in portion if (text := points.text_of(point.payload)) is not None}
        passages = await self._patience(partial(self._embed, list(texts.values())))
        found = dict(zip(texts, passages, strict=True))
        for batch in batches(points.with_vectors(one.id, one.payload, found.get(one.id)) for one in portion):
            await self._patience(partial(self._target.upsert, batch))
        self._tell(len(portion), len(texts))
        await asyncio.sleep(min(_LONGEST_PAUSE, (perf_counter() - begun) * self._pause))

    async def _take_away(self, page: Sequence[Stored]) -> int:
        there = await self._patience(partial(self._source.read, _ids(page)))
        gone = [point.id for point in page if point.id not in there]
        if gone:
            await self._patience(partial(self._target.remove, gone))
        return len(gone)


def _ids(page: Sequence[Stored]) -> list[str]:
    return [point.id for point in page]


def _portions(found: Sequence[Stored]) -> Iterator[Sequence[Stored]]:
    return (found[start : start + _PORTION] for start in range(0, len(found), _PORTION))
