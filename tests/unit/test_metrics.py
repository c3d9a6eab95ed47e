"""Metrics: documented, added up over workers, and nothing of LiteLLM's among them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from recallr_litellm.metrics import REGISTRY

PAGE = Path(__file__).resolve().parents[2] / "config" / "README.md"

WORKER = """
import sys
from prometheus_client import Gauge
from recallr_litellm import metrics
Gauge("litellm_secret", "Of another owner.", ["key"], multiprocess_mode="livesum").labels("sk-1").set(1)
requests, held, queued, up = map(int, sys.argv[1:])
metrics.REQUESTS.labels("ok").inc(requests)
metrics.HELD.set(held)
metrics.QUEUE.labels("due").set(queued)
metrics.STORE_UP.labels("redis").set(up)
metrics.ADDED.observe(0.02)
print("ready", flush=True)
sys.stdin.read()
"""


def table() -> list[str]:
    """The table of all metrics, made of the code."""
    lines = ["| Name | Type | Labels | Meaning |", "|---|---|---|---|"]
    for collector in dict.fromkeys(REGISTRY._names_to_collectors.values()):  # no public way to the label names
        (metric,) = collector.collect()  # type: ignore[misc]
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # type: ignore[attr-defined]
        lines.append(f"| `{name}` | {metric.type} | {labels} | {metric.documentation} |")
    return lines


def test_the_page_lists_every_metric() -> None:
    expected = "\n".join(table())
    assert expected in PAGE.read_text(), f"the table of metrics in config/README.md has to be:\n{expected}"


def start_worker(folder: Path, *values: int) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, *map(str, values)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
    )
    assert worker.stdout
    assert worker.stdout.readline() == "ready\n"
    return worker


def served(folder: Path) -> dict[str, float]:
    """What a worker with nothing of its own serves: sample → value."""
    text = subprocess.run(
        [sys.executable, "-c", "from recallr_litellm import metrics; print(metrics.exposition().decode())"],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_values_of_workers_add_up_and_gauges_of_a_killed_worker_go(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "at the start"
    first, second = start_worker(folder, 3, 5, 40, 1), start_worker(folder, 4, 6, 50, 0)
    try:
        both = served(folder)
        assert both["recallr_requests_total ok"] == 7
        assert both["recallr_added_seconds_count"] == 2
        assert both["recallr_held_exchanges"] == 11
        assert both["recallr_session_queue due"] == 50, "all workers count the same queue"
        assert both["recallr_store_up redis"] == 0, "one of them cannot reach it"
        assert both["recallr_exchanges_total dropped"] == 0, "there from the start"
        assert not [name for name in both if "litellm" in name], "LiteLLM's own metrics may need a key"

        second.kill()
        second.wait()
        left = served(folder)
        assert left["recallr_requests_total ok"] == 7, "counters never go down"
        assert left["recallr_held_exchanges"] == 5
        assert left["recallr_session_queue due"] == 40
        assert left["recallr_store_up redis"] == 1
    finally:
        for worker in (first, second):
            worker.kill()
            worker.communicate()
