"""kill -9 after any write of learning: what is known in the end is what it would have been, and was paid for once.

Each life is killed again and again, after so many writes each time; lives differ in where the first kill comes, so that
together they are killed after every write. See `tests/support/learning_life.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from recallr_litellm.learning.learner import AT_ONCE
from recallr_litellm.stores.state import EmbeddedValkey
from tests.support.learning_life import CURRENT, PAST, PHASES, Life, Request
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer

WRITES_EACH = 10
"""Between two kills of a life."""
LIVES = {"embedded": 10, "redis": 4, "servers": 2}
"""About 13 kills each, 200 in all."""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with Life(tmp_path_factory.mktemp("life")) as life:
        yield life


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    valkey = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    yield valkey.start()
    valkey.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="module")
def undisturbed(life: Life, embedded: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return lived(life, tmp_path_factory.mktemp("undisturbed"), embedded)


def lived(life: Life, folder: Path, redis_url: str, **options: Any) -> dict[str, Any]:
    """What is known after a life that nobody kills."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert life.run(Request(str(folder), redis_url, **options))
    return life.dump(folder)


def contents(known: dict[str, Any], *, past: bool) -> list[str]:
    records = [point["record"] for point in known["ana memory"].values()]
    return sorted(one["content"] for one in records if (one["expired_at"] is not None) is past)


def killed_again_and_again(
    life: Life, folder: Path, redis_url: str, undisturbed: dict[str, Any], first: int, **options: str
) -> int:
    """A life that is killed after `first` writes, and then after each `WRITES_EACH`. Returns how often that was."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    kills = 0
    while not life.run(Request(str(folder), redis_url, dies_after=WRITES_EACH if kills else first, **options)):
        kills += 1
        assert kills < 60, "it comes to no end"
    found = life.dump(folder)
    paid, wanted = found.pop("calls"), dict(undisturbed)
    most = wanted.pop("calls") + AT_ONCE * kills
    assert found == wanted
    assert paid <= most, "an answer that was kept was asked for again"
    return kills


def test_a_life_becomes_what_it_was(undisturbed: dict[str, Any]) -> None:
    assert contents(undisturbed, past=False) == CURRENT
    assert contents(undisturbed, past=True) == PAST
    assert [point["record"]["content"] for point in undisturbed["ana conflict"].values()] == ["User takes 20 mg."]
    assert (undisturbed["ana unlearned"], undisturbed["bob unlearned"]) == ([], [])


def test_sessions_that_are_heard_late_give_the_same_facts_as_in_order(
    life: Life, embedded: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    late = len(PHASES) - 3
    in_order = lived(life, tmp_path, embedded, order=[late, *(n for n in range(len(PHASES)) if n != late)])

    def held(known: dict[str, Any]) -> list[tuple[str, int, int | None]]:
        records = [point["record"] for point in known["ana memory"].values()]
        return sorted((one["content"], one["created_at"], one["expired_at"]) for one in records)

    assert [one[0] for one in held(in_order)] == [one[0] for one in held(undisturbed)]
    assert held(in_order) == held(undisturbed)


@pytest.mark.parametrize(
    ("store", "first"),
    [(store, first) for store, lives in LIVES.items() for first in range(1, lives + 1)],
)
def test_killed_after_any_write_it_knows_the_same(
    life: Life,
    store: str,
    first: int,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue("embedded" if store == "embedded" else "served")
    if store != "servers":
        assert killed_again_and_again(life, tmp_path, url, undisturbed, first)
        return
    with QdrantServer(tmp_path / "qdrant") as qdrant:
        assert killed_again_and_again(life, tmp_path, url, undisturbed, first, qdrant_url=qdrant.url)
