"""`recallr serve` and `recallr demo` as a newcomer uses them: their gateways, what is printed, the exit code.

Each start of a gateway takes many seconds, so one `recallr serve` and one kept `recallr demo` serve all tests here.
Other commands run in the process of the tests.
What looks at a running gateway from beside it, `recallr doctor` and `recallr failed`, is here too; the rest of these
two is in test_doctor.py and test_failed.py. Starts that are refused: unit/test_serve.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import httpx
import openai
import pytest
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import EmbeddedValkey
from tests.support.command import COMMAND, OFFLINE, prose
from tests.support.listeners import free_port
from tests.support.observe import in_motion
from tests.support.process import ServerProcess, clean_environment
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import PATIENT
from tests.support.set_aside import set_all_aside
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUESTION = "Which food am I allergic to?"


def run_suggested_request(output: str) -> str:
    """Paste the `curl` command of the output into a shell; what it answers."""
    command = re.search(r"curl (?:.*\\\n)*.*", output)
    assert command, "no request is suggested"
    shell, environment = ["bash", "-c", command[0]], clean_environment({"NO_PROXY": "*"})
    return subprocess.run(shell, env=environment, capture_output=True, text=True, check=True).stdout


def recallr(*arguments: str) -> Result:
    """The command, in this process and folder."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})


class Served(ServerProcess):
    """`recallr serve` in an empty folder, as at the first start on a machine."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        super().__init__(folder, name="serve")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / ".recallr"
        self._provider = provider

    def command(self) -> Sequence[str]:
        return [*COMMAND, "serve", "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**OFFLINE, **PATIENT, "OPENAI_API_KEY": "sk-of-the-user", "OPENAI_BASE_URL": self._provider.base_url}

    def ready(self) -> bool:
        try:
            answers = httpx.get(f"{self.url}/recallr/health/ready", trust_env=False, timeout=30).is_success
        except httpx.TransportError:
            return False
        return answers and "Try it from another shell" in self.log

    @property
    def master_key(self) -> str:
        return (self.data / "master_key").read_text().strip()

    @property
    def recallr_key(self) -> str:
        return (self.data / "api_key").read_text().strip()

    @property
    def access(self) -> dict[str, str]:
        """Variables of the examples."""
        return {
            "LITELLM_MASTER_KEY": self.master_key,
            "RECALLR_API_KEY": self.recallr_key,
            "RECALLR_URL": self.url,
        }

    def openai(self, user: str) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=f"{self.url}/v1",
            api_key=self.master_key,
            max_retries=0,
            default_headers={
                "X-Recallr-API-Key": self.recallr_key,
                "X-Recallr-Project-Id": "default",
                "X-Recallr-User-Id": user,
                "X-Recallr-Allow-New-User-Creation": "true",
            },
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )


@pytest.fixture(scope="module")
def served(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("serve"), running_provider)
    with server:
        yield server
        server.terminate()


# serve


def test_serve_makes_keys_that_only_their_owner_can_read_and_says_where_they_are(served: Served) -> None:
    for name in ("master_key", "api_key"):
        path = served.data / name
        assert str(path) in served.log, f"nobody is told that there is {path}"
        assert path.read_text().strip() not in served.log, f"{name} is in the log"
    open_to_others = [path for path in served.data.iterdir() if path.stat().st_mode & 0o077]
    assert not open_to_others, "other users can read these"
    assert stat.S_IMODE(served.data.stat().st_mode) == 0o700, "others can look into the data folder"


def test_serve_says_that_it_is_ready_once_it_answers_this_machine_only(served: Served) -> None:
    assert f"Uvicorn running on http://127.0.0.1:{served.port}" in served.log
    assert served.log.index("Application startup complete") < served.log.index("Try it from another shell")
    assert "RECALLR_MIN_SESSION_TIMEOUT_SECONDS" in served.log, "it is not said how to see memory soon"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_the_request_that_serve_suggests_works_as_printed(served: Served) -> None:
    answer = run_suggested_request(served.log)
    assert answer.startswith("HTTP/1.1 200"), answer
    assert "x-recallr-session-id" in answer.lower(), "the answer has no Recallr headers"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_demo_model_answers_behind_the_gateway(served: Served, user: str, stream: bool) -> None:
    messages = [{"role": "user", "content": "I'm Alice."}]
    answer = served.openai(user).chat.completions.create(model="recallr-demo", messages=messages, stream=stream)
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        if stream
        else answer.choices[0].message.content
    )
    assert "Demo model" in text


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "gpt-of-next-year", "o3-mini", "chatgpt-4o-latest"])
def test_models_of_openai_go_to_openai_by_full_and_by_bare_name(
    served: Served, provider: Provider, user: str, model: str
) -> None:
    served.openai(user).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    assert provider.last.model == model.removeprefix("openai/"), "OpenAI was asked for another model"
    assert provider.last.headers["authorization"] == "Bearer sk-of-the-user"


@pytest.mark.parametrize(
    ("model", "key"), [("claude-of-next-year", "ANTHROPIC_API_KEY"), ("gemini-2.5-flash", "GEMINI_API_KEY")]
)
def test_models_of_other_providers_do_not_go_to_openai(
    served: Served, provider: Provider, user: str, model: str, key: str
) -> None:
    with pytest.raises(openai.APIError, match=key):  # there is none in this gateway's environment
        served.openai(user).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    assert not provider.chats(), f"OpenAI was asked for {model}"


@pytest.mark.parametrize(
    "script", ["openai_chat.py", "openai_stream.py", "openai_responses.py", "anthropic_messages.py", "recallr_sdk.py"]
)
def test_examples_run_against_serve(
    served: Served, script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**served.access, "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    assert ("eleven bee hives" if script == "recallr_sdk.py" else "Demo model") in capsys.readouterr().out


@pytest.mark.parametrize("script", ["openai_chat.mjs", "openai_stream.mjs"])
def test_examples_for_node_run_against_serve(served: Served, tmp_path: Path, script: str) -> None:
    node, modules = shutil.which("node"), os.environ.get("TEST_NODE_MODULES")
    if not (node and modules):
        pytest.skip("needs Node and, in TEST_NODE_MODULES, a node_modules folder with `openai`")
    (tmp_path / "node_modules").symlink_to(modules)
    example, environment = shutil.copy(EXAMPLES / script, tmp_path), clean_environment(served.access)
    ran = subprocess.run([node, example], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Demo model" in ran.stdout


# beside the running gateway


def test_failed_sessions_are_counted_listed_and_given_back_beside_the_running_gateway(
    served: Served, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(served.folder)
    create = served.openai(user).chat.completions.with_raw_response.create
    reply = create(model="recallr-demo", messages=[{"role": "user", "content": "My cat is called Felix."}])
    session, owner = reply.headers["x-recallr-session-id"], Owner("default", user)
    url = EmbeddedValkey(served.data / "redis").running_url()
    assert url, "the gateway's embedded store is not found where it runs"
    set_aside = set_all_aside(url, "the model said no")
    assert session in set_aside, "the session was not there to be set aside"

    found = recallr("doctor")
    assert found.exit_code == 0, found.output
    assert "in use by a running gateway" in found.output
    assert re.search(rf"warning +Failed sessions: {len(set_aside)} ", found.output), found.output
    assert served.ready(), "the gateway suffered from being looked at"

    listed = recallr("failed")
    assert listed.exit_code == 0, listed.output
    assert re.search(rf"default +{user} +{session} +the model said no", listed.output), listed.output
    assert in_motion(url, owner), "listing the failed sessions has changed one"

    retried = recallr("failed", "--retry")
    assert f"Queued again: {len(set_aside)}" in retried.output, retried.output
    eventually(
        lambda: in_motion(url, owner),
        "the gateway makes the session memory, so that it leaves Redis",
        until=lambda left: not left,
    )
    assert "No session is set aside" in recallr("failed").output


# demo


@dataclass(frozen=True)
class Kept:
    """A demo that has left its gateway running."""

    shown: Result

    @property
    def pid(self) -> int:
        """Of its gateway."""
        found = re.search(r"kill (\d+)", self.shown.output)
        assert found, f"--keep does not say how to end the gateway: {self.shown.output}"
        return int(found[1])

    @property
    def folder(self) -> Path:
        """Of its gateway."""
        found = re.search(r"rm -r (\S+)", self.shown.output)
        assert found, f"--keep does not say where the gateway's folder is: {self.shown.output}"
        return Path(found[1])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """The user's stores, of the environment and of `.env`, do not answer: a demo that uses either fails."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / ".env").write_text(f"RECALLR_QDRANT_URL=http://127.0.0.1:{free_port()}\n")
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):  # the command adds what is in `.env`
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.chdir(folder)
        os.environ |= {
            "RECALLR_REDIS_URL": f"redis://127.0.0.1:{free_port()}",
            "RECALLR_DATA_DIR": str(folder / "mine"),
        }
        shown = recallr("demo", "--keep")
    kept = Kept(shown)
    try:
        yield kept
    finally:
        if "kill " in shown.output:
            os.kill(kept.pid, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):  # it has ended, and somebody else was told
                eventually(lambda: os.waitpid(kept.pid, os.WNOHANG)[0], "the gateway ends when it is told to")


def test_demo_without_any_key_recalls_and_leaves_the_users_own_gateway_alone(kept: Kept) -> None:
    assert kept.shown.exit_code == 0, kept.shown.output
    text = prose(kept.shown.output)
    assert "The first session has become memory." in text, "the second session began before the first was processed"
    assert "The second session recalled the first." in text
    assert re.search(r"recallr-demo answers.*allergic to peanuts", text), "the demo model did not use its memory"
    for header in ("Session-Id", "User-Id", "Request-Id", "Process-Time", "Memory-Status"):
        assert f"X-Recallr-{header}" in text, f"X-Recallr-{header} is not shown"
    assert "X-Recallr-Session-Timeout-Seconds" in text, "it is not said how to see memory across sessions"
    assert not (kept.folder.parent / "mine").exists(), "the demo used the user's data folder"


def test_what_the_demo_shows_is_what_reached_the_model(kept: Kept) -> None:
    calls = [json.loads(line) for line in (kept.folder / "outgoing.jsonl").read_text().splitlines()]
    asked = next(call[-1]["content"] for call in calls if call[-1]["content"].endswith(QUESTION))
    memory = prose(asked.removesuffix(QUESTION))
    assert "peanuts" in memory, "the fact did not reach the model"
    assert memory in prose(kept.shown.output)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_a_kept_demo_answers_the_request_that_it_suggests(kept: Kept) -> None:
    answer = run_suggested_request(kept.shown.output)
    assert answer.startswith("HTTP/1.1 200"), f"the gateway is gone: {answer}"


def test_a_demo_whose_gateway_does_not_start_says_why_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = free_port()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free))
        monkeypatch.setattr("recallr_litellm.cli.demo_gateway._free_port", lambda: free)
        result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) <= 12, result.output
    assert f"port {free} cannot be used" in prose(result.output)
    assert not list(tmp_path.iterdir()), "the demo left its folder behind"
