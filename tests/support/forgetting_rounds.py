"""Users who are deleted at bad moments, and a search for what is left of them.

Each round has users of its own, whose names stand in everything that they say: who finds a name finds a text.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path

import httpx
import redis

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import keys
from tests.support.api import call
from tests.support.observe import client, leased, owner_of
from tests.support.proxy import Proxy
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

SETTINGS = {"RECALLR_LEASE_SECONDS": "1"}
"""Of the gateways: what a killed one leaves undone is taken over soon."""
USERS = 3


class Moment(StrEnum):
    """When the users of a round are deleted."""

    CHATTING = "while they chat"
    PROCESSING = "while their sessions are processed"
    KILLED = "while they chat, and the gateway is killed"
    KILLED_PROCESSING = "while their sessions are processed, and the gateway is killed"
    TWICE = "while they chat, twice at once"


class Rounds:
    """Rounds against gateways that share a Redis.

    Args:
        proxies: users talk to the first, which is the one that is killed, and are deleted at the last.
    """

    def __init__(self, proxies: Sequence[Proxy], redis_url: str, *, seed: int) -> None:
        self._talks, self._deletes = proxies[0], proxies[-1]
        self._redis_url = redis_url
        self._random = random.Random(seed)
        self.names: list[str] = []
        """Of all users so far."""
        self.in_processing = 0
        """Rounds in which a session was in processing just before its user was deleted."""

    def run(self, prefix: str, moment: Moment) -> None:
        """One round. Afterwards nothing of its users is in Redis."""
        names = [f"{prefix}-{number}" for number in range(USERS)]
        for name in names:
            self._talks.ask(name, f"I am {name}, and this was long ago.", session_timeout_seconds=1)
        # From now on nobody may be made anew: all that was said must be gone.
        options = {"allow_new_user_creation": False, "session_timeout_seconds": 1}
        with ExitStack() as deleting, Traffic(self._talks, names, words=30, **options) as traffic:
            deleter = deleting.enter_context(ThreadPoolExecutor(2 * USERS))
            traffic.wait_for(self._random.randint(USERS, 2 * USERS))
            if moment in {Moment.PROCESSING, Moment.KILLED_PROCESSING}:
                with traffic.pausing():
                    eventually(lambda: leased(self._redis_url), "a session is in processing")
                    self._pause(0.05)
                    self.in_processing += bool(leased(self._redis_url))
                    deletions = self._delete(deleter, names, twice=False)
            else:
                self._pause(0.2)
                deletions = self._delete(deleter, names, twice=moment is Moment.TWICE)
            if moment in {Moment.KILLED, Moment.KILLED_PROCESSING}:
                self._pause(0.05)
                self._talks.kill()
                self._talks.start()
            answers = [deletion.result() for deletion in deletions]
            for name, answer in zip(names, answers, strict=False):
                if answer not in {204, 404}:  # it broke off: who asked asks again
                    repeated = call(self._deletes, "DELETE", f"/users/{name}").status_code
                    assert repeated in {204, 404}, f"a deletion that was repeated is answered {repeated}"
        self.names += names
        self.wait_until_done()
        assert in_redis(self._redis_url, names) == []

    def wait_until_done(self) -> None:
        """Until no deletion is left to be finished, or to be looked after once more."""
        with client(self._redis_url) as connection:
            eventually(
                lambda: [
                    member
                    for bucket in range(keys.BUCKETS)
                    for member in connection.zrange(keys.FORGETTING_QUEUE.due(bucket), 0, -1)
                ],
                "every deletion is finished",
                until=lambda left: not left,
            )

    def _delete(self, deleter: ThreadPoolExecutor, names: Sequence[str], *, twice: bool) -> list[Future[int]]:
        deletions = [deleter.submit(self._status_of_deleting, name) for name in names]
        if twice:
            deletions += [deleter.submit(self._status_of_deleting, name) for name in names]
        return deletions

    def _status_of_deleting(self, name: str) -> int:
        with suppress(httpx.HTTPError):
            return call(self._deletes, "DELETE", f"/users/{name}").status_code
        return 0

    def _pause(self, most_seconds: float) -> None:
        time.sleep(self._random.uniform(0, most_seconds))


def moments(count: int) -> list[Moment]:
    """Moments of so many rounds, in turn."""
    return [list(Moment)[number % len(Moment)] for number in range(count)]


def owners_of(names: Collection[str]) -> list[Owner]:
    """As the stores know them."""
    return [owner_of(name) for name in names]


def in_redis(redis_url: str, names: Collection[str]) -> list[str]:
    """Keys that belong to one of these users, or whose values name one."""
    wanted = {owner.key for owner in owners_of(names)}
    found = []
    with client(redis_url) as connection:
        for key in connection.scan_iter("*", count=1000):
            kind = key.split(":")[2] if key.count(":") > 1 else ""
            mine = kind not in keys.KEPT_FROM_FORGETTING and any(part in wanted for part in key.split(":"))
            if mine or any(name in _text_of(connection, key) for name in names):
                found.append(key)
    return sorted(found)


def _text_of(connection: redis.Redis, key: str) -> str:
    readers: dict[str, Callable[[], object]] = {
        "string": lambda: connection.get(key),
        "hash": lambda: connection.hgetall(key),
        "list": lambda: connection.lrange(key, 0, -1),
        "zset": lambda: connection.zrange(key, 0, -1),
        "set": lambda: connection.smembers(key),
        "stream": lambda: connection.xrange(key),
        "none": str,  # it expired just now
    }
    return str(readers[str(connection.type(key))]())


def on_disk(folder: Path, names: Collection[str]) -> list[str]:
    """Files in which one of these names stands."""
    texts = ((file, file.read_bytes()) for file in folder.rglob("*") if file.is_file())
    return sorted(str(file) for file, text in texts if any(name.encode() in text for name in names))
