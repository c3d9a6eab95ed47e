"""The `recallr` command, as a newcomer uses it: a process, its output, its exit code."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import openai
import pytest
import redis
from typer.testing import CliRunner

from recallr_litellm.cli import app
from tests.support.listeners import free_port
from tests.support.process import ServerProcess, clean_environment
from tests.support.provider import Provider, ThreadedProvider
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_BLOG_POSTS": "True", "PYTHONPATH": str(ROOT)}
STORES = ("Redis", "Qdrant")
COMMAND = [sys.executable, "-m", "recallr_litellm.cli"]


def recallr(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in this folder; output and errors are one text, as on a terminal."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=clean_environment({**OFFLINE, "COLUMNS": "100", **(environment or {})}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def prose(output: str) -> str:
    """What was printed, without the frames and the line breaks of the terminal."""
    return " ".join(re.sub(r"[│╭╰╮╯─]", " ", output).split())


def run_suggested_request(output: str) -> str:
    """Paste the `curl` command of the output into a shell; what it answers."""
    command = re.search(r"curl (?:.*\\\n)*.*", output)
    assert command, "no request is suggested"
    shell, environment = ["bash", "-c", command[0]], clean_environment({"NO_PROXY": "*"})
    return subprocess.run(shell, env=environment, capture_output=True, text=True, check=True).stdout


def is_alive(pid: int) -> bool:
    """True while there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Served(ServerProcess):
    """`recallr serve` in an empty folder, as at the first start on a machine."""

    start_timeout = 180.0

    def __init__(self, folder: Path, provider: Provider) -> None:
        super().__init__(folder, name="serve")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / ".recallr"
        self._provider = provider

    def command(self) -> Sequence[str]:
        return [*COMMAND, "serve", "--", "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**OFFLINE, "OPENAI_API_KEY": "sk-of-the-user", "OPENAI_BASE_URL": self._provider.base_url}

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/recallr/health/ready", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    @property
    def master_key(self) -> str:
        return (self.data / "master_key").read_text().strip()

    @property
    def recallr_key(self) -> str:
        return (self.data / "api_key").read_text().strip()

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


def test_serve_makes_keys_that_only_their_owner_can_read(served: Served) -> None:
    for name in ("master_key", "api_key"):
        mode = stat.S_IMODE((served.data / name).stat().st_mode)
        assert mode == 0o600, f"{name} has mode {mode:o}"
    assert stat.S_IMODE(served.data.stat().st_mode) == 0o700, "others can look into the data folder"


def test_serve_prints_where_the_keys_are_and_never_the_keys(served: Served) -> None:
    for name in ("master_key", "api_key"):
        path = served.data / name
        assert str(path) in served.log, f"nobody is told that there is {path}"
        assert path.read_text().strip() not in served.log, f"{name} is in the log"


def test_serve_listens_for_this_machine_only(served: Served) -> None:
    assert f"Uvicorn running on http://127.0.0.1:{served.port}" in served.log


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


@pytest.mark.parametrize(
    "model", ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-of-next-year", "o3-mini", "chatgpt-4o-latest"]
)
def test_models_of_openai_go_to_openai_by_full_and_by_bare_name(
    served: Served, provider: Provider, user: str, model: str
) -> None:
    served.openai(user).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    assert provider.last.model == model.removeprefix("openai/"), "OpenAI was asked for another model"
    assert provider.last.headers["authorization"] == "Bearer sk-of-the-user"


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("claude-of-next-year", "ANTHROPIC_API_KEY"),
        ("anthropic/claude-3-5-haiku-latest", "ANTHROPIC_API_KEY"),
        ("gemini-2.5-flash", "GEMINI_API_KEY"),
        ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
    ],
)
def test_models_of_other_providers_do_not_go_to_openai(
    served: Served, provider: Provider, user: str, model: str, key: str
) -> None:
    with pytest.raises(openai.APIError, match=key):  # there is none in this gateway's environment
        served.openai(user).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    assert not provider.chats(), f"OpenAI was asked for {model}"


def test_a_second_gateway_on_the_same_data_folder_does_not_start(served: Served) -> None:
    second = recallr("serve", "--", "--port", str(free_port()), folder=served.folder)
    assert second.returncode != 0, "two gateways run on one data folder"
    assert "RECALLR_REDIS_URL" in second.stdout, "nobody is told what to do about it"


def test_serve_passes_its_options_on_to_litellm(tmp_path: Path) -> None:
    refused = recallr("serve", "--", "--no-such-option", folder=tmp_path)
    assert refused.returncode != 0
    assert "Usage: litellm" in refused.stdout, "it is not LiteLLM that read the option"


def test_serve_with_a_wrong_setting_ends_before_it_starts(tmp_path: Path) -> None:
    refused = recallr("serve", folder=tmp_path, environment={"RECALLR_CONTEXT_TOKENS": "few"})
    assert refused.returncode == 1
    assert "RECALLR_CONTEXT_TOKENS" in refused.stdout
    assert "Traceback" not in refused.stdout, "a wrong setting is shown as a crash"


@pytest.mark.parametrize("script", ["openai_chat.py", "openai_stream.py", "openai_chat.mjs", "openai_stream.mjs"])
def test_examples_run_against_serve(served: Served, tmp_path: Path, script: str) -> None:
    example = Path(shutil.copy(ROOT / "examples" / script, tmp_path))
    program: str | None = sys.executable
    if script.endswith(".mjs"):
        program, modules = shutil.which("node"), os.environ.get("TEST_NODE_MODULES")
        if not (program and modules):
            pytest.skip("needs Node and, in TEST_NODE_MODULES, a node_modules folder with `openai`")
        (tmp_path / "node_modules").symlink_to(modules)
    keys = {"LITELLM_MASTER_KEY": served.master_key, "RECALLR_API_KEY": served.recallr_key}
    environment = clean_environment({**keys, "RECALLR_URL": served.url})
    ran = subprocess.run([str(program), example], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Demo model" in ran.stdout


# demo


def test_demo_recalls_shows_what_went_out_and_keeps_the_gateway(provider: Provider, tmp_path: Path) -> None:
    """With a provider, so that what the demo shows can be compared with what reached the provider."""
    environment = {"OPENAI_API_KEY": "sk-of-the-user", "OPENAI_BASE_URL": provider.base_url, "TMPDIR": str(tmp_path)}
    shown = recallr("demo", "--model", "openai/gpt-4o-mini", "--keep", folder=tmp_path, environment=environment)
    pid = re.search(r"kill (\d+)", shown.stdout)
    try:
        assert shown.returncode == 0, shown.stdout
        text = prose(shown.stdout)
        assert "The second session recalled the first." in text
        question = provider.chats("Which food am I allergic to?")[-1].user_text
        memory = question.removesuffix("Which food am I allergic to?").strip()
        assert "peanuts" in memory, "the fact did not reach the provider"
        assert prose(memory) in text, "what the demo shows is not what reached the provider"
        for header in ("Session-Id", "User-Id", "Request-Id", "Process-Time", "Memory-Status"):
            assert f"X-Recallr-{header}" in text, f"X-Recallr-{header} is not shown"
        assert pid, "--keep does not say how to end the gateway"
        if shutil.which("curl"):
            assert run_suggested_request(shown.stdout).startswith("HTTP/1.1 200"), "the gateway is gone"
    finally:
        if pid:
            os.kill(int(pid[1]), signal.SIGTERM)
            eventually(lambda: not is_alive(int(pid[1])), "the gateway ends when it is told to")


def test_demo_without_any_key_recalls_and_leaves_the_users_own_gateway_alone(
    tmp_path: Path,
) -> None:
    """The user's stores, of the environment and of `.env`, do not answer: using either would fail."""
    (tmp_path / ".env").write_text(f"RECALLR_QDRANT_URL=http://127.0.0.1:{free_port()}\n")
    environment = {
        "RECALLR_REDIS_URL": f"redis://127.0.0.1:{free_port()}",
        "RECALLR_DATA_DIR": str(tmp_path / "mine"),
        "TMPDIR": str(tmp_path),
    }
    shown = recallr("demo", folder=tmp_path, environment=environment)
    assert shown.returncode == 0, shown.stdout
    text = prose(shown.stdout)
    assert "The first session has become memory." in text, "the second session began before the first was processed"
    assert re.search(r"recallr-demo answers.*allergic to peanuts", text), "the demo model did not use its memory"
    assert not (tmp_path / "mine").exists(), "the demo used the user's data folder"
    assert not list(tmp_path.glob("recallr-demo-*")), "the demo left its folder behind"


def test_demo_ends_with_1_when_the_second_session_does_not_recall(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demo_module = importlib.import_module("recallr_litellm.cli.demo")  # the package exports the command of that name
    monkeypatch.setattr(demo_module, "SECOND_SESSION", (("What is my favourite animal?", "giraffe"),))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1, result.output
    assert "Not recalled in the second session: giraffe" in prose(result.output)


def test_demo_ends_with_1_and_a_reason_when_the_model_cannot_be_asked(tmp_path: Path) -> None:
    shown = recallr("demo", "--model", "no-such-model", folder=tmp_path)
    assert shown.returncode == 1
    assert "no-such-model could not be asked" in prose(shown.stdout)
    assert "Traceback" not in shown.stdout, "a model that cannot be asked is shown as a crash"


# doctor


def test_doctor_finds_no_fault_before_the_first_start_and_changes_nothing(tmp_path: Path) -> None:
    found = recallr("doctor", folder=tmp_path)
    assert found.returncode == 0, found.stdout
    assert "0 faults" in found.stdout
    for about in (
        "Settings",
        "LiteLLM",
        "LITELLM_MASTER_KEY",
        "Projects",
        "Data folder",
        "Embedding",
        "Redis",
        "Qdrant",
    ):
        assert about in found.stdout, f"nothing is said about {about}"
    assert not list(tmp_path.iterdir()), "looking changed something"


def test_doctor_leaves_a_running_gateway_alone(served: Served) -> None:
    found = recallr("doctor", folder=served.folder)
    assert found.returncode == 0, found.stdout
    assert "in use by a running gateway" in found.stdout
    assert served.ready(), "the gateway suffered from being looked at"


def test_doctor_names_a_wrong_setting(tmp_path: Path) -> None:
    found = recallr("doctor", folder=tmp_path, environment={"RECALLR_CONTEXT_TOKENS": "few"})
    assert found.returncode == 1
    assert "RECALLR_CONTEXT_TOKENS" in found.stdout


def test_doctor_names_stores_that_do_not_answer_and_no_password(tmp_path: Path) -> None:
    environment = {
        "RECALLR_REDIS_URL": f"redis://:secret-word@127.0.0.1:{free_port()}",
        "RECALLR_QDRANT_URL": f"http://127.0.0.1:{free_port()}",
        "RECALLR_QDRANT_API_KEY": "secret-word",
    }
    found = recallr("doctor", folder=tmp_path, environment=environment)
    assert found.returncode == 1
    assert re.search(r"fault +Redis: 127\.0\.0\.1", found.stdout), found.stdout
    assert re.search(r"fault +Qdrant: http://127\.0\.0\.1", found.stdout), found.stdout
    assert "secret-word" not in found.stdout, "a password was printed"


def test_doctor_checks_how_redis_is_set_up(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        environment = {"RECALLR_REDIS_URL": server.url}
        good = recallr("doctor", folder=tmp_path, environment=environment)
        assert re.search(r"ok +Redis: .*append-only file, noeviction", good.stdout), good.stdout

        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
        forgetful = recallr("doctor", folder=tmp_path, environment=environment)
        assert re.search(r"warning +Redis: .*no append-only file", forgetful.stdout), forgetful.stdout

        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
        evicting = recallr("doctor", folder=tmp_path, environment=environment)
        assert re.search(r"fault +Redis: .*maxmemory-policy is allkeys-lru", evicting.stdout), evicting.stdout
        assert evicting.returncode == 1


def test_doctor_looks_at_a_qdrant_server_without_making_a_collection(tmp_path: Path) -> None:
    with QdrantServer(tmp_path / "qdrant") as server:
        found = recallr("doctor", folder=tmp_path, environment={"RECALLR_QDRANT_URL": server.url})
        assert re.search(r"ok +Qdrant: .*the first start makes the collection 'recallr'", found.stdout), found.stdout
        assert (
            httpx.get(f"{server.url}/collections/recallr/exists", trust_env=False).json()["result"]["exists"] is False
        )
