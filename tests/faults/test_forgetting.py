"""Users are deleted while they chat, while their sessions are processed, and while the gateway is killed: afterwards
nothing of them is in Redis, in Qdrant, or in a file.

More rounds: `python -m tests.benchmarks.forgetting`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.command import recallr
from tests.support.forgetting_rounds import SETTINGS, Moment, Rounds, in_redis, moments, on_disk, owners_of
from tests.support.observe import edge, embedded_redis_url, owner_of, remembered, server, wait_until_processed
from tests.support.provider import Provider
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer


def test_nothing_is_left_of_who_is_deleted_in_either_store_or_on_the_disk(
    start_proxy: StartProxy, user: str, tmp_path: Path
) -> None:
    proxy = start_proxy(settings=SETTINGS)
    url = embedded_redis_url(proxy)
    stays = f"{user}-stays"
    proxy.ask(stays, f"I am {stays}.", session_timeout_seconds=1)
    rounds = Rounds([proxy], url, seed=20261130)
    for number, moment in enumerate(moments(len(Moment))):
        rounds.run(f"{user}-{number}", moment)
    assert rounds.in_processing, "nobody was deleted while a session was processed: the test shows too little"
    wait_until_processed(url)
    assert proxy.terminate() is not None
    assert remembered(edge(proxy), owners_of(rounds.names)) == []
    assert on_disk(proxy.data_dir, rounds.names), "deleted texts leave the disk at once: there is nothing to test"
    compacted = recallr("compact", folder=tmp_path, environment={"RECALLR_DATA_DIR": str(proxy.data_dir)})
    assert compacted.returncode == 0, compacted.stdout
    assert on_disk(proxy.data_dir, rounds.names) == []
    assert remembered(edge(proxy), [owner_of(stays)]), "another user lost what it said"


@pytest.mark.parametrize("killed", [Moment.KILLED, Moment.KILLED_PROCESSING])
def test_two_gateways(start_proxy: StartProxy, provider: Provider, user: str, tmp_path: Path, killed: Moment) -> None:
    """Users who talk to one are deleted at the other, while the first is killed."""
    with RedisServer(tmp_path / "redis") as redis, QdrantServer(tmp_path / "qdrant") as qdrant:
        proxies = [start_proxy(redis_url=redis.url, qdrant_url=qdrant.url, settings=SETTINGS) for _ in range(2)]
        rounds = Rounds(proxies, redis.url, seed=20261130)
        for number, moment in enumerate((Moment.CHATTING, Moment.PROCESSING, killed)):
            rounds.run(f"{user}-{number}", moment)
        assert in_redis(redis.url, rounds.names) == []
        assert remembered(server(qdrant.url), owners_of(rounds.names)) == []
