"""`recallr doctor` where no gateway runs: fresh folders, wrong settings, servers that are away or badly set up.

Beside a running gateway: test_cli.py. What it makes of keys, folders and versions: unit/test_doctor_checks.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
import redis
from typer.testing import CliRunner

from recallr_litellm.cli import app
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import EmbeddedValkey
from tests.support.listeners import free_port
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.set_aside import add_session, set_all_aside

OWNER = Owner("acme", "ana")
CHECKED = (
    "Settings",
    "LiteLLM",
    "LITELLM_MASTER_KEY",
    "Projects",
    "Data folder",
    "Config",
    "Database",
    "Models",
    "Reconify",
    "Embedding",
    "Redis",
    "Failed sessions",
    "Qdrant",
)


def examine(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of the command in this process, in the test's empty working folder."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["doctor", *arguments])
    assert isinstance(result.exception, SystemExit | None), f"the doctor crashed: {result.exception!r}"
    return result.exit_code, result.output


def test_doctor_finds_no_fault_before_the_first_start_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = examine(monkeypatch)
    assert code == 0, output
    assert "Faults: 0," in output
    for about in CHECKED:
        assert about in output, f"nothing is said about {about}"
    assert not list(Path.cwd().iterdir()), "looking changed something"


def test_doctor_names_every_fault_of_a_start_and_does_not_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".recallr", "lock").mkdir(parents=True)
    code, output = examine(monkeypatch, "--config", "none.yaml", RECALLR_PROJCTS="{}")
    assert re.search(r"warning +Settings: RECALLR_PROJCTS .*RECALLR_PROJECTS", output), output
    assert re.search(r"fault +Data folder: .*cannot be written", output), output
    assert re.search(r"fault +Config: none.yaml cannot be read", output), output
    assert code == 1
    assert examine(monkeypatch, RECALLR_CONTEXT_TOKENS="few")[0] == 1, "a wrong setting is no fault"


def test_doctor_names_stores_that_do_not_answer_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = examine(
        monkeypatch,
        RECALLR_REDIS_URL=f"redis://:secret-word@127.0.0.1:{free_port()}",
        RECALLR_QDRANT_URL=f"http://127.0.0.1:{free_port()}",
        RECALLR_QDRANT_API_KEY="secret-word",
    )
    assert code == 1, output
    assert re.search(r"fault +Redis: 127\.0\.0\.1", output), output
    assert re.search(r"fault +Qdrant: http://127\.0\.0\.1", output), output
    assert "secret-word" not in output, "a password was printed"


def test_doctor_looks_at_servers_counts_failed_sessions_and_makes_no_collection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as state, QdrantServer(tmp_path / "qdrant") as vectors:
        add_session(state.url, OWNER, "poison")
        assert len(set_all_aside(state.url, "cannot be understood")) == 1
        code, output = examine(monkeypatch, RECALLR_REDIS_URL=state.url, RECALLR_QDRANT_URL=vectors.url)
        assert code == 0, f"failed sessions are no fault of the set-up: {output}"
        assert re.search(r"ok +Redis: .*append-only file, noeviction", output), output
        assert re.search(r"warning +Failed sessions: 1 .*\n +→ .*recallr failed --retry", output), output
        assert re.search(r"ok +Qdrant: .*the first start makes a collection", output), output
        made = httpx.get(f"{vectors.url}/collections", trust_env=False).json()["result"]["collections"]
        assert not made, "looking made a collection"
        with redis.Redis.from_url(state.url) as client:
            client.config_set("maxmemory", 1)
        assert re.search(r"fault +Redis: .*takes no writes", examine(monkeypatch)[1])


def test_doctor_counts_failed_sessions_of_an_embedded_store_that_nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(".recallr")
    data.mkdir(mode=0o700)
    server = EmbeddedValkey(data / "redis")
    url = server.start()
    try:
        add_session(url, OWNER, "poison")
        set_all_aside(url, "cannot be understood")
    finally:
        server.stop()
    code, output = examine(monkeypatch)
    assert code == 0, output
    assert re.search(r"warning +Failed sessions: 1 ", output), output
    assert server.running_url() is None, "the doctor left the embedded store running"
