"""What a gateway holds and says about itself, seen from outside: its two stores, its metrics, its readiness.

assert in_motion(redis_url) == []                               # every session is processed
kept = remembered(edge(proxy), owners)                          # after the gateway has ended
assert_once(kept, expected={"My cat is called Felix."})
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import redis
from prometheus_client.parser import text_string_to_metric_families

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.settings import Settings
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.codec import load_message
from recallr_litellm.stores.state.embedded import _socket
from recallr_litellm.stores.vectors import Collections, Engine, open_collections, schema
from recallr_litellm.stores.vectors.collections import current_of
from recallr_litellm.stores.vectors.engine import Found, Where
from recallr_litellm.stores.vectors.points import passage_hit, record_of
from recallr_litellm.stores.vectors.schema import Kind
from tests.support.differences import METRICS_NEED_A_KEY
from tests.support.proxy import PROJECT, Proxy
from tests.support.waiting import eventually

PAGE = 500


def owner_of(user: str) -> Owner:
    """A user of the project that tests use unless they say otherwise."""
    return Owner(PROJECT, user)


@dataclass(frozen=True)
class Kept:
    """A message in one of the stores."""

    owner: str
    """`Owner.key`."""
    session: str
    message: StoredMessage

    @property
    def text(self) -> str:
        return self.message.message.text


def embedded_redis_url(proxy: Proxy) -> str:
    """The embedded Valkey of a gateway."""
    return f"unix://{quote(str(_socket((proxy.data_dir / 'redis').resolve())))}"


def client(redis_url: str) -> redis.Redis:
    """A client for a test's own look into Redis."""
    return redis.Redis.from_url(redis_url, decode_responses=True, socket_timeout=60.0)


def in_motion(redis_url: str, *owners: Owner) -> list[Kept]:
    """Messages of sessions not yet processed, of these users or of all, by session and position."""
    found = []
    wanted = {owner.key for owner in owners}
    with client(redis_url) as connection:
        for key in connection.scan_iter("{recallr:*}:messages:*", count=1000):
            owner, _, session = key.split(":messages:", 1)[1].partition(":")
            if not wanted or owner in wanted:
                whole = connection.hgetall(key) | connection.hgetall(key.replace(":messages:", ":large:", 1))
                found += [Kept(owner, session, load_message(text)) for text in whole.values()]
    return sorted(found, key=lambda kept: (kept.owner, kept.session, kept.message.position))


def failed(redis_url: str) -> int:
    """Sessions set aside after too many attempts."""
    with client(redis_url) as connection:
        return sum(connection.zcard(keys.failed(n)) for n in range(keys.BUCKETS))


def leased(redis_url: str) -> list[str]:
    """Keys of the sessions that a worker has claimed and not given back."""
    with client(redis_url) as connection:
        found = connection.scan_iter("{recallr:*}:session:*", count=1000)
        return [key for key in found if connection.hexists(key, "lease")]


def attempts(redis_url: str, owner: Owner, session_id: str) -> int:
    """How many attempts at processing a session count against it, one that is under way included."""
    with client(redis_url) as connection:
        return int(connection.hget(keys.session(owner, session_id), "attempts") or 0)


def wait_until_processed(redis_url: str, *owners: Owner) -> None:
    """Until the sessions of these users, or of all, have ended and are in Qdrant: Redis holds none any more."""
    eventually(
        lambda: len({(one.owner, one.session) for one in in_motion(redis_url, *owners)}),
        "no session is left that is not processed",
        until=lambda count: count == 0,
    )


def remembered(collections: Collections, owners: Iterable[Owner]) -> list[Kept]:
    """Every message of these users' processed sessions, in the current collection. All are closed afterwards.

    Raises:
        AssertionError: there is a passage whose message is not there, or is not the whole message.
    """
    return asyncio.run(_remembered(collections, list(owners)))


async def _remembered(collections: Collections, owners: Sequence[Owner]) -> list[Kept]:
    try:
        current = await current_of(collections)
        if current is None:
            return []
        engine = collections.engine(current.name)
        await engine.open(0)
        return [kept for owner in owners for kept in await _of_owner(engine, owner)]
    finally:
        await collections.close()


async def _of_owner(engine: Engine, owner: Owner) -> list[Kept]:
    fields = [schema.SESSION, schema.FIRST, schema.RECORD, schema.HIT]
    found, after = await engine.scroll(Where(owner, Kind.TURN), PAGE, fields=fields)
    while after is not None:
        more, after = await engine.scroll(Where(owner, Kind.TURN), PAGE, fields=fields, after=after)
        found += more
    points = [point.payload for point in found]
    first = [point for point in points if point.get(schema.FIRST)]
    kept = [Kept(owner.key, point[schema.SESSION], record_of(point, StoredMessage)) for point in first]
    hits = [passage_hit(Found("", 0.0, point), 0.0) for point in points if schema.HIT in point]
    parts = Counter((hit.session, hit.message) for hit in hits)
    whole = {(hit.session, hit.message): hit.parts for hit in hits if hit.part == 0}
    unindexed = [point for point in first if schema.HIT not in point]
    assert parts == whole, f"of {owner}, passages are missing or left over: there are {parts}, there should be {whole}"
    assert len(whole) + len(unindexed) == len(kept), f"of {owner}, messages have no record, or more than one"
    return sorted(kept, key=lambda one: (one.session, one.message.position))


def edge(proxy: Proxy) -> Collections:
    """The embedded Qdrant of a gateway that has ended."""
    return open_collections(Settings(data_dir=proxy.data_dir, qdrant_url=None))


def server(qdrant_url: str) -> Collections:
    """A Qdrant server with the gateway's collection."""
    return open_collections(Settings(qdrant_url=qdrant_url))


def assert_once(kept: Collection[Kept], *, expected: Iterable[str], allowed: Iterable[str] = ()) -> None:
    """Each expected text is kept exactly once, each allowed one at most once, and nothing else is kept."""
    counts = Counter(one.text for one in kept)
    wanted = set(expected)
    lost = sorted(wanted - counts.keys())
    doubled = {text: count for text, count in counts.items() if count > 1}
    unknown = sorted(counts.keys() - wanted - set(allowed))
    assert not lost, f"{len(lost)} of {len(wanted)} messages that a client had seen answered are lost: {lost[:5]}"
    assert not doubled, f"{len(doubled)} messages are kept more than once: {dict(list(doubled.items())[:5])}"
    assert not unknown, f"{len(unknown)} messages are kept that nobody said: {unknown[:5]}"


def metric(proxy: Proxy, name: str, **labels: str) -> float:
    """A value of `/recallr/metrics`, e.g. `metric(proxy, "recallr_exchanges_total", outcome="held")`; 0 if absent."""
    key = {"Authorization": f"Bearer {proxy.master_key}"} if METRICS_NEED_A_KEY else {}
    url = f"{proxy.url}/recallr/metrics"
    text = httpx.get(url, headers=key, trust_env=False, timeout=60.0).raise_for_status().text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def faults(proxy: Proxy) -> dict[str, str]:
    """What keeps memory from working, as `/recallr/health/ready` says."""
    answer = httpx.get(f"{proxy.url}/recallr/health/ready", trust_env=False, timeout=60.0)
    found: dict[str, str] = answer.json()["faults"]
    assert answer.status_code == (503 if found else 200), f"readiness says {answer.status_code} with faults {found}"
    return found


def wait_until_sound(proxy: Proxy) -> None:
    """Until both stores answer the gateway and nothing is held any more."""
    eventually(lambda: faults(proxy), "the gateway has found its stores again", until=lambda found: not found)
    eventually(
        lambda: metric(proxy, "recallr_held_exchanges"),
        "the gateway has written what it held",
        until=lambda count: count == 0,
    )


def wait_until_noticed(proxy: Proxy, store: str) -> None:
    """Until the gateway knows that a store (`redis`, `qdrant`) is away."""
    eventually(
        lambda: faults(proxy), f"the gateway has noticed that {store} is away", until=lambda found: store in found
    )


def log_lines(folder: Path, containing: str) -> list[str]:
    """Lines of a gateway's log."""
    return [line for line in (folder / "proxy.log").read_text(errors="replace").splitlines() if containing in line]
