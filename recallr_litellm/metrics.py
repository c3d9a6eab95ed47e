"""What can be measured about the plugin, in Prometheus terms, served at `/recallr/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
"""Our own: LiteLLM's registry stays as it is."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter("recallr_requests", "Recallr requests by memory status", ["status"], registry=REGISTRY)
REJECTED = Counter("recallr_rejected", "Recallr requests refused, by error code", ["code"], registry=REGISTRY)
ADDED = Histogram(
    "recallr_added_seconds", "Time spent in the plugin before the model", buckets=_SECONDS, registry=REGISTRY
)
RECALL = Histogram("recallr_recall_seconds", "Time of one recall", buckets=_SECONDS, registry=REGISTRY)
EXCHANGES = Counter(
    "recallr_exchanges",
    "Exchanges by what became of them: stored, partial, held (Redis away), dropped (lost)",
    ["outcome"],
    registry=REGISTRY,
)
HELD = Gauge("recallr_held_exchanges", "Exchanges waiting in this process for Redis", registry=REGISTRY)
SESSIONS = Counter(
    "recallr_sessions",
    "Sessions by outcome of processing: processed, postponed, failed",
    ["outcome"],
    registry=REGISTRY,
)
PROCESSING = Histogram(
    "recallr_processing_seconds", "Time to process a batch of sessions", buckets=(*_SECONDS, 120.0), registry=REGISTRY
)
QUEUE = Gauge(
    "recallr_session_queue",
    "Sessions in Redis, of all workers: due (to be processed now), waiting (not yet due, or being processed), "
    "failed (set aside, see `recallr failed`)",
    ["state"],
    registry=REGISTRY,
)
STORE_UP = Gauge("recallr_store_up", "1 while the store answers", ["store"], registry=REGISTRY)
FAULTS = Counter("recallr_faults", "Faults of the plugin itself, by place", ["where"], registry=REGISTRY)
ANSWERS_TOO_LARGE = Counter(
    "recallr_answers_too_large", "Answers that were not read to their end because of their size", registry=REGISTRY
)
RECONIFY = Counter(
    "recallr_reconify_payloads",
    "Interactions for Reconify, by what became of them: queued, held (Redis away), dropped (lost), delivered, retried, "
    "dead (refused, see `recallr reconify dead`)",
    ["outcome"],
    registry=REGISTRY,
)
RECONIFY_HELD = Gauge("recallr_reconify_held", "Interactions waiting in this process for Redis", registry=REGISTRY)
RECONIFY_QUEUE = Gauge(
    "recallr_reconify_outbox",
    "Interactions in Redis, of all workers: queued (to be sent), dead (refused); in_flight: sessions being sent",
    ["state"],
    registry=REGISTRY,
)
