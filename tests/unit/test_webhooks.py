"""Webhooks: how they are signed, that an event told twice is one, and what the purge of a user leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import redis

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.services.webhooks import LIMITS, Webhooks, signature
from recallr_litellm.settings import load_settings, webhook_key
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import keys
from recallr_litellm.tasks import InFlight, end
from tests.support.reconify_endpoint import BROKEN, OK, ReconifyEndpoint

pytest_plugins = ("tests.unit.stores.state_fixtures",)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANA, BEN = Owner("acme", "ana"), Owner("acme", "ben")


@pytest.fixture
def redis_url(embedded_url: str) -> str:
    with redis.Redis.from_url(embedded_url) as client:
        client.flushall()
    return embedded_url


@pytest.fixture
def endpoint() -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint("webhook-id") as endpoint:
        yield endpoint


async def accepts(endpoint: ReconifyEndpoint, count: int) -> None:
    """Wait until so many events were accepted."""
    async with asyncio.timeout(120):
        while len(endpoint.accepted_ids) < count:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def webhooks(redis_url: str, endpoint: ReconifyEndpoint, *, sending: bool = True) -> AsyncIterator[Webhooks]:
    async def answers() -> None:
        return None

    breaker = CircuitBreaker("redis", answers, probe_timeout=60)
    await breaker.probe()
    hooks = Webhooks(endpoint.url, SECRET, redis_url, breaker, timeout_seconds=60, interval=0.05, in_flight=InFlight())
    tasks = [asyncio.create_task(work()) for work in hooks.background] if sending else []
    try:
        yield hooks
    finally:
        await end(tasks)
        await hooks.close()


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of its reference libraries.
    event, at, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    assert signature(webhook_key(SECRET), event, at, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_an_event_is_signed_and_holds_ids_alone(redis_url: str, endpoint: ReconifyEndpoint) -> None:
    async with webhooks(redis_url, endpoint) as hooks:
        await hooks.session_processed(ANA, "s1", 1000)
        await accepts(endpoint, 1)
    [posted] = endpoint.posted
    assert posted.body["type"] == "session.processed"
    assert posted.body["data"] == {"project_id": "acme", "user_id": "ana", "session_id": "s1"}
    assert set(posted.body) == {"type", "timestamp", "data"}
    at = int(posted.headers["webhook-timestamp"])
    expected = signature(webhook_key(SECRET), posted.message_id, at, posted.raw)
    assert posted.headers["webhook-signature"] == expected


async def test_an_event_that_is_told_or_sent_twice_keeps_its_id(redis_url: str, endpoint: ReconifyEndpoint) -> None:
    endpoint.answers = lambda posted: OK if posted.attempt else BROKEN
    async with webhooks(redis_url, endpoint) as hooks:
        for last_at in (1000, 1000, 2000):
            await hooks.session_processed(ANA, "s1", last_at)
        await accepts(endpoint, 2)
    assert not endpoint.repeats, "the same state of a session was told twice"
    assert len(endpoint.posted) == 4, "each of the two events fails once"


async def test_forgetting_takes_a_users_events_and_leaves_that_it_is_forgotten(
    redis_url: str, endpoint: ReconifyEndpoint
) -> None:
    async with webhooks(redis_url, endpoint, sending=False) as hooks:
        await hooks.session_processed(ANA, "s1", 1000)
        await hooks.session_processed(BEN, "s2", 1000)
        await hooks.user_forgotten(ANA)
    outbox = Outbox.open(redis_url, keys.WEBHOOKS, LIMITS, timeout_seconds=60)
    assert await outbox.purge(ANA) == 1
    await outbox.close()
    with redis.Redis.from_url(redis_url) as client:
        assert not [key for key in client.scan_iter("*") if ANA.key.encode() in key and b":added:" not in key]
    async with webhooks(redis_url, endpoint):
        await accepts(endpoint, 2)
    told = sorted((posted.body["type"], posted.body["data"]["user_id"]) for posted in endpoint.posted)
    assert told == [("session.processed", "ben"), ("user.forgotten", "ana")]
    forgotten = next(posted.body for posted in endpoint.posted if posted.body["type"] == "user.forgotten")
    assert forgotten["data"] == {"project_id": "acme", "user_id": "ana"}


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("https://hooks.example", None, "need each other"),
        (None, SECRET, "need each other"),
        ("http://hooks.example", SECRET, "RECALLR_WEBHOOK_URL: has to be https"),
        ("https://hooks.example", "secret", "RECALLR_WEBHOOK_SECRET: has to be whsec_"),
        ("https://hooks.example", "whsec_c2hvcnQ=", "RECALLR_WEBHOOK_SECRET: has to be whsec_"),
    ],
)
def test_wrong_settings_are_named(
    url: str | None, secret: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("URL", url), ("SECRET", secret)):
        if value is not None:
            monkeypatch.setenv(f"RECALLR_WEBHOOK_{name}", value)
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_settings()
    assert secret is None or secret == "secret" or secret not in str(caught.value)
