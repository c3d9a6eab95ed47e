"""The commands' client for the running gateway: what it sends, and what it says when something is wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from rich.console import Console

from recallr_litellm.cli import api as api_module
from recallr_litellm.cli.api import Api, running_gateway
from recallr_litellm.errors import CommandFailed


class Gateway(BaseHTTPRequestHandler):
    """Answers with what the test has put at the path."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers.items())))
        status, body = self.answers.get(self.path, (404, {"detail": "Not Found"}))
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Gateway, "answers", {})
    monkeypatch.setattr(Gateway, "seen", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RECALLR_API_KEY", "RECALLR_PROJECT_ID", "RECALLR_GATEWAY", "RECALLR_PROJECTS", "LITELLM_MASTER_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECALLR_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failure(gateway: str, *path: str) -> str:
    api = Api(gateway, {})
    with pytest.raises(CommandFailed) as caught:
        api.get(*path)
    api.close()
    return str(caught.value)


def shown(gateway: str | None, *, admin: bool = False) -> str:
    """What a command prints that asks for the user `a` and fails."""
    console = Console(record=True, width=1000)
    with pytest.raises(typer.Exit), running_gateway(console, gateway, admin=admin) as api:
        api.get("users", "a")
    return console.export_text()


def test_the_key_of_the_data_folder_is_sent(gateway: str, data_dir: Path) -> None:
    (data_dir / "api_key").write_text("rai_abc\n")
    Gateway.answers["/api/v1/users/a"] = (200, {"ok": True})
    with running_gateway(Console(), gateway) as api:
        assert api.get("users", "a") == {"ok": True}
    _, headers = Gateway.seen[0]
    assert (headers["X-Recallr-Api-Key"], headers["X-Recallr-Project-Id"]) == ("rai_abc", "default")


def test_the_environment_names_gateway_project_and_key(
    gateway: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data_dir / "api_key").write_text("rai_abc\n")
    for name, value in (("GATEWAY", f"{gateway}/"), ("PROJECT_ID", "shop"), ("API_KEY", "rai_shop")):
        monkeypatch.setenv(f"RECALLR_{name}", value)
    Gateway.answers["/api/v1/users/a"] = (200, {})
    with running_gateway(Console(), None) as api:
        api.get("users", "a")
    _, headers = Gateway.seen[0]
    assert (headers["X-Recallr-Api-Key"], headers["X-Recallr-Project-Id"]) == ("rai_shop", "shop")


def test_the_master_key_is_sent_alone(gateway: str, data_dir: Path) -> None:
    (data_dir / "master_key").write_text("sk-master\n")
    (data_dir / "api_key").write_text("rai_abc\n")
    Gateway.answers["/api/v1/projects"] = (200, [])
    with running_gateway(Console(), gateway, admin=True) as api:
        api.get("projects")
    _, headers = Gateway.seen[0]
    assert headers["Authorization"] == "Bearer sk-master"
    assert "X-Recallr-Api-Key" not in headers


def test_parts_of_a_path_stay_parts(gateway: str) -> None:
    for part in ("a/b?c#d%", "..", "Zoë"):
        failure(gateway, "users", part, "sessions")
    assert [path for path, _ in Gateway.seen] == [
        f"/api/v1/users/{part}/sessions" for part in ("a%2Fb%3Fc%23d%25", "%2E%2E", "Zo%C3%AB")
    ]


def test_all_pages_of_a_list_are_read(gateway: str) -> None:
    first = {"users": [{"n": 1}, {"n": 2}], "has_more": True}
    Gateway.answers["/api/v1/users?offset=0&limit=100"] = (200, first)
    Gateway.answers["/api/v1/users?offset=2&limit=100"] = (200, {"users": [{"n": 3}], "has_more": False})
    api = Api(gateway, {})
    assert [user["n"] for user in api.each("users", "users", category=None)] == [1, 2, 3]
    api.close()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {"detail": "bad key"}, "refused the key: bad key. Set RECALLR_API_KEY and RECALLR_PROJECT_ID"),
        (404, {"detail": "User a not found"}, "User a not found"),
        (404, b"<html>nothing", "does not know /api/v1/users/a"),
        (429, {"detail": "slow down"}, "slow down. Try again in 7 s"),
        (422, {"detail": [{"loc": ["query", "limit"], "msg": "too large"}]}, "query.limit: too large"),
        (503, {"detail": "no Redis"}, "status 503: no Redis. Its log says why"),
        (200, b"<html>hello", "answered no JSON"),
        (400, {"detail": "\x1b[2J\u202eevil"}, "[2J evil"),
    ],
)
def test_an_answer_that_is_an_error_says_what_to_do(
    gateway: str, status: int, body: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "_LONGEST_PAUSE_SECONDS", 6)
    Gateway.answers["/api/v1/users/a"] = (status, body)
    assert says in failure(gateway, "users", "a")


def test_a_gateway_that_does_not_run(data_dir: Path) -> None:
    (data_dir / "api_key").write_text("rai_abc\n")
    text = shown("http://127.0.0.1:9")
    assert "No gateway answers at http://127.0.0.1:9" in text
    assert "recallr serve" in text
    assert "is not a URL" in shown("localhost:4000")


def test_keys_that_are_missing(data_dir: Path) -> None:
    assert "RECALLR_API_KEY is not set" in shown("http://127.0.0.1:9")
    assert "LITELLM_MASTER_KEY is not set" in shown("http://127.0.0.1:9", admin=True)


def test_a_broken_key_is_not_shown(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLR_API_KEY", "rai_schlüssel")
    text = shown("http://127.0.0.1:9")
    assert "printable ASCII" in text
    assert "schl" not in text
