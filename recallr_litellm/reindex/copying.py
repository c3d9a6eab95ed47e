"""Making one collection hold what another one holds, embedded anew.

A pass compares the two, point by point, and repairs what differs. So it does not matter where an earlier pass was cut
off, or what was written to the source meanwhile: the next pass finds both, and embeds nothing that is there already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from recallr_litellm.core.records import Passage
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.engine import Payload, Stored, WholeEngine

_PAGE = 64
"""Points compared at a time."""
_PORTION = 16
"""Points embedded and written at a time: what is done again at most after a kill."""

Embed = Callable[[list[str]], Awaitable[list[Passage | None]]]
"""Texts → their vectors; None for a text that the model refuses."""


class Copy:
    """A collection and its copy.

    Args:
        source: the original; open.
        target: the copy; open, and described by a `meta` point of its own.
        embed: makes the vectors of texts.
        require: called before each write; raises where this copy must not go on.
        on_progress: called with the number of points of the source that were compared since the last call.
    """

    def __init__(
        self,
        source: WholeEngine,
        target: WholeEngine,
        embed: Embed,
        *,
        require: Callable[[], Awaitable[None]],
        on_progress: Callable[[int], None],
    ) -> None:
        self._source = source
        self._target = target
        self._embed = embed
        self._require = require
        self._on_progress = on_progress

    async def copy_all(self) -> int:
        """One pass over a copy that nobody uses yet; it then holds what the source holds. Returns what differed."""
        differed = await self._copy_where(lambda original, copied: original != copied)
        async for page in self._pages(self._target):
            there = await self._source.read(_ids(page))
            gone = [point.id for point in page if point.id not in there]
            if gone:
                await self._require()
                await self._target.remove(gone)
            differed += len(gone)
        return differed

    async def copy_missing(self) -> int:
        """One pass over a copy that is in use and has changes of its own: of two versions of a point, the later stays.

        What is missing from the copy was written to the source too late for the last pass: whatever is deleted is
        deleted from both. Returns how many points were copied.
        """
        return await self._copy_where(lambda original, copied: copied is None or _is_later(original, copied))

    async def _copy_where(self, wanted: Callable[[Payload, Payload | None], bool]) -> int:
        changed = 0
        async for page in self._pages(self._source):
            there = await self._target.read(_ids(page))
            missing = [point for point in page if wanted(point.payload, there.get(point.id))]
            self._on_progress(len(page) - len(missing))
            for portion in _portions(missing):
                await self._write(portion)
                self._on_progress(len(portion))
            changed += len(missing)
        return changed

    async def _pages(self, engine: WholeEngine) -> AsyncIterator[list[Stored]]:
        """All points but the `meta` one, which each collection has of its own."""
        after: str | None = None
        while True:
            page, after = await engine.scroll(None, _PAGE, after=after)
            yield [point for point in page if point.id != points.META_ID]
            if after is None:
                return

    async def _write(self, portion: Sequence[Stored]) -> None:
        texts = {point.id: text for point in portion if (text := points.text_of(point.payload)) is not None}
        passages = await self._embed(list(texts.values()))
        found = dict(zip(texts, passages, strict=True))
        await self._require()
        for batch in points.batches(points.with_vectors(one.id, one.payload, found.get(one.id)) for one in portion):
            await self._target.upsert(batch)


def _is_later(original: Payload, copied: Payload) -> bool:
    return _place(original) > _place(copied)


def _place(payload: Payload) -> tuple[int, bool, bool]:
    """Of a version among those of its point. A memory that is ended, or a session that is learned, keeps its time, and
    neither ever becomes what it was without another one."""
    return payload.get(schema.AT, 0), schema.PAST in payload, schema.LEARNED in payload


def _ids(page: Sequence[Stored]) -> list[str]:
    return [point.id for point in page]


def _portions(found: Sequence[Stored]) -> Iterator[Sequence[Stored]]:
    return (found[start : start + _PORTION] for start in range(0, len(found), _PORTION))
