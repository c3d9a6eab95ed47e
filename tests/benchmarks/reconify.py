"""What Reconify costs a request, and how fast its outbox empties.

    python -m tests.benchmarks.reconify --requests 200 --payloads 5000

Cost: three gateways in front of one provider that answers at once: Reconify off, on, and on with an endpoint that takes
connections and never answers. The same requests go to all of them in turns, each time in another order, one at a time
or in bursts of 8, half of them streamed. Of each round the difference to the gateway without Reconify is taken. Their
median is given with the interval in which 95 % of resampled medians lie: where it includes 0, there is no difference
beyond noise.

Drain: the outbox of a Valkey server is filled, then one or two processes send to an endpoint that answers at once.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from recallr_litellm.core.owner import Owner
from recallr_litellm.reconify.outbox import Outbox
from recallr_litellm.reconify.settings import ReconifySettings
from tests.benchmarks.processes import load
from tests.support.provider import ProviderProcess
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.reconify_endpoint import HANGS, ReconifyEndpoint
from tests.support.reconify_worker import ReconifyWorker
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

BURST = 8
SESSIONS = 200
WARM_UP = 16
PAYLOAD_BYTES = 4000
"""About what a chat with some history and memory in it comes to."""


@dataclass(frozen=True)
class Gateway:
    """A gateway under one condition."""

    name: str
    proxy: Proxy
    client: httpx.AsyncClient


def main(
    requests: Annotated[int, typer.Option(help="To each gateway, in each way.")] = 200,
    payloads: Annotated[int, typer.Option(help="In the outbox that is drained.")] = 5000,
) -> None:
    """Measure, and print two tables."""
    console = Console()
    console.print(f"before: {load()}")
    with tempfile.TemporaryDirectory() as folder:
        if requests:
            console.print(asyncio.run(_cost(Path(folder), requests)))
        if payloads:
            console.print(_drain(Path(folder), payloads))
    console.print(f"after: {load()}")


async def _cost(folder: Path, requests: int) -> Table:
    table = Table("gateway", "at once", "p50 ms", "p95 ms", "more than off, p50", "95 % interval", title="cost")
    with ExitStack() as stack:
        provider = stack.enter_context(ProviderProcess(folder / "provider")).provider
        works, hangs = (stack.enter_context(ReconifyEndpoint()) for _ in range(2))
        hangs.answers = lambda posted: HANGS
        conditions = {"off": {}, "on": works.settings, "on, endpoint hangs": hangs.settings}
        gateways = [
            Gateway(
                name, stack.enter_context(Proxy(folder / name.replace(" ", "-"), provider, settings=settings)), http
            )
            for name, settings in conditions.items()
            for http in [httpx.AsyncClient(trust_env=False, timeout=60)]
        ]
        for at_once in (1, BURST):
            await _measure(gateways, WARM_UP, at_once)
            times = await _measure(gateways, requests, at_once)
            off = times["off"]
            for name, found in times.items():
                more = float(np.median(found - off))
                low, high = _interval(found - off)
                p50, p95 = np.percentile(found, [50, 95])
                row = [name, str(at_once), f"{p50:.1f}", f"{p95:.1f}"]
                table.add_row(*row, *(["", ""] if name == "off" else [f"{more:+.1f}", f"{low:+.1f} to {high:+.1f}"]))
        for gateway in gateways:
            await gateway.client.aclose()
        assert len(works.accepted_ids) > 2 * requests, "Reconify was not told: nothing was measured"
        assert hangs.posted, "the endpoint that hangs was never asked: nothing was measured"
    return table


async def _measure(gateways: list[Gateway], requests: int, at_once: int) -> dict[str, np.ndarray]:
    """Milliseconds of each request, by gateway."""
    times: dict[str, list[float]] = {gateway.name: [] for gateway in gateways}
    order = list(gateways)
    for start in range(0, requests, at_once):
        random.shuffle(order)
        for gateway in order:
            burst = (_ask(gateway, stream=(start // at_once) % 2 == 1) for _ in range(at_once))
            times[gateway.name] += await asyncio.gather(*burst)
    return {name: np.array(found) for name, found in times.items()}


async def _ask(gateway: Gateway, *, stream: bool) -> float:
    question = f"Tell me about {uuid.uuid4().hex}. " + "It was a dark and stormy night. " * 20
    body = {"model": CHAT_MODEL, "stream": stream, "messages": [{"role": "user", "content": question}]}
    key = {"Authorization": f"Bearer {gateway.proxy.master_key}"}
    headers = {**key, **gateway.proxy.headers(f"bench-{random.randrange(BURST)}")}
    began = perf_counter()
    answer = await gateway.client.post(f"{gateway.proxy.url}/v1/chat/completions", json=body, headers=headers)
    took = (perf_counter() - began) * 1000
    answer.raise_for_status()
    return took


def _interval(differences: np.ndarray) -> tuple[float, float]:
    """Between which medians 95 % of resamples lie."""
    dice = np.random.default_rng(0)
    medians = np.median(dice.choice(differences, (1000, len(differences))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)


def _drain(folder: Path, payloads: int) -> Table:
    table = Table("workers", "payloads", "payloads a second", title="drain of the outbox")
    with RedisServer(folder / "redis") as redis, ReconifyEndpoint() as endpoint:
        for workers in (1, 2):
            before = len(endpoint.accepted_ids)
            filled = asyncio.run(_fill(redis.url, payloads))
            table.add_row("filling", str(payloads), f"{payloads / filled:.0f}")
            with ExitStack() as stack:
                for worker in _workers(folder, workers, redis, endpoint):
                    stack.enter_context(worker)
                began, there = perf_counter(), len(endpoint.accepted_ids) - before
                wanted = before + payloads
                eventually(lambda wanted=wanted: len(endpoint.accepted_ids) >= wanted, "all is accepted", timeout=600)
                rate = (payloads - there) / (perf_counter() - began)
            table.add_row(str(workers), str(payloads), f"{rate:.0f}")
    return table


def _workers(folder: Path, count: int, redis: RedisServer, endpoint: ReconifyEndpoint) -> Iterator[ReconifyWorker]:
    for number in range(count):
        yield ReconifyWorker(folder / f"worker-{count}-{number}", redis.url, endpoint.settings)


async def _fill(url: str, payloads: int) -> float:
    """Queue payloads of `SESSIONS` sessions, 16 at a time; the seconds that it took."""
    outbox = Outbox.open(url, ReconifySettings(), timeout_seconds=30)
    await outbox.ping()
    run = uuid.uuid4().hex
    owner = Owner("bench", "bench")
    content = "x" * PAYLOAD_BYTES
    texts = [
        json.dumps({"reconify": {}, "session": f"{run}{number % SESSIONS}", "request": content})
        for number in range(payloads)
    ]
    began = perf_counter()
    for start in range(0, payloads, 16):
        await asyncio.gather(
            *(
                outbox.add(owner, f"{run}{number % SESSIONS}", f"{run}-{number}", texts[number])
                for number in range(start, min(start + 16, payloads))
            )
        )
    took = perf_counter() - began
    await outbox.close()
    return took


if __name__ == "__main__":
    typer.run(main)
