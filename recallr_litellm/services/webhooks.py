"""Tells an endpoint of the operator what has happened to users, sessions and conflicts.

As Standard Webhooks has it (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md),
so that its libraries verify what comes: the body is `{"type", "timestamp", "data"}`; the headers `webhook-id` (the same
whenever an event is sent again), `webhook-timestamp` and `webhook-signature`, an HMAC-SHA256 of
`<id>.<timestamp>.<body>`. Each event is delivered at least once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from recallr_litellm.core.knowledge import Conflict
from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.circuit import Circuit
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.posting import Outcome, Poster
from recallr_litellm.delivery.records import Added, Limits
from recallr_litellm.delivery.sender import Destination, Sender
from recallr_litellm.errors import StateRefused
from recallr_litellm.json_text import written
from recallr_litellm.metrics import FAULTS, WEBHOOKS
from recallr_litellm.settings import webhook_key
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import keys
from recallr_litellm.tasks import InFlight

_log = logging.getLogger(__name__)

LIMITS: Final = Limits(
    max_queued=100_000, max_queued_mb=64, max_attempts=20, timeout_seconds=10.0, max_pause_seconds=60.0
)
_DESTINATION: Final = Destination("the webhook", "webhooks", WEBHOOKS)


def signature(key: bytes, event_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`.

    Args:
        timestamp: of the header `webhook-timestamp`, seconds since the epoch.
    """
    digest = hmac.digest(key, b".".join((event_id.encode(), str(timestamp).encode(), body)), hashlib.sha256)
    return f"v1,{b64encode(digest).decode()}"


class WebhookClient:
    """Signs events and posts them.

    Args:
        secret: `whsec_` and the key in base64.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._key = webhook_key(secret)
        self._poster = Poster(url, timeout_seconds=LIMITS.timeout_seconds, secrets=(secret,))

    async def send(self, payload: str, message_id: str) -> Outcome:
        """Post an event, signed with the time at which it is sent."""
        body, timestamp = payload.encode(), int(time.time())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, message_id, timestamp, body),
        }
        return await self._poster.post(body, headers)

    async def close(self) -> None:
        """Close all connections."""
        await self._poster.close()


class Webhooks:
    """Queues events in Redis and sends them in the background.

    Args:
        breaker: of Redis; an outage found here trips it.
        timeout_seconds: bounds each round trip to Redis.
        interval: seconds between looks for what is due.
        in_flight: the requests that sending gives way to.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        redis_url: str,
        breaker: CircuitBreaker,
        *,
        timeout_seconds: float,
        interval: float,
        in_flight: InFlight,
    ) -> None:
        self._outbox = Outbox.open(redis_url, keys.WEBHOOKS, LIMITS, timeout_seconds=timeout_seconds)
        self._client = WebhookClient(url, secret)
        circuit = Circuit(LIMITS.max_pause_seconds)
        self._sender = Sender(
            self._outbox, self._client, _DESTINATION, circuit, breaker, in_flight, LIMITS, interval=interval
        )

    @property
    def background(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What has to run, each for ever."""
        return (self._sender.run,)

    async def session_processed(self, owner: Owner, session_id: str, last_at: int) -> None:
        """A session has become memory. Called again for the same state of it, it is the same event.

        Args:
            last_at: when the session was last used, ms.

        Raises:
            StateUnavailable: the event is not queued: call again.
        """
        data = {"project_id": owner.project, "user_id": owner.user, "session_id": session_id}
        await self._add(owner, session_id, "session.processed", data, unique=[owner.key, session_id, last_at])

    async def user_forgotten(self, owner: Owner) -> None:
        """A user and all that was remembered of it is deleted. Of the user the event holds the id alone, and it is
        nobody's, so that forgetting leaves it. Called again for the same user, it is the same event.

        Raises:
            StateUnavailable: the event is not queued: call again.
        """
        data = {"project_id": owner.project, "user_id": owner.user}
        await self._add(None, "", "user.forgotten", data, unique=[owner.key])

    async def conflict_raised(self, owner: Owner, conflict: Conflict) -> None:
        """A new fact contradicts a memory, and the user is asked. Called again for the same conflict, it is the same
        event.

        Raises:
            StateUnavailable: the event is not queued: call again.
        """
        await self._of_conflict(owner, conflict, "conflict.raised")

    async def conflict_resolved(self, owner: Owner, conflict: Conflict) -> None:
        """The user has answered. The event says whether the answers settled it: `RESOLVED`, or `FAILED`. Called again
        for the same conflict, it is the same event.

        Raises:
            StateUnavailable: the event is not queued: call again.
        """
        await self._of_conflict(owner, conflict, "conflict.resolved")

    async def _of_conflict(self, owner: Owner, conflict: Conflict, type: str) -> None:
        data = {
            "project_id": owner.project,
            "user_id": owner.user,
            "session_id": conflict.session,
            "conflict_id": conflict.id,
            "memory_id": conflict.memory,
            "status": conflict.status.value,
        }
        await self._add(owner, conflict.session, type, data, unique=[owner.key, conflict.id])

    async def close(self) -> None:
        """Let go of everything. After the background work was cancelled."""
        await self._sender.release_leases()
        await self._client.close()
        await self._outbox.close()

    async def _add(
        self, owner: Owner | None, session_id: str, type: str, data: dict[str, str], *, unique: list[str | int]
    ) -> None:
        event_id = "evt_" + hashlib.sha256(json.dumps([type, *unique]).encode()).hexdigest()[:32]
        event = {"type": type, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "data": data}
        try:
            added = await self._outbox.add(owner, session_id, event_id, written(event))
        except StateRefused as error:  # what it tells of must not fail for it
            FAULTS.labels("webhooks").inc()
            _log.error("Webhook %s (%s) is lost: %s", event_id, type, error)
            return
        if added is Added.FULL:
            WEBHOOKS.labels("dropped").inc()
            _log.error("Webhook %s (%s) is lost: too many wait for RECALLR_WEBHOOK_URL", event_id, type)
        elif added is Added.ADDED:
            WEBHOOKS.labels("queued").inc()
            self._sender.wake()
