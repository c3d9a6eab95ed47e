"""Where a reindex and the gateways that serve meanwhile tell each other how far they are.

One at a time does a reindex: whoever holds the lease. It reports its progress here, and it retires the collection that
it is about to replace, so that no session is made memory there and taken out of Redis while the last of it is copied.
Each worker of a gateway announces every second what it reads.
"""

from __future__ import annotations

import contextlib
import os
import socket
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, LockNotOwnedError

from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller

WANTED_SECONDS: Final = 15.0
"""How long a gateway is asked after the last `ask`."""
READER_SECONDS: Final = 10.0
"""How long a worker counts as reading after its last `announce`."""


def this_process(what: str) -> str:
    """This process, told to a person: "gateway, process 17 on host"."""
    return f"{what}, process {os.getpid()} on {socket.gethostname()}"


class Phase(StrEnum):
    """Where a reindex is."""

    COPYING = "copying"
    CATCHING_UP = "catching up"
    """Everything is copied once; what changed meanwhile follows."""
    SWITCHING = "switching"
    """Sessions wait in Redis while the last changes follow."""
    CLEARING = "clearing"
    """The new collection is the current one; the old one goes once nobody reads it."""
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_last(self) -> bool:
        """Nothing more comes of it."""
        return self in {Phase.DONE, Phase.STOPPED, Phase.FAILED}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Wanted(_Record):
    """What a gateway is asked to do."""

    id: str
    """Of this request."""
    model: str
    """As `RECALLR_EMBEDDING_MODEL` names it."""
    keep_old: bool = False
    again: bool = False


class Progress(_Record):
    """How far a reindex has come."""

    model: str
    source: str = ""
    """The collection that is copied."""
    target: str = ""
    """The collection that is filled."""
    phase: Phase = Phase.COPYING
    total: int = 0
    """Points to be copied."""
    done: int = 0
    """Of these, copied by this run or one before it."""
    embedded: int = 0
    """Texts embedded by this run."""
    where: str = ""
    """Who does it."""
    note: str = ""
    """What came of it, or why it stopped; for a person."""
    wanted: str = ""
    """Id of the request that it answers; empty where nobody had to ask."""


class Reader(_Record):
    """A worker of a gateway."""

    id: str
    where: str
    collections: tuple[str, ...]
    """Those that it has open to read."""
    model: str
    """That of its questions."""
    ready: tuple[str, ...] = ()
    """The models that it has loaded besides, to follow a switch at once."""
    problem: str = ""
    """Why it cannot load another one."""


class Board(RedisCaller):
    """See the module. All methods raise `StateUnavailable` when Redis does not answer."""

    async def ask(self, wanted: Wanted) -> bool:
        """Ask the gateways for a reindex, for `WANTED_SECONDS`; to be repeated as long as it is wanted.

        False if something else is asked for: it is left alone.
        """
        async with self._reaching():
            name, text = keys.reindex("wanted"), wanted.model_dump_json()
            if await self._client.set(name, text, px=_ms(WANTED_SECONDS), nx=True):
                return True
            return await self._client.get(name) == text and bool(await self._client.pexpire(name, _ms(WANTED_SECONDS)))

    async def wanted_left(self) -> float:
        """Seconds until what is asked for is not asked for any more, if it is not repeated."""
        async with self._reaching():
            return max(0.0, await self._client.pttl(keys.reindex("wanted")) / 1000)

    async def ask_no_more(self, wanted: Wanted) -> None:
        """Take this request back: a gateway that is at it stops."""
        async with self._reaching():
            if await self._client.get(keys.reindex("wanted")) == wanted.model_dump_json():
                await self._client.delete(keys.reindex("wanted"))

    async def wanted(self) -> Wanted | None:
        """What the gateways are asked for."""
        async with self._reaching():
            found = await self._client.get(keys.reindex("wanted"))
        return Wanted.model_validate_json(found) if found else None

    async def report(self, progress: Progress) -> None:
        """Put down how far the reindex has come. Only for the holder of the lease."""
        async with self._reaching():
            await self._client.set(keys.reindex("progress"), progress.model_dump_json())

    async def progress(self) -> Progress | None:
        """How far the last reindex has come; None if there was never one."""
        async with self._reaching():
            found = await self._client.get(keys.reindex("progress"))
        return Progress.model_validate_json(found) if found else None

    async def lease_left(self) -> float:
        """Seconds until the lease of whoever holds it ends, if it is not renewed; 0 if nobody does a reindex."""
        async with self._reaching():
            return max(0.0, await self._client.pttl(keys.reindex("lease")) / 1000)

    async def take_lease(self, seconds: float) -> Lease | None:
        """The lease, for so many seconds; None if somebody else has it."""
        lock: Lock = self._client.lock(keys.reindex("lease"), timeout=seconds, thread_local=False)
        async with self._reaching():
            taken = await lock.acquire(blocking=False)
        return Lease(self, lock) if taken else None

    async def retire(self, collection: str, seconds: float) -> None:
        """From now on no session is claimed for this collection, and none that was is finished, for so long."""
        for bucket in range(keys.BUCKETS):
            async with self._reaching():
                await self._client.set(keys.retired(bucket), collection, px=_ms(seconds))

    async def keep_retired(self, collection: str, seconds: float) -> bool:
        """Let it be retired for longer. False if it was not retired any more: sessions may have been finished."""
        kept = True
        for bucket in range(keys.BUCKETS):
            async with self._reaching():
                kept &= await self._client.get(keys.retired(bucket)) == collection
                await self._client.pexpire(keys.retired(bucket), _ms(seconds))
        return kept

    async def reinstate(self) -> None:
        """No collection is retired any more."""
        for bucket in range(keys.BUCKETS):
            async with self._reaching():
                await self._client.delete(keys.retired(bucket))

    async def announce(self, reader: Reader) -> None:
        """Say what a worker reads, for `READER_SECONDS`."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.set(keys.reindex("reader", reader.id), reader.model_dump_json(), px=_ms(READER_SECONDS))
            pipeline.sadd(keys.reindex("readers"), reader.id)
            await pipeline.execute()

    async def leave(self, reader_id: str) -> None:
        """Say that a worker reads no more."""
        async with self._reaching():
            await self._client.delete(keys.reindex("reader", reader_id))

    async def readers(self) -> list[Reader]:
        """The workers that have announced themselves of late."""
        async with self._reaching():
            ids = sorted(str(id) for id in await self._client.smembers(keys.reindex("readers")))
            found = await self._client.mget([keys.reindex("reader", id) for id in ids]) if ids else []
            gone = [id for id, text in zip(ids, found, strict=True) if text is None]
            if gone:
                await self._client.srem(keys.reindex("readers"), *gone)
        return [Reader.model_validate_json(text) for text in found if text is not None]


class Lease:
    """The right to do the reindex."""

    def __init__(self, board: Board, lock: Lock) -> None:
        self._board = board
        self._lock = lock

    async def keep(self) -> bool:
        """Have it for as long as at first, from now on. False if it is lost.

        Raises:
            StateUnavailable: Redis does not answer; the lease ends by itself when its time is over.
        """
        async with self._board._reaching():
            try:
                await self._lock.reacquire()
            except LockError:
                return False
        return True

    async def release(self) -> None:
        """Give it up. Raises StateUnavailable."""
        async with self._board._reaching():
            with contextlib.suppress(LockNotOwnedError):
                await self._lock.release()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
