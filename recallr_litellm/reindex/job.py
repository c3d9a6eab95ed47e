"""A reindex from its beginning to its end; another one goes on wherever it stopped.

Nothing but the points and descriptions of the collections says how far it came. Two at once do no harm: both write the
same points under the same ids. The one that began last finishes the copy, the other one stops.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from recallr_litellm.core.records import Passage
from recallr_litellm.errors import ConfigurationError, EmbeddingMisconfigured, EmbeddingUnavailable
from recallr_litellm.reindex.copying import Copy
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.embedding.passages import embed_passages
from recallr_litellm.stores.vectors import Collections
from recallr_litellm.stores.vectors.collections import Described, all_of, current_of, name_of
from recallr_litellm.stores.vectors.points import Description, meta_point, require_readable

_MOST_PASSES = 5
"""After so many passes that each found something new, the rest is left to the next run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reindex came to."""

    collection: str
    """The one with the vectors of the model."""
    in_use: bool
    """Gateways use it already; else the next start with the model makes it the current one."""
    changed: int
    """Points that were written, or deleted, in it."""
    refused: int
    """Texts that the model refused: they are kept, but not found."""
    old: tuple[str, ...]
    """The other collections of the store."""


class Reindex:
    """Embeds everything that is remembered anew.

    Args:
        embedder: the model; opened here, not closed.
        on_progress: called with (points compared, points in all).
        patience: seconds for which the model may be unreachable. A store that is unreachable ends the run at once.
    """

    def __init__(
        self,
        collections: Collections,
        embedder: Embedder,
        sparse: SparseEncoder,
        *,
        on_progress: Callable[[int, int], None],
        patience: float = 120.0,
    ) -> None:
        self._collections = collections
        self._embedder = embedder
        self._sparse = sparse
        self._on_progress = on_progress
        self._patiently = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            stop=stop_after_delay(patience),
            reraise=True,
        )
        self._run = uuid.uuid4().hex
        self._refused = 0

    async def run(self) -> Outcome | None:
        """Do it. None where nothing is remembered yet.

        Raises:
            Unavailable: a store was unreachable, or the model for too long. Another run goes on from here.
            ConfigurationError: it cannot be done; the message says what to do.
        """
        current = await current_of(self._collections, self._embedder.name)
        if current is None:
            return None
        require_readable(current.description)
        if current.description.model == self._embedder.name:
            return await self._catch_up(current)
        return await self._fill(current)

    async def drop_old(self) -> list[str]:
        """Delete all collections but the current one. Returns their names.

        Raises:
            ConfigurationError: gateways have not changed to the collection of the model yet.
        """
        current = await current_of(self._collections, self._embedder.name)
        if current is not None and current.description.model != self._embedder.name:
            raise ConfigurationError(
                f"Gateways still use {current.name}, with vectors of {current.description.model}. Start them with "
                f"RECALLR_EMBEDDING_MODEL={self._embedder.name} first."
            )
        old = [one.name for one in await all_of(self._collections, but=current.name if current else "")]
        for name in old:
            await self._collections.drop(name)
        return old

    async def _fill(self, current: Described) -> Outcome:
        """Make the collection of the model a copy of the current one, and mark it as ready."""
        target = name_of(self._collections.base, self._embedder.name)
        if target == current.name:
            raise ConfigurationError(
                f"{self._embedder.name} and {current.description.model} would have the same collection, {target}: give "
                "the new model another name."
            )
        await self._embedder.open()
        wanted = Description(self._embedder.name, self._embedder.dimension, source=current.name, run=self._run)
        await self._prepare(target, wanted)
        copied = self._collections.engine(target)
        copy = await self._copy(current.name, target, require=partial(self._require_mine, target))
        changed = 0
        for _ in range(_MOST_PASSES):
            differed = await copy.copy_all()
            changed += differed
            if not differed:
                break
        await copied.flush()
        await self._require_mine(target)
        ready = meta_point(wanted._replace(run="", ready=True))
        await copied.upsert([ready])
        await copied.flush()
        return await self._outcome(target, changed, in_use=False)

    async def _prepare(self, target: str, wanted: Description) -> None:
        """Have the collection there, described as one that is being filled."""
        found = await self._collections.describe(target)
        differs = found is None or (found.model, found.dimension, found.schema) != wanted[:3]
        if differs and target in await self._collections.names():
            await self._collections.drop(target)
        engine = self._collections.engine(target)
        await engine.open(wanted.dimension)
        await engine.upsert([meta_point(wanted)])

    async def _catch_up(self, current: Described) -> Outcome:
        """Bring what gateways with the old model have written to the old collection after it was copied."""
        source = current.description.source
        changed = 0
        if source and await self._collections.describe(source) is not None:
            copy = await self._copy(source, current.name, require=_go_on)
            changed = await copy.copy_missing()
            await self._collections.engine(current.name).flush()
        return await self._outcome(current.name, changed, in_use=True)

    async def _copy(self, source: str, target: str, *, require: Callable[[], Awaitable[None]]) -> Copy:
        original, copied = self._collections.engine(source), self._collections.engine(target)
        for engine in (original, copied):
            await engine.open(0)  # both are there
        total, compared = await original.count() - 1, 0  # without the `meta` point

        def on_progress(more: int) -> None:
            nonlocal compared
            compared = min(compared + more, total)
            self._on_progress(compared, total)

        return Copy(original, copied, self._embed, require=require, on_progress=on_progress)

    async def _embed(self, texts: list[str]) -> list[Passage | None]:
        """Vectors of texts. One that the model refuses has none: it is kept, and not found by a search."""
        passages: list[Passage | None] = await self._patiently(self._open_and_embed, texts)
        self._refused += sum(passage is None for passage in passages)
        return passages

    async def _open_and_embed(self, texts: list[str]) -> list[Passage | None]:
        await self._embedder.open()
        return await embed_passages(self._embedder, self._sparse, texts)

    async def _require_mine(self, target: str) -> None:
        """Return while this run fills the collection.

        Raises:
            ConfigurationError: another run does, or a gateway uses it.
        """
        found = await self._collections.describe(target)
        if found is None or found.run != self._run:
            raise ConfigurationError(
                f"Another `recallr reindex` has begun to fill {target}, or a gateway uses it already. This one stops; "
                "nothing is lost."
            )

    async def _outcome(self, collection: str, changed: int, *, in_use: bool) -> Outcome:
        old = await all_of(self._collections, but=collection)
        return Outcome(collection, in_use, changed, self._refused, tuple(one.name for one in old))


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, EmbeddingUnavailable) and not isinstance(error, EmbeddingMisconfigured)


async def _go_on() -> None:
    """Nothing speaks against it: points are only added."""
