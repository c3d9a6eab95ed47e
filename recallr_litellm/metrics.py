"""What can be measured about the plugin, in Prometheus terms, served at `/recallr/metrics`.

Where `PROMETHEUS_MULTIPROC_DIR` is set, each worker keeps its values in files of that folder, as LiteLLM's own metrics
do, and the values served are those of all workers: https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

REGISTRY = CollectorRegistry()
"""Our own: LiteLLM's registry stays as it is."""

_FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
OF_ALL_WORKERS = bool(_FOLDER)
"""False: each worker serves its own values only."""
if _FOLDER:  # the metrics below open their files in it
    Path(_FOLDER).mkdir(parents=True, exist_ok=True)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def _counter(name: str, meaning: str, label: str, *values: str) -> Counter:
    """A counter that is 0 from the start for these values of its label: an alert on a first event needs that 0."""
    counter = Counter(name, meaning, [label], registry=REGISTRY)
    for value in values:
        counter.labels(value)
    return counter


def _shared(name: str, meaning: str, label: str) -> Gauge:
    """A gauge of something that all workers share, so that their values are not added up."""
    return Gauge(name, meaning, [label], registry=REGISTRY, multiprocess_mode="livemostrecent")


REQUESTS = _counter("recallr_requests", "Recallr requests, by X-Recallr-Memory-Status.", "status", "ok", "empty", "off")
REJECTED = _counter("recallr_rejected", "Recallr requests that were refused, by error code.", "code")
HELPER_CALLS = _counter(
    "recallr_helper_calls", "Requests that only served the client (titles, tags, summaries, probes), by rule.", "rule"
)
ADDED = Histogram(
    "recallr_added_seconds",
    "Time that the plugin adds to a request before the model is called.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
RECALL = Histogram("recallr_recall_seconds", "Time of one search of memory.", buckets=_SECONDS, registry=REGISTRY)
EXCHANGES = _counter(
    "recallr_exchanges",
    "Exchanges, by what became of them: stored; partial (stored, the response broke off); held (waits in the process "
    "for Redis); forgotten (its user or session was, meanwhile); dropped (lost).",
    "outcome",
    *("stored", "partial", "held", "forgotten", "dropped"),
)
HELD = Gauge(
    "recallr_held_exchanges",
    "Exchanges that wait in the process until Redis is reachable.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
SESSIONS = _counter(
    "recallr_sessions",
    "Attempts at processing a session, by outcome: processed; postponed (is tried again); failed (set aside, see "
    "`recallr failed`).",
    "outcome",
    *("processed", "postponed", "failed"),
)
PROCESSING = Histogram(
    "recallr_processing_seconds",
    "Time to process a session.",
    buckets=(*_SECONDS, 120.0),
    registry=REGISTRY,
)
QUEUE = _shared(
    "recallr_session_queue",
    "Sessions in Redis: due (to be processed now); waiting (not yet due, or being processed); failed (set aside, see "
    "`recallr failed`).",
    "state",
)
LEARNING = _counter(
    "recallr_learning_sessions",
    "Sessions that were learned, by outcome: learned; unread (a part of it gave nothing that can be read: that is in "
    "passages only); postponed (is tried again); failed (set aside with its user, which `recallr learn` tries again).",
    "outcome",
    *("learned", "unread", "postponed", "failed"),
)
LEARNING_CALLS = _counter(
    "recallr_learning_calls",
    "Calls of RECALLR_MEMORY_MODEL for learning, failed ones too, by step: facts are extracted, decisions say what "
    "each is to what is known, conflicts are settled.",
    "step",
    "facts",
    "decisions",
    "conflicts",
)
LEARNING_TOKENS = _counter(
    "recallr_learning_tokens",
    "Tokens that RECALLR_MEMORY_MODEL used for learning, by step.",
    "step",
    "facts",
    "decisions",
    "conflicts",
)
AGENTIC_CALLS = Counter(
    "recallr_agentic_calls", "Calls of RECALLR_MEMORY_MODEL for agentic recall that were answered.", registry=REGISTRY
)
AGENTIC_TOKENS = Counter(
    "recallr_agentic_tokens", "Tokens that RECALLR_MEMORY_MODEL used for agentic recall.", registry=REGISTRY
)
FACTS = _counter(
    "recallr_facts",
    "Facts, by what became of them: extracted; rejected by a check, by its name (evidence, modality, secret, "
    "instruction, question, language, assistant); and of the extracted ones: same, addition, change, "
    "correction, contradiction, new.",
    "outcome",
)
STORE_UP = Gauge(
    "recallr_store_up",
    "1 while it can be used; 0 if it cannot be by one worker: redis, qdrant, qdrant-writes, embedding.",
    ["store"],
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
FAULTS = _counter(
    "recallr_faults",
    "Errors of the plugin itself, by place. The request went on; the log has the error.",
    "where",
    *(
        "request",
        "capture",
        "answer",
        "stream",
        "binding",
        "background",
        "processing",
        "learning",
        "reconify",
        "webhooks",
        "explain",
    ),
)
ANSWERS_TOO_LARGE = Counter(
    "recallr_answers_too_large", "Answers that were not read to their end because of their size.", registry=REGISTRY
)
RECONIFY = _counter(
    "recallr_reconify_payloads",
    "Payloads for Reconify, by what became of them: queued; held (waits in the process for Redis); dropped (lost); "
    "delivered; retried; dead (refused, see `recallr reconify dead`).",
    "outcome",
    *("queued", "held", "dropped", "delivered", "retried", "dead"),
)
WEBHOOKS = _counter(
    "recallr_webhooks",
    "Webhooks, by what became of them: queued; dropped (lost: the outbox is full); delivered; retried; dead (refused).",
    "outcome",
    *("queued", "dropped", "delivered", "retried", "dead"),
)
RECONIFY_HELD = Gauge(
    "recallr_reconify_held",
    "Payloads for Reconify that wait in the process until Redis is reachable.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
RECONIFY_QUEUE = _shared(
    "recallr_reconify_outbox",
    "Payloads in Redis: queued (to be sent); dead (refused).",
    "state",
)


def exposition() -> bytes:
    """All metrics in Prometheus's text format: of all workers, where they share a folder, else of this one."""
    if not _FOLDER:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(_AllWorkers(_FOLDER))
    return generate_latest(registry)


class _AllWorkers:
    """Collects our metrics of all workers. LiteLLM's are in the same folder: they may need a key, ours need none."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        for file in Path(self._folder).glob("gauge_live*.db"):  # a worker that was killed could not remove its own
            owner = re.search(r"_(\d+)\.db$", file.name)
            if owner and not _runs(int(owner[1])):
                mark_process_dead(int(owner[1]), self._folder)
        collected = MultiProcessCollector(None, self._folder).collect()
        return [metric for metric in collected if metric.name.startswith("recallr_")]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
