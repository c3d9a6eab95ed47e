"""Redis down, hung, restarted, failed over, refusing everybody: an outage, in time, without secrets. What it refuses
one user is none."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from recallr_litellm.errors import StateUnavailable
from recallr_litellm.stores.state import CommitResult, StateStore
from recallr_litellm.stores.state.calls import is_outage
from recallr_litellm.stores.state.connection import MAX_CONNECTIONS
from tests.support.listeners import Listener, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.unit.stores.state_kit import ANA, NOW, commit, resolve, session_with, texts_in
from tests.unit.stores.state_servers import ClusterNode, Replica, SentinelServer

pytest_plugins = ("tests.unit.stores.state_fixtures",)

PASSWORD = "pa55-w0rd"


@asynccontextmanager
async def opened(url: str, *, timeout_seconds: float = 60) -> AsyncIterator[StateStore]:
    store = StateStore.from_url(url, timeout_seconds=timeout_seconds)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.mark.parametrize(
    "form", ["redis://:{}@127.0.0.1:{}", "redis+cluster://:{}@127.0.0.1:{}", "redis+sentinel://:{}@127.0.0.1:{}/name"]
)
async def test_nobody_listens(form: str) -> None:
    async with opened(form.format(PASSWORD, free_port())) as store:
        with pytest.raises(StateUnavailable) as caught:
            await store.probe()

    assert "127.0.0.1" in str(caught.value), "the message has to say which Redis"
    assert caught.value.__cause__ is not None, "the cause is lost"
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown


@pytest.mark.parametrize("form", ["redis://:{}@{}", "redis+cluster://:{}@{}", "redis+sentinel://:{}@{}/name"])
async def test_a_server_that_hangs_is_given_up_after_the_timeout(form: str) -> None:
    with Listener() as hung:
        async with opened(form.format(PASSWORD, hung.address), timeout_seconds=0.3) as store:
            with pytest.raises(StateUnavailable) as caught:
                await resolve(store)
        await asyncio.to_thread(eventually, lambda: hung.connections, "the server was asked at all")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def break_saving(server: RedisServer) -> None:
    """Make a background save fail, so that Redis refuses every write with MISCONF."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("save", "3600 1")
        (server.folder / "dump.rdb").mkdir()
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"], "a save fails", until="err".__eq__)


REFUSES_EVERYBODY: dict[str, Callable[[RedisServer], None]] = {
    "OOM": lambda server: redis.Redis.from_url(server.url).config_set("maxmemory", 1),
    "READONLY": lambda server: redis.Redis.from_url(server.url).replicaof("127.0.0.1", str(free_port())),
    "NOREPLICAS": lambda server: redis.Redis.from_url(server.url).config_set("min-replicas-to-write", 1),
    "NOPERM": lambda server: redis.Redis.from_url(server.url).acl_setuser(
        "default", enabled=True, categories=["-@all"]
    ),
    "MISCONF": break_saving,
}


@pytest.mark.parametrize("code", REFUSES_EVERYBODY)
async def test_a_server_that_answers_but_takes_no_writes_is_an_outage(server: RedisServer, code: str) -> None:
    async with opened(server.url) as store:
        await store.remember_user(ANA)
        session = await resolve(store)
        await asyncio.to_thread(REFUSES_EVERYBODY[code], server)
        with pytest.raises(StateUnavailable):
            await commit(store, session.session_id, 0, "hello")
        with pytest.raises(StateUnavailable):
            await store.probe()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        # What Redis 6.2 makes of an error of a command in a script.
        ("ERR Error running script (call): @user_script:1: @user_script: 1: -OOM command not allowed", True),
        (
            "ERR Error running script (call): @user_script:1: @user_script: 1: -WRONGTYPE Operation against",
            False,
        ),
        ("ERR user_script:3: attempt to compare nil with number script: f_1", False),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", True),
    ],
)
def test_errors_of_scripts_are_told_apart(error: str, expected: bool) -> None:
    assert is_outage(redis.ResponseError(error)) is expected


async def test_connections_closed_by_the_server_cost_no_error(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.remember_user(ANA)
        await asyncio.gather(*(resolve(store) for _ in range(20)))
        with redis.Redis.from_url(server.url) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        found = await asyncio.gather(*(resolve(store) for _ in range(20)))
    assert len({one.session_id for one in found}) == 1


async def test_a_restart_is_survived_with_all_that_was_acknowledged(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.remember_user(ANA)
        session_id = await session_with(store, "before the crash")
        server.kill()
        with pytest.raises(StateUnavailable):
            await resolve(store)
        server.restart()

        back = await resolve(store)

        assert (back.session_id, await texts_in(store, session_id)) == (session_id, ["before the crash"])
        assert await commit(store, session_id, back.version, "after it") is CommitResult.STORED


async def test_calls_beyond_the_number_of_connections_wait(store: StateStore, state_url: str) -> None:
    found = await asyncio.gather(*(resolve(store) for _ in range(400)))
    assert len({one.session_id for one in found}) == 1
    for address in state_url.removeprefix("redis+cluster://").split(","):
        with redis.Redis.from_url(address if "://" in address else f"redis://{address}") as client:
            # Besides the store's own: this one, and those of the fixtures.
            assert client.info("clients")["connected_clients"] < MAX_CONNECTIONS + 20


async def test_a_cancelled_call_does_not_give_its_answer_to_the_next_one(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.remember_user(ANA)
        session_id = await session_with(store, "hello")
        for delay in range(50):
            call = asyncio.create_task(store.load_index(ANA, session_id))
            await asyncio.sleep(delay / 20_000)
            call.cancel()
            await asyncio.wait([call])
            assert (await resolve(store)).session_id == session_id


def _has_data(info: dict[str, object]) -> bool:
    return bool(info.get("db0")) and not info["loading"]


async def test_the_sentinels_new_master_is_followed(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "master") as master,
        Replica(tmp_path / "replica", master) as replica,
        SentinelServer(tmp_path / "sentinel", master) as sentinel,
    ):

        def replica_found() -> bool:
            return sentinel.master()["num-slaves"] == 1

        def failed_over() -> bool:
            now = sentinel.master()
            return now["port"] == replica.port and bool(now["is_master"])

        async with opened(f"redis+sentinel://127.0.0.1:{sentinel.port}/recallr/0") as store:
            await store.remember_user(ANA)
            session_id = await session_with(store, "to the old master")
            await asyncio.to_thread(eventually, replica_found, "the Sentinel knows the replica")
            with redis.Redis.from_url(replica.url, socket_timeout=60) as copy:
                # Not by WAIT: a replica acknowledges a full copy before it has loaded it.
                await asyncio.to_thread(eventually, copy.info, "the replica has loaded the data", until=_has_data)
            with redis.Redis.from_url(master.url, socket_timeout=None) as client:  # WAIT itself ends in time
                assert await asyncio.to_thread(client.wait, 1, 60_000) == 1, "the replica has not got all of it"
            master.kill()
            with sentinel.impatient():
                await asyncio.to_thread(eventually, failed_over, "the Sentinel names the replica as the master")

            back = await resolve(store)

            assert (back.session_id, await texts_in(store, session_id)) == (session_id, ["to the old master"])
            assert await commit(store, session_id, back.version, "to the new one") is CommitResult.STORED


async def test_a_clusters_moved_slot_is_followed(cluster_nodes: list[ClusterNode]) -> None:
    """Owners are spread over the nodes; a client that knows one node only finds them all."""
    async with opened(f"redis+cluster://127.0.0.1:{cluster_nodes[0].port}") as store:
        await store.remember_user(ANA)
        session = await resolve(store, at=NOW)
        await commit(store, session.session_id, 0, "hello")
        assert (await store.depth(now_ms=NOW))["waiting"] >= 1
        await store.probe()

    found: list[list[str]] = []
    for node in cluster_nodes:
        with redis.Redis(port=node.port, decode_responses=True) as client:
            found.append(client.keys("*"))
    assert sum(any(ANA.key in key for key in of_node) for of_node in found) == 1, "an owner's keys are on one node"
    assert all(any(key.endswith(":probe") for key in of_node) for of_node in found), "a node was not probed"


async def test_a_wrong_password_is_not_shown(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="right") as server:
        async with opened(server.url) as store:
            await store.probe()
        async with opened(server.url.replace(":right@", f":{PASSWORD}@")) as store:
            with pytest.raises(StateUnavailable) as caught:
                await store.probe()
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
