"""How `recallr demo` ends where memory does not answer or the model cannot be asked. The real one: test_cli.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app, demo_conversation
from recallr_litellm.cli.demo_conversation import Turn
from recallr_litellm.cli.demo_gateway import DemoGateway
from tests.support.waiting import eventually


class Client:
    """Talks to a gateway that recalls this much."""

    memory = ""

    def __init__(self, gateway: DemoGateway, model: str) -> None:
        self._session = 0

    def begin(self) -> None:
        self._session += 1

    def say(self, text: str, *, ends_session: bool) -> Turn:
        headers = {"x-recallr-session-id": str(self._session)}
        return Turn("m", text, headers, instructions="", memory=self.memory, reply="")


class Refused(Client):
    def say(self, text: str, *, ends_session: bool) -> Turn:
        raise openai.OpenAIError("no such model")


def hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: type[Client]) -> Result:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(DemoGateway, "start", lambda self: None)
    monkeypatch.setattr(DemoGateway, "wait_until_remembered", lambda self: True)
    monkeypatch.setattr(demo_conversation, "DemoClient", client)
    result = CliRunner().invoke(app, ["demo"])
    assert isinstance(result.exception, SystemExit | None), f"shown as a crash: {result.exception!r}"
    assert not list(tmp_path.iterdir()), "the demo left its folder behind"
    return result


@pytest.mark.parametrize(
    ("memory", "code", "told"),
    [
        ("peanuts, Biscuit", 0, "The second session recalled the first."),
        ("peanuts", 1, "Not recalled in the second session: Biscuit."),
    ],
)
def test_the_exit_code_says_whether_memory_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: str, code: int, told: str
) -> None:
    monkeypatch.setattr(Client, "memory", memory)
    result = hold(monkeypatch, tmp_path, Client)
    assert (result.exit_code, told in result.output) == (code, True), result.output


def test_a_model_that_cannot_be_asked_is_a_reason_and_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = hold(monkeypatch, tmp_path, Refused)
    assert result.exit_code == 1
    assert "recallr-demo could not be asked: no such model" in result.output


@pytest.mark.parametrize("outlives", [False, True])
def test_a_demo_that_is_killed_leaves_no_gateway_unless_it_is_to_stay(tmp_path: Path, outlives: bool) -> None:
    gateway, pid_file, held_open = tmp_path / "gateway", tmp_path / "pid", tmp_path / "held-open"
    os.mkfifo(held_open)
    reading = os.open(held_open, os.O_RDONLY | os.O_NONBLOCK)
    gateway.write_text(
        f"#!/bin/sh\nexec 9> {held_open}\necho $$ > {pid_file}.new\nmv {pid_file}.new {pid_file}\nexec sleep 1000\n"
    )
    gateway.chmod(0o700)
    demo = (
        "import sys; from pathlib import Path; from recallr_litellm.cli.demo_gateway import DemoGateway\n"
        f"sys.executable = {str(gateway)!r}\n"
        f"DemoGateway(Path({str(tmp_path)!r}), outlives={outlives}).start()"
    )

    def runs() -> bool:
        try:
            return os.read(reading, 1) != b""
        except BlockingIOError:  # somebody may still write
            return True

    with subprocess.Popen([sys.executable, "-c", demo]) as process:
        eventually(pid_file.exists, "the gateway is started")
        process.send_signal(signal.SIGKILL)
    if outlives:
        assert runs()
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    eventually(runs, "the gateway has ended", until=lambda running: not running)
    os.close(reading)
