"""A reindex in a process that kills itself, as `kill -9` would, at a chosen point.

python -m tests.unit.reindex.worker FOLDER_OR_URL NAME REDIS_URL POINT
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from recallr_litellm.reindex import LEASE_SECONDS, Reindex, copying
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state.board import Board
from recallr_litellm.stores.vectors import Collections
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.server import connect
from recallr_litellm.stores.vectors.server_collections import ServerCollections
from tests.unit.reindex.kit import NEW, Hashing

BEFORE_COPYING, COPYING, WRITTEN = "before copying", "while copying", "when something is written"
RETIRED, SWITCHED, DELETING = "before the switch", "after the switch", "while the old one is deleted"
POINTS = (BEFORE_COPYING, COPYING, WRITTEN, RETIRED, SWITCHED, DELETING)


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def collections_of(place: str, name: str) -> Collections:
    """The collections in a folder or on a server."""
    if place.startswith("http"):
        return ServerCollections(partial(connect, place, None), name)
    return EdgeCollections(Path(place) / name)


def mine(point: str, model: Hashing, collections: Any) -> None:
    """Lay the mine."""
    switch, drop = collections.switch, collections.drop

    async def switching(name: str) -> None:
        if point == RETIRED:
            die()
        await switch(name)
        if point == SWITCHED:
            die()

    async def dropping(name: str) -> None:
        if point == DELETING and name == await collections.current():
            raise AssertionError("the current collection is deleted")
        if point == DELETING and await collections.current() != name and "reindexed" not in name:
            shutil.rmtree = die  # type: ignore[assignment]
            if isinstance(collections, ServerCollections):
                die()
        await drop(name)

    async def embedding() -> None:
        if (point == BEFORE_COPYING) or (point == COPYING and len(model.embedded) > 10):
            die()

    write = copying.Copy._write

    async def writing(copy: copying.Copy, portion: Any) -> None:
        await write(copy, portion)
        if point == WRITTEN:
            die()

    collections.switch, collections.drop, model.before_each = switching, dropping, embedding
    copying.Copy._write = writing  # type: ignore[method-assign]


async def main(place: str, name: str, redis_url: str, point: str) -> None:
    copying._PAGE, copying._PORTION = 10, 4  # type: ignore[misc]
    model, collections = Hashing(*NEW), collections_of(place, name)
    mine(point, model, collections)
    board = Board.from_url(redis_url, timeout_seconds=20)
    lease = await board.take_lease(LEASE_SECONDS)
    assert lease is not None
    await Reindex(collections, model, SparseEncoder(), board, where="the one that is killed").run(lease)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
