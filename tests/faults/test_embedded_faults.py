"""The embedded stores: their Valkey is killed, their folder is taken, their vectors are another model's.

The plugin mends what it can; what a person has to set right stops the start (see also unit/test_serve.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.state.process import pid_file
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from tests.support.observe import (
    assert_once,
    edge,
    embedded_redis_url,
    remembered,
    wait_until_processed,
    wait_until_sound,
)
from tests.support.process import StartFailed
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import Proxy
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


class AnotherModel:
    """An embedding model that is not the bundled one."""

    name = "some-other-model"
    dimension = 384


@pytest.fixture(scope="module")
def _gateway(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("embedded-faults"), running_provider) as proxy:
        yield proxy


@pytest.fixture
def gateway(_gateway: Proxy, provider: Provider) -> Proxy:
    return _gateway


def refused_start(proxy: Proxy) -> str:
    """Start a gateway that has to refuse that; what its log ends with."""
    with pytest.raises(StartFailed, match="ended with"):
        proxy.start()
    *_, last = proxy.log.splitlines()
    assert "Traceback" not in proxy.log, proxy.log
    assert "recallr: " in last, proxy.log
    return last


def test_a_second_gateway_on_the_same_folder_refuses_to_start_and_harms_nothing(
    gateway: Proxy, provider: Provider, user: str, tmp_path: Path
) -> None:
    told = gateway.ask(user, "My bicycle is orange.", session_timeout_seconds=3600)

    last = refused_start(Proxy(tmp_path, provider, data_dir=gateway.data_dir))

    assert "in use by another gateway" in last, "it does not say that the folder is in use"
    assert "RECALLR_REDIS_URL and RECALLR_QDRANT_URL" in last, "it does not say how to run several"
    asked = gateway.ask(user, "What is orange?", session_timeout_seconds=3600)
    assert asked.session_id == told.session_id, "the refused gateway has touched the sessions of the running one"
    assert "My bicycle is orange." in provider.last.user_text


def test_the_plugin_starts_its_valkey_again_and_nothing_acknowledged_is_lost(gateway: Proxy, user: str) -> None:
    users = [f"{user}-{number}" for number in range(3)]
    with Traffic(gateway, users, session_timeout_seconds=2) as traffic:
        for _ in range(3):
            traffic.wait_for(9)
            killed = _kill_valkey(gateway)
            eventually(lambda killed=killed: _valkey(gateway) not in (None, killed), "the plugin starts a new Valkey")
            wait_until_sound(gateway)
        traffic.wait_for(6)

    assert traffic.broken == [], "a chat got no answer because the embedded Valkey was killed"
    assert traffic.answered[-1].status in {"ok", "empty"}
    wait_until_processed(embedded_redis_url(gateway), *traffic.owners)
    gateway.terminate()
    kept = remembered(edge(gateway), traffic.owners)
    gateway.start()
    assert_once(kept, expected=traffic.expected)


def test_vectors_of_another_model_stop_the_start(provider: Provider, tmp_path: Path) -> None:
    data = tmp_path / "data"
    asyncio.run(_fill_by_another_model(data))

    proxy = Proxy(tmp_path, provider, data_dir=data)
    last = refused_start(proxy)

    assert "from the embedding model 'some-other-model'" in last, "the model of the store is not named"
    assert "recallr reindex" in last, "it does not say what to do"
    eventually(lambda: _valkey(proxy) is None, "the Valkey of the gateway that failed has ended")


async def _fill_by_another_model(data: Path) -> None:
    with DataDir(data):
        store = VectorStore(EdgeCollections(data / "qdrant"), AnotherModel())
        await store.open()
        await store.close()


def _valkey(proxy: Proxy) -> int | None:
    """Process id of the gateway's Valkey, while it runs."""
    try:
        pid = int(pid_file((proxy.data_dir / "redis").resolve()).read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid


def _kill_valkey(proxy: Proxy) -> int:
    pid = _valkey(proxy)
    assert pid is not None, "the gateway's Valkey does not run"
    os.kill(pid, signal.SIGKILL)
    return pid
