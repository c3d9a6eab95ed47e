"""kill -9 of the gateway, at many points of its life: nothing that a client had seen answered is lost, nothing is
remembered twice.

Half of the kills come at random moments of the traffic, half while sessions are being made into memory. Their
pauses are drawn from a seed, which stands in the test's name.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.conftest import StartProxy
from tests.support.observe import (
    assert_once,
    edge,
    embedded_redis_url,
    in_motion,
    leased,
    remembered,
    wait_until_processed,
)
from tests.support.proxy import Proxy
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

KILLS = 6
USERS = 4

SETTINGS = {
    "RECALLR_LEASE_SECONDS": "2",  # a session whose worker was killed is taken up again soon
}


@pytest.mark.parametrize("seed", [20261122])
def test_no_kill_loses_or_doubles_anything(start_proxy: StartProxy, user: str, seed: int) -> None:
    moments = random.Random(seed)
    proxy = start_proxy(settings=SETTINGS)
    url = embedded_redis_url(proxy)
    users = [f"{user}-{number}" for number in range(USERS)]
    in_processing = 0

    with Traffic(proxy, users, words=30, session_timeout_seconds=1) as traffic:
        for kill in range(KILLS):
            traffic.wait_for(moments.randint(USERS, 3 * USERS))
            if kill % 2:
                in_processing += _wait_for_processing(traffic, url, moments)
            time.sleep(moments.uniform(0, 0.1))
            with traffic.pausing():
                _kill_and_start(proxy)
        traffic.wait_for(USERS)

    assert traffic.broken, "no kill hit a request: the test did not show anything"
    assert in_processing, "no kill hit a session in processing: the test did not show anything"
    wait_until_processed(url)
    assert in_motion(url) == [], "a session was processed but its messages are still in Redis"
    assert proxy.terminate() is not None
    kept = remembered(edge(proxy), traffic.owners)
    assert_once(kept, expected=traffic.expected, allowed=traffic.allowed)


def _kill_and_start(proxy: Proxy) -> None:
    proxy.kill()
    proxy.start()


def _wait_for_processing(traffic: Traffic, url: str, moments: random.Random) -> bool:
    """Let the users fall silent until their sessions end, and return as soon as one is in processing."""
    with traffic.pausing():
        eventually(lambda: leased(url), "a session is in processing")
        time.sleep(moments.uniform(0, 0.05))
        return bool(leased(url))
