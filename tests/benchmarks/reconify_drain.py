"""How fast the outbox of Reconify empties.

    python -m tests.benchmarks.reconify_drain --payloads 5000

The outbox of a Valkey server is filled, then one or two processes send to an endpoint that answers at once. The
endpoint shares the machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.reconify.wire import encoded
from recallr_litellm.stores.state import keys
from tests.benchmarks.processes import cpu_seconds_exactly, load
from tests.support.reconify_endpoint import ReconifyEndpoint
from tests.support.reconify_worker import ReconifyWorker
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

SESSIONS = 200
PAYLOAD_BYTES = 4000
"""About what a chat with some history and memory in it comes to."""


def main(payloads: Annotated[int, typer.Option(help="In the outbox that is drained.")] = 5000) -> None:
    """Measure, and print a table."""
    console = Console()
    console.print(f"before: {load()}")
    table = Table("processes", "payloads a second", "CPU ms a payload", title=f"{payloads} payloads")
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name) / "redis") as redis, ReconifyEndpoint() as to:
        for count in (1, 2):
            with ExitStack() as stack:
                workers = [
                    stack.enter_context(ReconifyWorker(Path(name) / f"{count}-{number}", redis.url, to.settings))
                    for number in range(count)
                ]
                for worker in workers:
                    worker.freeze()
                wanted = len(to.accepted_ids) + payloads
                filled = asyncio.run(fill(redis.url, payloads))
                table.add_row("filling", f"{payloads / filled:.0f}", "")
                began, spent = perf_counter(), sum(cpu_seconds_exactly(worker.pid) for worker in workers)
                for worker in workers:
                    worker.thaw()
                eventually(lambda wanted=wanted: len(to.accepted_ids) >= wanted, "all is accepted", timeout=600)
                seconds = perf_counter() - began
                cpu = sum(cpu_seconds_exactly(worker.pid) for worker in workers) - spent
            table.add_row(f"{count} sending", f"{payloads / seconds:.0f}", f"{cpu / payloads * 1000:.2f}")
    console.print(table)
    console.print(f"after: {load()}")


async def fill(url: str, payloads: int) -> float:
    """Queue payloads of `SESSIONS` sessions, 16 at a time; the seconds that it took."""
    outbox = Outbox.open(url, keys.RECONIFY, ReconifySettings().limits, timeout_seconds=30)
    await outbox.probe()
    run = uuid.uuid4().hex
    owner = Owner("bench", "bench")
    made = [
        (f"{run}{number % SESSIONS}", f"{run}-{number}", encoded({"reconify": {}, "request": "x" * PAYLOAD_BYTES}))
        for number in range(payloads)
    ]
    began = perf_counter()
    for start in range(0, payloads, 16):
        await asyncio.gather(*(outbox.add(owner, *one) for one in made[start : start + 16]))
    took = perf_counter() - began
    await outbox.close()
    return took


if __name__ == "__main__":
    typer.run(main)
