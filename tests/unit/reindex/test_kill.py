"""kill -9 of whoever does a reindex, wherever it is: the memory is whole before and after, and another one ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.board import Board
from recallr_litellm.stores.vectors import Collections
from tests.unit.reindex.kit import NEW, OLD, OWNERS, Hashing, Remembering, assert_embedded_with, reindex, remembered
from tests.unit.reindex.worker import DELETING, POINTS, RETIRED, SWITCHED, collections_of

ROOT = Path(__file__).resolve().parents[3]


async def run_until_killed(place: str, name: str, redis_url: str, point: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.unit.reindex.worker", place, name, redis_url, point),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await worker.communicate()
    assert worker.returncode == -signal.SIGKILL, f"it came to its end, or failed: {errors.decode()[-2000:]}"


@pytest.fixture
def place(make_collections: Callable[[], Collections], request: pytest.FixtureRequest, tmp_path: Path) -> str:
    edge = request.node.callspec.params["make_collections"] == "edge"
    return str(tmp_path) if edge else request.getfixturevalue("qdrant").url


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", POINTS)
async def test_memory_is_whole_and_another_one_ends_it(
    memory: Remembering,
    collections: Collections,
    place: str,
    board: Board,
    valkey_url: str,
    sparse: SparseEncoder,
    point: str,
) -> None:
    for owner in OWNERS:
        for number in range(2):
            await memory.session(owner, f"s{number}", f"{owner.user} of {owner.project} has {number} cats.", "Good.")
    old_name, before = await collections.current(), await remembered(collections)
    await collections.close()

    await run_until_killed(place, old_name, valkey_url, point)

    left = collections_of(place, old_name)
    switched = point in (SWITCHED, DELETING)
    assert (await left.current() != old_name) == switched, "it is not the current one that should be"
    assert await remembered(left) == before, "the current collection is not whole"
    await assert_embedded_with(Hashing(*(NEW if switched else OLD)), sparse, left)
    retired = await board._client.pttl(keys.retired(3))
    assert (retired > 0) == (point in (RETIRED, SWITCHED, DELETING)), "sessions wait, or do not wait, as they should"

    await board._client.delete(keys.reindex("lease"))  # its time is over
    new = Hashing(*NEW)
    await reindex(left, new, sparse, board)

    assert await remembered(left) == before, "something was lost, doubled or changed"
    await assert_embedded_with(new, sparse, left)
    assert await left.all() == [await left.current()], "a collection is left over"
    if switched or point == RETIRED:
        assert new.embedded == [], "what was embedded already was embedded again"
    if not place.startswith("http"):
        names = set(os.listdir(place))
        assert names == {await left.current(), f"{old_name}-current"}, "something is left in the folder"
    await left.close()
