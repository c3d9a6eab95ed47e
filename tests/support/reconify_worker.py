"""A process that does nothing but send what is in the outbox: to be killed.

with ReconifyWorker(tmp_path, redis.url, endpoint.settings) as worker:
    worker.kill()       # SIGKILL
    worker.restart()
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from recallr_litellm.logs import show_logs
from recallr_litellm.reconify.service import Reconify
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore
from recallr_litellm.tasks import InFlight
from tests.support.process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
_READY = "reconify worker is ready"


class ReconifyWorker(ServerProcess):
    """Handle on the process."""

    def __init__(self, folder: Path, redis_url: str, settings: Mapping[str, str]) -> None:
        """`settings`: the `RECONIFY_` variables."""
        super().__init__(folder, name="reconify-worker")
        self._redis_url = redis_url
        self._settings = settings

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "tests.support.reconify_worker", self._redis_url]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(ROOT), **self._settings}

    def ready(self) -> bool:
        return _READY in self.log


async def work(redis_url: str) -> None:
    """Send for ever, as a gateway's worker does."""
    store = StateStore.from_url(redis_url, timeout_seconds=30.0)
    breaker = CircuitBreaker("redis", store.probe)
    reconify = Reconify(
        load_reconify_settings(),
        redis_url,
        breaker,
        timeout_seconds=30.0,
        interval=0.1,
        capacity=1000,
        in_flight=InFlight(),
    )
    async with asyncio.TaskGroup() as tasks:
        for task in (breaker.watch, *reconify.background):
            tasks.create_task(task())
        print(_READY, flush=True)


if __name__ == "__main__":
    show_logs()
    asyncio.run(work(sys.argv[1]))
