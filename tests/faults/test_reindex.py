"""`recallr reindex` killed at random moments, and beside a gateway that is started with the new model afterwards."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.settings import Settings
from recallr_litellm.stores.vectors import Collections, open_collections
from recallr_litellm.stores.vectors.points import META_ID
from tests.conftest import StartProxy
from tests.support.command import Running
from tests.support.observe import owner_of, remembered, server, wait_until_processed
from tests.support.provider import Answer, Provider
from tests.support.proxy import EMBEDDING_MODEL
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.stocked import stock, town
from tests.support.waiting import eventually

MODEL = f"litellm/{EMBEDDING_MODEL}"
OLD, NEW = "all-minilm-l6-v2-dynamic-int8", "litellm-text-embedding-3-small"
MESSAGES = 100
KILLS = 3


def embedded(provider: Provider) -> Counter[str]:
    """How often the provider was asked to embed each text."""
    asked = [seen.json["input"] for seen in provider.recorded if seen.path == "/v1/embeddings"]
    return Counter(text for texts in asked for text in texts)


def points(collections: Collections, name: str) -> dict[str, Any]:
    """Every point of a collection but its description."""

    async def read() -> dict[str, Any]:
        engine = collections.engine(name)
        await engine.open(0)
        found, after = await engine.scroll(None, 10_000)
        assert after is None
        await collections.close()
        return {point.id: point.payload for point in found if point.id != META_ID}

    return asyncio.run(read())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["embedded", "server"])
def test_killed_anywhere_it_loses_and_doubles_nothing(
    store: str, provider: Provider, user: str, tmp_path: Path
) -> None:
    owners = [owner_of(f"{user}-{number}") for number in range(2)]
    with QdrantServer(tmp_path / "qdrant") as qdrant:
        url = qdrant.url if store == "server" else None
        settings = Settings(data_dir=tmp_path / "data", qdrant_url=url)
        texts = stock(settings, owners, MESSAGES)
        environment = {
            "RECALLR_DATA_DIR": str(tmp_path / "data"),
            "RECALLR_GATEWAY": provider.base_url.removesuffix("/v1"),
            **({"RECALLR_QDRANT_URL": url} if url else {}),
        }
        chance = random.Random(4711)
        ends = []
        for text in chance.sample(texts, KILLS):
            provider.answer(Answer(model=EMBEDDING_MODEL, when=text, hang=True, times=1))
            with Running("reindex", "--model", MODEL, folder=tmp_path, environment=environment) as command:
                eventually(lambda: provider.hanging or command.ended, "it embeds", timeout=60)
                provider.release(provider.hanging)
                time.sleep(chance.uniform(0, 0.05))  # in the embedding, the writing or the comparing that follows
                command.signal(signal.SIGKILL)
                ends.append(command.wait())
        assert -signal.SIGKILL in ends, "it was never killed: the test does not test what it says"
        with Running("reindex", "--model", MODEL, folder=tmp_path, environment=environment) as command:
            assert command.wait() == 0, command.output
        base = "recallr" if url else "qdrant"
        original = points(open_collections(settings), f"{base}-{OLD}")
        assert points(open_collections(settings), f"{base}-{NEW}") == original
    counts = embedded(provider)
    assert all(counts[text] for text in texts), "a text was never embedded"
    again = sum(count - 1 for text, count in counts.items() if text in texts)
    assert again <= KILLS * 16, f"besides the portions that were cut off, {again} texts were embedded again"


@pytest.mark.timeout(300)
def test_a_gateway_serves_meanwhile_and_uses_the_new_model_from_its_next_start(
    start_proxy: StartProxy, provider: Provider, user: str, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis, QdrantServer(tmp_path / "qdrant") as qdrant:
        stock(Settings(qdrant_url=qdrant.url), [owner_of(user)], 60)
        proxy = start_proxy(redis_url=redis.url, qdrant_url=qdrant.url)
        environment = {
            "RECALLR_QDRANT_URL": qdrant.url,
            "RECALLR_GATEWAY": proxy.url,
            "LITELLM_MASTER_KEY": proxy.master_key,
        }

        def reindex(*arguments: str) -> str:
            with Running("reindex", "--model", MODEL, *arguments, folder=tmp_path, environment=environment) as command:
                assert command.wait(timeout=200) == 0, command.output
                return command.output

        reindex()
        asked = f"What was it like in {town(33)}?"
        assert proxy.ask(user, asked, session_timeout_seconds=1).memory_status == "ok"
        assert f"Remark 33 of {user}" in provider.last.user_text
        wait_until_processed(redis.url)  # into the old collection, after the copy

        proxy.terminate()
        changed = start_proxy(redis_url=redis.url, qdrant_url=qdrant.url, settings={"RECALLR_EMBEDDING_MODEL": MODEL})
        environment |= {"RECALLR_GATEWAY": changed.url, "LITELLM_MASTER_KEY": changed.master_key}
        assert "points were written" in reindex("--drop-old"), "what came after the copy is lost"
        assert changed.ask(user, f"Tell me again about {town(33)}.").memory_status == "ok"
        assert f"Remark 33 of {user}" in provider.last.user_text
        assert asked in [kept.text for kept in remembered(server(qdrant.url), [owner_of(user)])]
