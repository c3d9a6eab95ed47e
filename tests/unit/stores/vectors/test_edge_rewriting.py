"""A collection that is written anew has nothing of what was deleted, and survives whatever ends the writing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.vectors import edge_collections
from recallr_litellm.stores.vectors.edge import EdgeEngine
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.engine import Point, Where
from recallr_litellm.stores.vectors.schema import Kind
from tests.unit.stores.vectors.vector_samples import ADA, BOB

SECRET, KEPT = "locker number 4711", "a cat called Felix"
COUNT = 100


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a collection of which a part was deleted."""
    folder = tmp_path_factory.mktemp("qdrant-model")
    engine = EdgeEngine(folder)
    await engine.open(4)
    for owner, text in ((ADA, SECRET), (BOB, KEPT)):
        for start in range(0, COUNT, 50):
            await engine.upsert([point(owner, n, text) for n in range(start, start + 50)])
    await engine.delete(Where(ADA, Kind.TURN))
    await engine.close()
    return folder


def point(owner: Owner, number: int, text: str) -> Point:
    id = f"{number:08}-0000-0000-0000-{owner.key[:12]}"
    return Point(id, {"scope": f"{owner.key}/turn", "at": number, "record": f"{text} {number}"})


async def points_of(folder: Path) -> list[str]:
    engine = EdgeEngine(folder)
    await engine.open(4)
    found, after = await engine.scroll(None, 10 * COUNT)
    await engine.close()
    assert after is None
    return sorted(f"{one.id} {one.payload}" for one in found)


async def copied(stocked: Path, folder: Path) -> list[str]:
    """Its points."""
    shutil.copytree(stocked, folder)
    return await points_of(folder)


def on_disk(folder: Path, text: str) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


async def test_nothing_of_what_was_deleted_is_left_in_a_file(stocked: Path, tmp_path: Path) -> None:
    left = await copied(stocked, tmp_path / "qdrant-model")
    assert on_disk(tmp_path, SECRET), "a deleted text was gone at once: the test shows nothing"
    assert await EdgeCollections(tmp_path / "qdrant").rewrite("qdrant-model") == COUNT
    assert on_disk(tmp_path, SECRET) == []
    assert await points_of(tmp_path / "qdrant-model") == left


@pytest.mark.parametrize(
    "call", [pytest.param(call, marks=[pytest.mark.slow] * (call in (1, 2, 4))) for call in range(6)]
)
async def test_killed_anywhere_it_leaves_the_collection_whole(
    stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """It is cut off before one of the steps that change the folders."""
    folder = tmp_path / "qdrant-model"
    left = await copied(stocked, folder)
    calls = 0

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > call:
                raise asyncio.CancelledError
            return method(*arguments, **options)

        return step

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr(edge_collections.shutil, "rmtree", dying(edge_collections.shutil.rmtree))
        with pytest.raises(asyncio.CancelledError):
            await EdgeCollections(tmp_path / "qdrant").rewrite("qdrant-model")
    collections = EdgeCollections(tmp_path / "qdrant")
    assert await collections.names() == ["qdrant-model"]
    assert await points_of(folder) == left
    await collections.rewrite("qdrant-model")
    assert on_disk(tmp_path, SECRET) == [], "a second run leaves what the first has left"
