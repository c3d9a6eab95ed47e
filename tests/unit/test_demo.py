"""How `recallr demo` ends where memory does not answer or the model cannot be asked. The real one: test_cli.py."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app, demo_conversation
from recallr_litellm.cli.demo_conversation import Turn
from recallr_litellm.cli.demo_gateway import DemoGateway


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
