"""A reindex by this gateway, where `recallr reindex` asks for one.

It has to be asked where nobody else can do it: the embedded store is open in one process only, and a model of the
gateway is reached through its router only. It works on as long as the command asks, and stops when that goes away.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from recallr_litellm.errors import RecallrError, StateUnavailable
from recallr_litellm.gateway.generations import Generations
from recallr_litellm.reindex import LEASE_SECONDS, Reindex
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state.board import Board, Lease, Progress, Wanted
from recallr_litellm.stores.vectors import Collections

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_PAUSE = 1.0
"""Seconds of rest for each second of embedding: questions are embedded in the same process."""


class Reindexing:
    """Does what is asked for on the board.

    Args:
        where: this process, for a person.
    """

    def __init__(
        self, generations: Generations, collections: Collections, sparse: SparseEncoder, board: Board, *, where: str
    ) -> None:
        self._generations = generations
        self._collections = collections
        self._sparse = sparse
        self._board = board
        self._where = where
        self._running: asyncio.Task[Progress] | None = None

    async def serve(self) -> None:
        """For ever: look whether a reindex is asked for that nobody does, and do it."""
        while True:
            with suppress(StateUnavailable):
                wanted = await self._board.wanted()
                if wanted is not None and not await self._is_answered(wanted):
                    lease = await self._board.take_lease(LEASE_SECONDS)
                    if lease is not None:
                        await self._do(wanted, lease)
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Stop what is running, so that another one can go on with it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _is_answered(self, wanted: Wanted) -> bool:
        progress = await self._board.progress()
        return progress is not None and progress.wanted == wanted.id and progress.phase.is_last

    async def _do(self, wanted: Wanted, lease: Lease) -> None:
        async with self._generations.loading(wanted.model) as embedder:
            job = Reindex(
                self._collections,
                embedder,
                self._sparse,
                self._board,
                where=self._where,
                wanted=wanted.id,
                keep_old=wanted.keep_old,
                again=wanted.again,
                pause=_PAUSE,
            )
            _log.info("Everything that is remembered is embedded anew with %s", embedder.name)
            self._running = asyncio.create_task(job.run(lease))
            try:
                while not self._running.done():
                    await asyncio.wait({self._running}, timeout=_LOOK_SECONDS)
                    if not job.switched and await self._is_given_up(wanted):
                        self._running.cancel()
            finally:
                await self.stop()
            self._log_end(self._running, job.progress)

    async def _is_given_up(self, wanted: Wanted) -> bool:
        with suppress(StateUnavailable):
            return await self._board.wanted() != wanted
        return False

    @staticmethod
    def _log_end(ended: asyncio.Task[Progress], progress: Progress) -> None:
        if ended.cancelled():
            _log.info("The reindex was stopped at %d of %d points", progress.done, progress.total)
        elif isinstance(error := ended.exception(), RecallrError):
            _log.warning("The reindex stopped: %s", error)
        elif error is not None:
            raise error
        else:
            _log.info("The reindex is done. %s", progress.note)
