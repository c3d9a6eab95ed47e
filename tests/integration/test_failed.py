"""`recallr failed`: sessions set aside are listed and given back, on a Redis server; what it says where there is none.

Beside a running gateway with the embedded store: test_cli.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app
from recallr_litellm.core.owner import Owner
from tests.support.listeners import free_port
from tests.support.redis_server import RedisServer
from tests.support.set_aside import add_session, set_all_aside, set_learning_aside

ANA = Owner("acme", "ana")
BEN = Owner("acme-of-longer-name", "ben [bold]Øre")
REASON = "ValueError: cannot\nbe understood"


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password="secret-word") as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    with redis.Redis.from_url(running_server.url) as client:
        client.flushall()
    monkeypatch.setenv("RECALLR_REDIS_URL", running_server.url)
    return running_server


def failed(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["failed", *arguments])


def test_each_failed_session_is_one_line_with_its_reason(server: RedisServer) -> None:
    sessions = {owner: add_session(server.url, owner, "poison") for owner in (ANA, BEN)}
    set_all_aside(server.url, REASON)
    shown = failed()
    assert shown.exit_code == 0, shown.output
    lines = [re.split(r" {2,}", line.strip()) for line in shown.output.splitlines()]
    for owner, session in sessions.items():
        assert [owner.project, owner.user, session, "ValueError: cannot be understood"] in lines, shown.output
    assert "recallr failed --retry" in shown.output, "nobody is told what to do with them"


def test_users_of_whom_learning_failed_are_listed_and_given_back(server: RedisServer) -> None:
    set_learning_aside(server.url, ANA, REASON)
    shown = failed()
    assert "No session is set aside" in shown.output
    lines = [re.split(r" {2,}", line.strip()) for line in shown.output.splitlines()]
    assert [ANA.project, ANA.user, "1", "ValueError: cannot be understood"] in lines, shown.output
    assert "Queued again: 1" in failed("--retry").output
    assert ANA.user not in failed().output


def test_without_a_running_gateway_its_embedded_store_cannot_be_asked() -> None:
    shown = failed()
    assert shown.exit_code == 1, shown.output
    assert f"No gateway runs on the data folder {Path('.recallr').absolute()}" in shown.output
    assert "recallr serve" in shown.output, "nobody is told what to do about it"
    assert not Path(".recallr").exists(), "looking made the data folder"


def test_a_redis_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("RECALLR_REDIS_URL", f"redis://:secret-word@127.0.0.1:{port}")
    shown = failed()
    assert shown.exit_code == 1, shown.output
    assert isinstance(shown.exception, SystemExit), f"shown as a crash: {shown.exception!r}"
    assert f"127.0.0.1:{port}" in shown.output, f"it is not said which Redis does not answer: {shown.output}"
    assert "secret-word" not in shown.output, "a password was printed"
