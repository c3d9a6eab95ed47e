"""`recallr reconify status | dead | test`, on a Valkey server and the stand-in for the endpoint."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
import redis
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.keys import OutboxKeys
from tests.support.reconify_endpoint import BROKEN, OK, WRONG, Reaction, ReconifyEndpoint
from tests.support.redis_server import RedisServer
from tests.unit.stores.state_kit import ANA


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password="secret-word") as server:
        yield server


@pytest.fixture
def redis_url(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    monkeypatch.setenv("RECALLR_REDIS_URL", server.url)
    return server.url


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint() as endpoint:
        for name, value in endpoint.settings.items():
            monkeypatch.setenv(name, value)
        yield endpoint


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reconify", *arguments])


def fill(
    url: str, *, queued: int = 0, dead: int = 0, reason: str = "no such\nuser", names: OutboxKeys = keys.RECONIFY
) -> None:
    """Queue payloads of a session, and bury others."""

    async def act() -> None:
        outbox = Outbox.open(url, names, load_reconify_settings().limits, timeout_seconds=60)
        for number in range(dead):
            await outbox.add(ANA, "s1", f"dead-{number}", b'{"reconify":{}}')
            [delivery] = await outbox.claim(1, lease_seconds=600)
            await outbox.bury(delivery, status=400, reason=reason, lease_seconds=None)
        for number in range(queued):
            await outbox.add(ANA, "s2", f"queued-{number}", b'{"reconify":{}}')
        await outbox.close()

    asyncio.run(act())


def shown(result: Result) -> dict[str, str]:
    """First word or two of each line → the rest."""
    return {line[:12].strip(): line[12:].strip() for line in result.output.splitlines()}


def test_the_status_shows_what_there_is(redis_url: str, endpoint: ReconifyEndpoint) -> None:
    fill(redis_url, queued=3, dead=2)
    result = run("status")
    assert result.exit_code == 0, result.output
    found = shown(result)
    assert found["queued"].startswith("3 "), result.output
    assert (found["dead"], found["dropped"]) == ("2", "0")
    assert found["delivered"] == "0 of 5"
    assert re.match(r"0:\d\d:\d\d", found["oldest"]), result.output
    assert found["reports to"] == endpoint.url


def test_the_status_of_an_empty_outbox_without_settings(redis_url: str) -> None:
    result = run("status")
    assert result.exit_code == 0, result.output
    found = shown(result)
    assert (found["reports to"], found["oldest"]) == ("nowhere: Reconify is off", "nothing waits")


def test_dead_letters_are_listed_with_their_reason(redis_url: str, endpoint: ReconifyEndpoint) -> None:
    fill(redis_url, dead=2)
    result = run("dead")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert [line[1:] for line in lines[1:3]] == [
        ["s1", "dead-0", "400", "no", "such", "user"],
        ["s1", "dead-1", "400", "no", "such", "user"],
    ]
    assert "recallr reconify dead --requeue" in result.output, "nobody is told what to do with them"


def test_refused_webhooks_are_listed_and_requeued_apart(redis_url: str) -> None:
    fill(redis_url, dead=1, names=keys.WEBHOOKS)
    assert "There are no dead letters." in run("dead").output
    listed = CliRunner().invoke(app, ["webhooks", "dead"]).output
    assert "dead-0" in listed
    assert "recallr webhooks dead --requeue" in listed
    assert "To be sent again: 1" in CliRunner().invoke(app, ["webhooks", "dead", "--requeue"]).output
    assert "There are no dead letters." in CliRunner().invoke(app, ["webhooks", "dead"]).output


def test_dead_letters_are_requeued_or_dropped(redis_url: str) -> None:
    fill(redis_url, dead=2)
    assert run("dead", "--requeue", "--drop").exit_code == 2
    result = run("dead", "--requeue")
    assert "To be sent again: 2" in result.output, result.output
    assert shown(run("status"))["queued"].startswith("2 ")
    assert "There are no dead letters." in run("dead").output
    fill(redis_url, dead=1)  # the first of those two, again
    result = run("dead", "--drop")
    assert "Deleted: 1" in result.output, result.output
    found = shown(run("status"))
    assert (found["dead"], found["queued"][:2]) == ("0", "1 "), "of the two in the queue, one was buried and dropped"


def test_a_test_payload_arrives_and_is_marked(endpoint: ReconifyEndpoint) -> None:
    endpoint.answers = lambda posted: OK
    result = run("test")
    assert result.exit_code == 0, result.output
    [posted] = endpoint.posted
    assert posted.session.startswith("recallrtest")
    assert posted.session.isalnum(), "the REST document asks for an alphanumeric session"
    assert posted.session in result.output
    assert posted.body["reconify"]["appKey"] == endpoint.settings["RECONIFY_APP_KEY"]
    assert 'status 200: {"ok": true}' in result.output


@pytest.mark.parametrize(
    ("reaction", "told"),
    [
        (WRONG, "status 400: this payload is wrong"),
        (BROKEN, "status 500: broken"),
        (Reaction(302, "", {"Location": "/x"}), "status 302"),
    ],
    ids=["refused", "broken", "moved"],
)
def test_a_test_payload_that_is_not_accepted_ends_with_1(
    endpoint: ReconifyEndpoint, reaction: Reaction, told: str
) -> None:
    endpoint.answers = lambda posted: reaction
    result = run("test")
    assert (result.exit_code, len(endpoint.posted)) == (1, 1), result.output
    assert told in result.output
    assert "RECONIFY_ENDPOINT" in result.output, "nobody is told what to look at"


@pytest.mark.parametrize("command", ["status", "dead", "test"])
def test_wrong_settings_are_one_line_without_values(
    redis_url: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONIFY_API_KEY", "very-secret-key")
    result = run(command)
    assert result.exit_code == 1
    assert "RECONIFY_APP_KEY" in result.output
    assert "RECONIFY_ENDPOINT" in result.output
    assert "very-secret-key" not in result.output
    assert "Traceback" not in result.output
