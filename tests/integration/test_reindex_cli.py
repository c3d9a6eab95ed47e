"""`recallr reindex` where no gateway runs: what it refuses, what it says, on embedded stores and on servers.

Beside running gateways, and killed: faults/test_reindex.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app
from recallr_litellm.core.owner import Owner
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import bundled
from recallr_litellm.stores.state import EmbeddedValkey
from tests.support.command import prose
from tests.support.hub import OTHER_MODEL, fill_cache
from tests.support.observe import assert_once, remembered, server
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.stocked import stock

ANA = Owner("acme", "ana")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_cache(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def _models(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(cache))


@pytest.fixture
def stocked() -> list[str]:
    """Texts of embedded stores in the working folder of the test."""
    return stock(Settings(qdrant_url=None), [ANA], 3)


def reindex(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["reindex", *arguments])
    assert isinstance(result.exception, SystemExit | None), f"the command crashed: {result.exception!r}"
    return result


def test_where_nothing_is_stored_it_says_so_and_makes_nothing() -> None:
    done = reindex()
    assert (done.exit_code, "Nothing is remembered yet" in done.output) == (0, True), done.output
    assert "nothing yet" in reindex("--status").output
    assert not Path(".recallr").exists(), "the data folder was made"


def test_it_is_done_shown_and_then_there_is_nothing_to_do(stocked: list[str]) -> None:
    status = reindex("--status").output
    assert "none yet" in status, status
    assert f"5 points in qdrant, with vectors of {bundled.NAME}" in status, status

    done = reindex("--model", OTHER_MODEL)
    assert done.exit_code == 0, done.output
    assert f"Everything is embedded with {OTHER_MODEL} now. Deleted: qdrant." in prose(done.output)
    assert f"RECALLR_EMBEDDING_MODEL={OTHER_MODEL}" in done.output, "it is not said what to set"
    status = reindex("--status").output
    assert f"done, 5 of 5 points, with {OTHER_MODEL}" in prose(status), status
    assert f"5 points in qdrant-reindexed-2, with vectors of {OTHER_MODEL}" in status, status

    again = reindex("--model", OTHER_MODEL)
    assert (again.exit_code, "already" in again.output) == (0, True), again.output
    assert "Before a gateway" not in again.output, "there is nothing to set"
    kept = reindex("--model", OTHER_MODEL, "--again", "--keep-old")
    assert (kept.exit_code, "Kept besides: qdrant-reindexed-2." in kept.output) == (0, True), kept.output
    assert sorted(path.name for path in Path(".recallr").glob("qdrant*")) == [
        "qdrant-current",
        "qdrant-reindexed-2",
        "qdrant-reindexed-3",
    ]


def test_an_unknown_model_is_named_and_nothing_begins(stocked: list[str]) -> None:
    refused = reindex("--model", "BAAI/bge-small-en-v15")
    assert refused.exit_code == 1, refused.output
    assert "is not an embedding model of fastembed" in prose(refused.output), refused.output
    assert OTHER_MODEL in refused.output, "the model that was meant is not offered"
    assert f"with vectors of {bundled.NAME}" in reindex("--status").output


def test_a_model_of_the_gateway_needs_a_gateway(stocked: list[str]) -> None:
    refused = reindex("--model", "litellm/my-embedder")
    assert refused.exit_code == 1, refused.output
    assert "only a running gateway can ask" in prose(refused.output), refused.output
    assert "recallr reindex --model litellm/my-embedder" in prose(refused.output), "nobody is told what to do about it"


def test_a_folder_whose_process_cannot_be_asked_is_left_alone(stocked: list[str]) -> None:
    with DataDir(Path(".recallr")):
        refused = reindex("--model", OTHER_MODEL)
    assert refused.exit_code == 1, refused.output
    assert "RECALLR_REDIS_URL" in refused.output, "nobody is told what to do about it"


def test_a_folder_in_use_by_something_else_than_a_gateway_is_left_alone(stocked: list[str]) -> None:
    server = EmbeddedValkey(Settings().valkey_dir)
    with DataDir(Path(".recallr")):
        server.start()
        refused = reindex("--model", OTHER_MODEL)
        server.stop()
    assert refused.exit_code == 1, refused.output
    assert "no gateway" in refused.output, refused.output


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, QdrantServer]]:
    folder = tmp_path_factory.mktemp("servers")
    with RedisServer(folder / "redis", password="secret-word") as redis, QdrantServer(folder / "qdrant") as qdrant:
        yield redis, qdrant


def test_on_servers_without_a_gateway(
    servers: tuple[RedisServer, QdrantServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, qdrant = servers
    monkeypatch.setenv("RECALLR_REDIS_URL", redis.url)
    monkeypatch.setenv("RECALLR_QDRANT_URL", qdrant.url)
    texts = stock(Settings(), [ANA], 3)
    done = reindex("--model", OTHER_MODEL)
    assert (done.exit_code, "Deleted: recallr." in done.output) == (0, True), done.output
    assert f"5 points in recallr-reindexed-2, with vectors of {OTHER_MODEL}" in reindex("--status").output
    assert_once(remembered(server(qdrant.url), [ANA]), expected=texts)
    assert not Path(".recallr").exists(), "the data folder was made, which nobody needs"

    doctor = CliRunner().invoke(app, ["doctor"])
    assert "RECALLR_EMBEDDING_MODEL=" + OTHER_MODEL in doctor.output, "the doctor does not see the current collection"
    assert "recallr reindex" in doctor.output


def test_a_store_that_does_not_answer_is_named_without_its_password(
    servers: tuple[RedisServer, QdrantServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, qdrant = servers
    monkeypatch.setenv("RECALLR_REDIS_URL", redis.url)
    monkeypatch.setenv("RECALLR_QDRANT_URL", qdrant.url)
    monkeypatch.setattr("recallr_litellm.reindex.copying.Patience.__call__", _impatient)
    redis.kill()
    try:
        refused = reindex("--model", OTHER_MODEL)
    finally:
        redis.start()
    assert refused.exit_code == 1, refused.output
    assert f"127.0.0.1:{redis.port}" in refused.output, "it is not said which store does not answer"
    assert "secret-word" not in refused.output, "a password was printed"


async def _impatient(_: object, call: object) -> object:
    return await call()  # type: ignore[operator]
