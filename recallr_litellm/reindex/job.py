"""The reindex from its beginning to its end; another one goes on wherever it stopped.

1. *Copying*: everything in the current collection is embedded anew into the one that follows it.
2. *Catching up*: what was written meanwhile is found by comparing, until little is left.
3. *Switching*: the current collection is retired, so that sessions wait in Redis instead of being made memory in it,
   the last changes follow, and the new collection becomes the current one, in one step of the store.
4. *Clearing*: when no gateway reads the old collection any more, the users that were created in it meanwhile follow,
   and it is deleted.

Nothing but the names of the collections and the points in them says how far it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from recallr_litellm.errors import ConfigurationError, RecallrError, StateUnavailable
from recallr_litellm.reindex.copying import Copy, Patience
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.embedding.passages import embed_passages
from recallr_litellm.stores.state.board import Board, Lease, Phase, Progress, Reader
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.stores.vectors.collections import describe, following
from recallr_litellm.stores.vectors.points import Description, require_readable
from recallr_litellm.tasks import end

_log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
_KEEP_SECONDS = 5.0
"""How often the lease is renewed."""
_REPORT_SECONDS = 0.5
_LOOK_SECONDS = 0.25

_FEW = 32
"""Points that may be left to follow while sessions wait."""
_MOST_PASSES = 10
"""After so many passes that found more than a few, sessions have to wait a little longer."""
_RETIRED_SECONDS = 120.0
"""How long sessions wait at most for a reindex that was killed while it was switching."""
_RETIRED_AFTERWARDS_SECONDS = 600.0
"""How long after the switch a worker that was held up can still not make memory in the old collection."""
_READY_SECONDS = 60.0
"""Longest wait for the gateways to load the new model."""
_LEAVE_SECONDS = 60.0
"""Longest wait for the gateways to let go of the old collection."""
_BRIEFLY = Patience(5.0)
"""For a model that cannot be loaded: nothing has begun yet."""


class Reindex:
    """One attempt at it.

    Args:
        embedder: the new model; opened here, not closed.
        where: who does it, for a person.
        wanted: id of the request that it answers.
        keep_old: leave the old collection where it is.
        again: also when the stored vectors are from a model of that name.
        pause: seconds to rest for each second of embedding.
        patience: seconds for which a store or the model may be away.
    """

    def __init__(
        self,
        collections: Collections,
        embedder: Embedder,
        sparse: SparseEncoder,
        board: Board,
        *,
        where: str,
        wanted: str = "",
        keep_old: bool = False,
        again: bool = False,
        pause: float = 0.0,
        patience: float = 120.0,
    ) -> None:
        self._collections = collections
        self._embedder = embedder
        self._sparse = sparse
        self._board = board
        self._keep_old = keep_old
        self._again = again
        self._pause = pause
        self._patience = Patience(patience)
        self._begun = asyncio.Event()
        self._retired = False
        self._switched = False
        self.progress = Progress(model=embedder.name, where=where, wanted=wanted)
        """How far it has come."""

    @property
    def switched(self) -> bool:
        """Whether the new collection is, or may be, the current one: what is left to do is to clear up."""
        return self._switched

    async def run(self, lease: Lease) -> Progress:
        """Do it. The lease is released at the end, whatever that is.

        Returns:
            The progress at the end, whose phase is `DONE`.

        Raises:
            Unavailable: a store or the model was away for too long.
            ConfigurationError: it cannot be done; the message says what to do.
            CancelledError: it was stopped.

        After each of them, another attempt goes on where this one stopped.
        """
        phase, note = Phase.STOPPED, ""
        tasks: list[asyncio.Task[object]] = []
        try:
            work = asyncio.create_task(self._work())
            tasks = [work, asyncio.create_task(self._keep(lease)), asyncio.create_task(self._report())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {work}:
                task.result()  # the two end by a fault only
            phase, note = Phase.DONE, work.result()
        except RecallrError as error:
            phase, note = Phase.FAILED, str(error)
            raise
        except Exception as error:
            phase, note = Phase.FAILED, type(error).__name__
            raise
        finally:
            await end(tasks)
            self._now(phase=phase, note=note)
            await self._let_go(lease)
        return self.progress

    async def _let_go(self, lease: Lease) -> None:
        with contextlib.suppress(StateUnavailable):
            if self._retired and not self._switched:
                await self._board.reinstate()
            await self._board.report(self.progress)
            await lease.release()

    async def _keep(self, lease: Lease) -> None:
        """Keep the lease, and the old collection retired. Returns never.

        Raises:
            StateUnavailable: the lease is lost.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + LEASE_SECONDS
        while True:
            await asyncio.sleep(_KEEP_SECONDS)
            try:
                kept = await lease.keep()
                if kept and self._retired:
                    await self._board.keep_retired(
                        self.progress.source, _RETIRED_AFTERWARDS_SECONDS if self._switched else _RETIRED_SECONDS
                    )
            except StateUnavailable:
                kept = loop.time() < until
            else:
                until = loop.time() + LEASE_SECONDS
            if not kept:
                raise StateUnavailable(
                    "Redis was away for too long, or has lost its data: another reindex may have begun meanwhile"
                )

    async def _report(self) -> None:
        await self._begun.wait()
        while True:
            with contextlib.suppress(StateUnavailable):
                await self._board.report(self.progress)
            await asyncio.sleep(_REPORT_SECONDS)

    async def _work(self) -> str:
        """Do all of it. Returns what there is to say about it."""
        patience, collections = self._patience, self._collections
        earlier = await patience(self._board.progress)
        if earlier is not None and earlier.phase is not Phase.DONE:
            self._now(source=earlier.source, target=earlier.target)
        self._begun.set()  # from now on our own progress stands in the place of that
        await _BRIEFLY(self._embedder.open)
        wanted = Description(self._embedder.name, self._embedder.dimension)
        current = await patience(collections.current)
        found = await patience(partial(describe, collections, current))
        if found is None:
            return "Nothing is remembered yet, so there is nothing to embed."
        require_readable(found)
        target = following(current)
        begun = await patience(partial(describe, collections, target))
        if found == wanted and begun != wanted and not self._again:
            # An attempt that was cut off after the switch has left the old collection, and perhaps users in it.
            self._switched = True
            left = await self._clear(self.progress.source if self.progress.target == current else "", current)
            return f"Everything is embedded with {wanted.model} already.{left}"
        await self._copy(current, target, wanted, begun, growth=wanted.dimension / found.dimension)
        left = await self._clear(current, target)
        return f"Everything is embedded with {wanted.model} now.{left}"

    async def _copy(
        self, current: str, target: str, wanted: Description, begun: Description | None, *, growth: float
    ) -> None:
        """Fill the collection `target` and make it the current one."""
        patience, collections = self._patience, self._collections
        self._now(source=current, target=target)
        if begun != wanted:
            await patience(partial(collections.drop, target))
            await collections.require_room(current, max(1.0, growth))
        source = collections.engine(current)
        await patience(VectorStore(collections.engine(target), self._embedder).open)
        self._now(total=await patience(source.count) - 1)  # without the `meta` point
        copy = self._copier(current, target)
        await copy.make_alike()
        self._now(phase=Phase.CATCHING_UP)
        for _ in range(_MOST_PASSES):
            if await copy.make_alike() <= _FEW:
                break
        self._now(phase=Phase.SWITCHING)
        # Cut off after the switch, the next attempt knows by this alone whose last users it has to bring.
        await patience(partial(self._board.report, self.progress))
        await self._until(lambda reader: _is_awaited(reader, current, wanted.model), _READY_SECONDS)
        await self._switch(copy, current, target)

    async def _switch(self, copy: Copy, current: str, target: str) -> None:
        patience, board = self._patience, self._board
        retired = False
        while not retired:
            self._retired = True
            await patience(partial(board.retire, current, _RETIRED_SECONDS))
            await copy.make_alike()
            await patience(self._collections.engine(target).flush)
            # Else we were held up for so long that sessions may have been made memory meanwhile.
            retired = await patience(partial(board.keep_retired, current, _RETIRED_SECONDS))
        self._switched = True
        await patience(partial(self._collections.switch, target))
        await patience(partial(board.keep_retired, current, _RETIRED_AFTERWARDS_SECONDS))
        _log.info("%s is the current collection now, embedded with %s", target, self._embedder.name)

    async def _clear(self, source: str, current: str) -> str:
        """Bring the last users from `source`, if it is still there, and delete all collections but the current one.

        Returns:
            What there is to say about the old ones.

        Raises:
            ConfigurationError: they are still read.
        """
        patience, collections = self._patience, self._collections
        self._now(phase=Phase.CLEARING, source=source, target=current)
        old = [name for name in await patience(collections.all) if name != current]
        reading = await self._until(lambda reader: not set(old).isdisjoint(reader.collections), _LEAVE_SECONDS)
        if source in old:
            await patience(partial(collections.engine(source).open, 0))
            await self._copier(source, current).carry_over_users()
        names = ", ".join(old)
        if self._keep_old:
            return f" Kept besides: {names}." if old else ""
        if reading:
            who = ", ".join(reader.where for reader in reading)
            raise ConfigurationError(
                f"{current} is in use, but {names} is still read, by {who}. Restart that, then repeat "
                "`recallr reindex` to have it deleted."
            )
        for name in dict.fromkeys([*old, source] if source else old):  # of the source, a half may be left
            await patience(partial(collections.drop, name))
        return f" Deleted: {names}." if old else ""

    def _copier(self, source: str, target: str) -> Copy:
        return Copy(
            self._collections.engine(source),
            self._collections.engine(target),
            partial(embed_passages, self._embedder, self._sparse),
            patience=self._patience,
            pause=self._pause,
            tell=self._tell,
        )

    def _tell(self, alike: int, embedded: int) -> None:
        first = self.progress.phase is Phase.COPYING
        self._now(
            done=min(self.progress.done + alike, self.progress.total) if first else self.progress.done,
            embedded=self.progress.embedded + embedded,
        )

    def _now(self, **changes: object) -> None:
        self.progress = self.progress.model_copy(update=changes)

    async def _until(self, awaited: Callable[[Reader], bool], seconds: float) -> list[Reader]:
        """Wait until no reader is awaited any more. Returns those that still are after so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while left := [one for one in await self._patience(self._board.readers) if awaited(one)]:
            if loop.time() >= until:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return left


def _is_awaited(reader: Reader, current: str, model: str) -> bool:
    """Whether a gateway could not follow at once to vectors of this model, but will be able to."""
    return current in reader.collections and model not in (reader.model, *reader.ready) and not reader.problem
