"""Brings payloads from an outbox to its endpoint, in the background.

At least once, and in order within a session: a payload leaves the outbox only when it was accepted or refused for good,
and only then is the next of its session sent. The message id that goes along lets the endpoint recognise a repeat.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import Counter

from recallr_litellm.delivery.circuit import Circuit, backoff
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.posting import Outcome, Verdict
from recallr_litellm.delivery.records import Delivery, Limits
from recallr_litellm.errors import StateUnavailable
from recallr_litellm.metrics import FAULTS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.tasks import InFlight

_log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Sessions whose payloads this process sends at the same time. Several times as fast as a gateway's worker can produce
them, and few enough to leave it the CPU."""
_IN_A_ROW: Final = 20
"""Payloads of one session that are sent before others have their turn."""
GIVES_WAY_SECONDS: Final = 1.0
"""Longest time for which payloads wait because the process has requests to serve."""


class Client(Protocol):
    """Posts a payload. Never raises for what the network or the endpoint does."""

    async def send(self, payload: str, message_id: str) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Destination:
    """Where payloads go, as the log and the metrics name it."""

    name: str
    """As in "Sending to Reconify"."""
    fault: str
    """Its place in the metric of faults."""
    counter: Counter
    """By outcome: `delivered`, `retried`, `dead`."""
    dead_letters: str = ""
    """How to see the dead letters."""


class Sender:
    """Sends what is due, of as many sessions at a time as `AT_ONCE`.

    A failure may be the endpoint's fault or the payload's. It counts against the payload only where the endpoint had
    answered the one before: an outage, however long, makes no dead letters.

    Args:
        breaker: of Redis; an outage found here trips it.
        in_flight: the requests of this process, to which sending gives way.
        interval: seconds between looks for payloads that are due.
    """

    def __init__(
        self,
        outbox: Outbox,
        client: Client,
        destination: Destination,
        circuit: Circuit,
        breaker: CircuitBreaker,
        in_flight: InFlight,
        limits: Limits,
        *,
        interval: float,
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._destination = destination
        self._circuit = circuit
        self._breaker = breaker
        self._in_flight = in_flight
        self._lease_seconds = limits.timeout_seconds + 5  # longer than one attempt may take
        self._interval = interval
        self._max_attempts = limits.max_attempts
        self._longest_pause = limits.max_pause_seconds
        self._woken = asyncio.Event()
        self._backlog = False
        """There is more to send than there was room for."""
        self._look_at = 0.0
        """When to look in the whole outbox again, by the loop's clock."""
        self._leased: dict[str, Delivery] = {}
        self._on_their_way = 0
        self._running = False

    def wake(self) -> None:
        """Look for payloads that are due at once: one was added."""
        self._woken.set()

    async def run(self) -> None:
        """Work for ever. Ends only by cancellation, which cuts attempts off: call `release_leases` then."""
        self._running = True
        sending: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            sending.discard(task)
            if self._backlog:
                self._woken.set()

        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    if not self._backlog:  # else the outbox would grow while there is always a request
                        await self._in_flight.quiet(within=GIVES_WAY_SECONDS)
                    self._woken.clear()
                    for delivery in await self._claim(len(sending)):
                        self._leased[delivery.member] = delivery
                        task = group.create_task(self._work(delivery))
                        sending.add(task)
                        task.add_done_callback(ended)
                    await self._rest()
        finally:
            self._running = False

    async def release_leases(self) -> None:
        """Give back what is leased, so that nobody has to wait for the leases to end. After `run` has ended."""
        leased, self._leased = list(self._leased.values()), {}
        try:
            for delivery in leased:
                await self._outbox.postpone(delivery, 0, "the gateway stopped", counts=False)
        except StateUnavailable as error:
            _log.warning("The outbox of %s stays leased until the leases end: %s", self._destination.name, error)

    async def _claim(self, sending: int) -> list[Delivery]:
        room = self._circuit.room(sending, AT_ONCE)
        if not room or not self._breaker.allows_requests:
            return []
        now = asyncio.get_running_loop().time()
        everywhere = now >= self._look_at  # else only where this process has put something
        if everywhere:
            self._look_at = now + self._interval
        try:
            claims = await self._outbox.claim(room, lease_seconds=self._lease_seconds, everywhere=everywhere)
        except StateUnavailable as error:
            self._breaker.trip(error)
            return []
        self._backlog = len(claims) == room
        return claims

    async def _rest(self) -> None:
        """Wait until there may be something to do."""
        try:
            async with asyncio.timeout(self._circuit.pause or self._interval):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _work(self, delivery: Delivery) -> None:
        """Send payloads of one session until one fails, there are none, or it is others' turn."""
        member = delivery.member
        try:
            for sent in range(1, _IN_A_ROW + 1):
                if not self._circuit.room(self._on_their_way, AT_ONCE):  # it has opened while Redis was asked
                    await self._outbox.postpone(delivery, self._circuit.pause, "not sent", counts=False)
                    break
                last = sent == _IN_A_ROW
                self._backlog |= last
                following = await self._settle(delivery, await self._attempt(delivery), last=last)
                if following is None:
                    break
                self._leased[member] = delivery = following
        except StateUnavailable as error:
            self._breaker.trip(error)  # the session is due again when its lease has ended
        except Exception:  # noqa: BLE001 - it must not end the sending of all others
            FAULTS.labels(self._destination.fault).inc()
            _log.exception("Sending to %s failed; it is tried again when the lease has ended", self._destination.name)
        if self._leased.get(member) is delivery:  # not what was claimed anew since it was given back
            del self._leased[member]  # not when cancelled: `release_leases` needs to know

    async def _attempt(self, delivery: Delivery) -> Outcome:
        if delivery.attempts > self._max_attempts:
            return Outcome(Verdict.REFUSED, None, "the process ended each time while sending it")
        self._on_their_way += 1
        try:
            return await self._client.send(delivery.payload, delivery.message_id)
        finally:
            self._on_their_way -= 1

    async def _settle(self, delivery: Delivery, outcome: Outcome, *, last: bool) -> Delivery | None:
        """Act on an outcome. Returns the session's next payload, still leased, if it is to be sent now."""
        # Too many requests are never the payload's own fault.
        counts = self._circuit.works and outcome.status != 429
        if outcome.verdict is Verdict.RETRY:
            self._circuit.failed(outcome.retry_after)
        elif outcome.status is not None:
            self._circuit.answered()
        lease_seconds = self._lease_seconds if self._running and not last and self._circuit.is_closed else None
        if outcome.verdict is Verdict.DELIVERED:
            self._destination.counter.labels("delivered").inc()
            return await self._outbox.delivered(delivery, lease_seconds=lease_seconds)
        if outcome.verdict is Verdict.RETRY and not (counts and delivery.attempts >= self._max_attempts):
            await self._postpone(delivery, outcome, counts=counts)
            return None
        self._destination.counter.labels("dead").inc()
        _log.error(
            "Payload %s was refused by %s (%s) and is a dead letter now%s",
            delivery.message_id,
            self._destination.name,
            f"status {outcome.status}" if outcome.status else "no answer",
            self._destination.dead_letters,
        )
        return await self._outbox.bury(
            delivery, status=outcome.status, reason=outcome.reason, lease_seconds=lease_seconds
        )

    async def _postpone(self, delivery: Delivery, outcome: Outcome, *, counts: bool) -> None:
        self._destination.counter.labels("retried").inc()
        _log.info(
            "%s did not take payload %s (%s); it is sent again",
            self._destination.name,
            delivery.message_id,
            f"status {outcome.status}" if outcome.status else outcome.reason,
        )
        # After the endpoint's pause, so that what has come meanwhile has the first try then.
        pause = max(outcome.retry_after or 0.0, self._circuit.pause)
        delay = pause + backoff(delivery.attempts, self._longest_pause)
        await self._outbox.postpone(delivery, delay, outcome.reason, counts=counts)
