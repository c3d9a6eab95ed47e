"""`recallr reindex` where no gateway uses the store: what it says, what it refuses. The stand-in provider embeds.

Beside a running gateway, and killed: faults/test_reindex.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app
from recallr_litellm.core.owner import Owner
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.vectors import open_collections
from recallr_litellm.stores.vectors.collections import open_collection
from recallr_litellm.stores.vectors.points import Description
from tests.support.command import prose
from tests.support.observe import assert_once, remembered
from tests.support.provider import Answer, Provider
from tests.support.proxy import EMBEDDING_MODEL
from tests.support.qdrant_server import QdrantServer
from tests.support.stocked import stock
from tests.support.wires.embeddings import EMBEDDING_DIMENSION

ANA = Owner("acme", "ana")
MODEL = f"litellm/{EMBEDDING_MODEL}"
OLD, NEW = "all-minilm-l6-v2-dynamic-int8", "litellm-text-embedding-3-small"


@pytest.fixture(autouse=True)
def _gateway(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLR_GATEWAY", provider.base_url.removesuffix("/v1"))


def reindex(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["reindex", "--model", MODEL, *arguments])
    assert isinstance(result.exception, SystemExit | None), f"the command crashed: {result.exception!r}"
    return result


def folders() -> list[str]:
    return sorted(path.name for path in Path(".recallr").glob("qdrant*"))


def start_a_gateway(settings: Settings) -> None:
    """What the start of a gateway with the new model does to the collections."""

    async def start() -> None:
        collections = open_collections(settings)
        await open_collection(collections, Description(MODEL, EMBEDDING_DIMENSION))
        await collections.close()

    asyncio.run(start())


def test_where_nothing_is_stored_it_says_so_and_makes_nothing() -> None:
    done = reindex()
    assert (done.exit_code, "Nothing is remembered yet" in done.output) == (0, True), done.output
    assert not Path(".recallr").exists(), "the data folder was made"


def test_embedded_it_says_what_is_done_and_what_to_do_next(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = stock(Settings(qdrant_url=None), [ANA], 3)
    done = reindex()
    assert done.exit_code == 0, done.output
    assert f"qdrant-{NEW} holds everything with vectors of {MODEL}. 5 points were written" in prose(done.output)
    assert f"start the gateway with RECALLR_EMBEDDING_MODEL={MODEL}" in prose(done.output)
    assert f"`recallr reindex --drop-old` deletes what is no longer needed: qdrant-{OLD}" in prose(done.output)
    assert "Nothing was left to do" in reindex().output
    refused = reindex("--drop-old")
    assert (refused.exit_code, "Gateways still use" in refused.output) == (1, True), refused.output

    start_a_gateway(Settings())
    dropped = reindex("--drop-old")
    assert (dropped.exit_code, f"Deleted: qdrant-{OLD}." in dropped.output) == (0, True), dropped.output
    assert folders() == ["qdrant-current", f"qdrant-{NEW}"]
    assert_once(remembered(open_collections(Settings()), [ANA]), expected=texts)


def test_embedded_stores_that_a_gateway_uses_are_left_alone() -> None:
    stock(Settings(qdrant_url=None), [ANA], 3)
    with DataDir(Path(".recallr")):
        refused = reindex()
    assert refused.exit_code == 1, refused.output
    assert "in use by another gateway" in prose(refused.output)
    assert "stop that gateway" in prose(refused.output)


@pytest.mark.parametrize(
    ("status", "said"), [(401, "Check LITELLM_MASTER_KEY"), (None, "name another one with --gateway")]
)
def test_a_gateway_that_does_not_embed_is_named_and_nothing_begins(
    provider: Provider, status: int | None, said: str
) -> None:
    stock(Settings(qdrant_url=None), [ANA], 3)
    if status is None:
        refused = reindex("--gateway", "http://127.0.0.1:1")
    else:
        provider.answer(Answer(model=EMBEDDING_MODEL, status=status))
        refused = reindex()
    assert refused.exit_code == 1, refused.output
    assert said in prose(refused.output), refused.output
    assert folders() == [f"qdrant-{OLD}"]


def test_an_unknown_model_is_named_with_the_one_that_was_meant() -> None:
    stock(Settings(qdrant_url=None), [ANA], 3)
    refused = reindex("--model", "BAAI/bge-small-en-v15")
    assert refused.exit_code == 1, refused.output
    assert "BAAI/bge-small-en-v1.5" in refused.output


def test_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QdrantServer(tmp_path / "qdrant") as qdrant:
        monkeypatch.setenv("RECALLR_QDRANT_URL", qdrant.url)
        stock(Settings(), [ANA], 3)
        done = reindex()
        assert done.exit_code == 0, done.output
        assert "Then run `recallr reindex` again" in prose(done.output)
        assert not Path(".recallr").exists(), "the data folder was made, which nobody needs"
        start_a_gateway(Settings())
        doctor = CliRunner().invoke(app, ["doctor"])
        assert f"RECALLR_EMBEDDING_MODEL={MODEL}" in prose(doctor.output), "it does not see which model is in use"
        dropped = reindex("--drop-old")
        assert f"Deleted: recallr-{OLD}." in dropped.output, dropped.output
