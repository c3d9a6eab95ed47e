"""Many rounds of users who are deleted while they chat, while their sessions are processed and while the gateway is
killed, and then a search for what is left of them: in Redis, in Qdrant and, embedded, in the files.

    python -m tests.benchmarks.forgetting --rounds 50
    python -m tests.benchmarks.forgetting --rounds 50 --two-gateways

Ends with an error at the first hit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.support.command import recallr
from tests.support.forgetting_rounds import SETTINGS, Rounds, in_redis, moments, on_disk, owners_of
from tests.support.observe import edge, embedded_redis_url, remembered, server, wait_until_processed
from tests.support.provider import ThreadedProvider
from tests.support.proxy import Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--two-gateways", action="store_true", help="on a Redis and a Qdrant that they share")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadedProvider() as provider, ExitStack() as running:
        run = _two_gateways if options.two_gateways else _embedded
        rounds = run(Path(folder), provider, running, options.rounds, options.seed)
    print(
        f"{options.rounds} rounds, {len(rounds.names)} users, {time.monotonic() - begun:.0f} s: nothing is left. "
        f"In {rounds.in_processing} rounds a session was in processing."
    )


def _embedded(folder: Path, provider: ThreadedProvider, running: ExitStack, count: int, seed: int) -> Rounds:
    proxy = running.enter_context(Proxy(folder, provider, settings=SETTINGS))
    url = embedded_redis_url(proxy)
    rounds = _all([proxy], url, count, seed)
    wait_until_processed(url)
    assert proxy.terminate() is not None
    assert remembered(edge(proxy), owners_of(rounds.names)) == []
    print(f"before `recallr compact`, texts are in {len(on_disk(proxy.data_dir, rounds.names))} files")
    done = recallr("compact", folder=folder, environment={"RECALLR_DATA_DIR": str(proxy.data_dir)})
    assert done.returncode == 0, done.stdout
    assert on_disk(proxy.data_dir, rounds.names) == []
    return rounds


def _two_gateways(folder: Path, provider: ThreadedProvider, running: ExitStack, count: int, seed: int) -> Rounds:
    redis = running.enter_context(RedisServer(folder / "redis"))
    qdrant = running.enter_context(QdrantServer(folder / "qdrant"))
    shared = {"redis_url": redis.url, "qdrant_url": qdrant.url}
    proxies = [
        running.enter_context(Proxy(folder / name, provider, settings=SETTINGS, **shared))  # type: ignore[arg-type]
        for name in ("first", "second")
    ]
    rounds = _all(proxies, redis.url, count, seed)
    assert in_redis(redis.url, rounds.names) == []
    assert remembered(server(qdrant.url), owners_of(rounds.names)) == []
    return rounds


def _all(proxies: list[Proxy], redis_url: str, count: int, seed: int) -> Rounds:
    rounds = Rounds(proxies, redis_url, seed=seed)
    done: Counter[str] = Counter()
    for number, moment in enumerate(moments(count)):
        rounds.run(f"{uuid.uuid4().hex[:8]}-{number}", moment)
        done[moment.value] += 1
        print(f"round {number + 1}: deleted {moment.value}", flush=True)
    for moment_name, times in done.items():
        print(f"{times:>4} × {moment_name}")
    return rounds


if __name__ == "__main__":
    main()
