"""Metrics of a gateway with two workers: whichever of them answers, the values are those of both."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from tests.support.observe import metric
from tests.support.provider import Provider
from tests.support.proxy import PATIENT, Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer


def test_two_workers_serve_the_sums_of_both(tmp_path: Path, provider: Provider) -> None:
    folder = tmp_path / "metrics"
    with (
        RedisServer(tmp_path / "redis") as redis,
        QdrantServer(tmp_path / "qdrant") as qdrant,
        Proxy(
            tmp_path / "gateway",
            provider,
            num_workers=2,
            redis_url=redis.url,
            qdrant_url=qdrant.url,
            settings={**PATIENT, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        ) as proxy,
    ):

        def asked() -> float:
            return metric(proxy, "recallr_requests_total", status="empty")

        for number in range(30):
            proxy.ask(f"user-{number}", "Hello.")
        assert len(list(folder.glob("counter_*.db"))) == 2, "each worker counts in a file of its own"
        assert [asked() for _ in range(10)] == [30.0] * 10
        assert metric(proxy, "recallr_added_seconds_count") == 30
        assert metric(proxy, "recallr_store_up", store="redis") == 1
        text = httpx.get(f"{proxy.url}/recallr/metrics", trust_env=False).text
        assert not re.findall(r"^litellm\w*", text, re.MULTILINE), "LiteLLM's metrics may need a key, ours need none"
