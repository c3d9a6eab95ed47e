"""Why a request got what it got: kept for the last requests of a project, for `recallr explain`."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.errors import RecallrError, RequestNotFound, StateUnavailable
from recallr_litellm.metrics import FAULTS
from recallr_litellm.services.candidates import with_candidates
from recallr_litellm.services.explaining import Kept, keep
from recallr_litellm.services.explanation import Request, Summary
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import ExplainedRequest, StateStore

_log = logging.getLogger(__name__)

MOST_REQUESTS: Final = 1000
"""Requests of a project that are kept."""
_GATHER_SECONDS: Final = 0.5
"""Requests that end within this time are written together."""
_MOST_WAITING: Final = 200
"""Requests that wait to be written. Where more come, the oldest are not explained."""
_COMPRESSION: Final = 1
"""The fastest."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests; "" for any."""

    status: str = ""
    """`ok`, `empty`, `degraded` or `off`, for whatever reason."""
    user: str = ""
    session: str = ""
    """Its id, or how that begins."""
    strategy: str = ""
    """That was asked for, or by which memory was searched."""

    def fits(self, summary: Mapping[str, Any]) -> bool:
        """Whether it is one of them."""
        return (
            self.status in ("", summary["status"].partition(";")[0])
            and self.user in ("", summary["user_id"])
            and (summary["session_id"] or "").startswith(self.session)
            and (not self.strategy or self.strategy in (summary["strategy"] or "").split(":"))
        )


class Explain:
    """Explains requests once they are over. While it is off, nothing is kept.

    Args:
        hours: how long an explanation is kept; 0: not at all.
        megabytes: that the explanations of a project may take in Redis.
        wanted: whether a project wants it.
    """

    def __init__(
        self,
        state: StateStore,
        breaker: CircuitBreaker,
        *,
        hours: float,
        megabytes: int,
        wanted: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._state = state
        self._breaker = breaker
        self._seconds = hours * 3600
        self._most_bytes = megabytes * 1024 * 1024
        self._wanted = wanted
        self._waiting: deque[Request] = deque(maxlen=_MOST_WAITING)
        self._came = asyncio.Event()

    @property
    def enabled(self) -> bool:
        """Whether requests are explained."""
        return self._seconds > 0

    def record(self, request: Request) -> None:
        """Take a request that is over; it is put into words and written in the background."""
        if self._wanted(request.project):
            self._waiting.append(request)
            self._came.set()

    async def run(self) -> None:
        """Write for ever what is recorded."""
        while True:
            await self._came.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._came.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what has been recorded. What Redis does not take is let go: it is worth no memory of this process."""
        requests = [*self._waiting]
        self._waiting.clear()
        if not requests or not self._breaker.allows_requests:
            return
        records = await asyncio.to_thread(_records, requests)
        try:
            await self._state.keep_explained(
                records, most=MOST_REQUESTS, most_bytes=self._most_bytes, seconds=self._seconds
            )
        except StateUnavailable as error:
            self._breaker.trip(error)
        except RecallrError as error:
            _log.warning("%d requests are not explained: %s", len(records), error)

    async def get(self, project: Project, request_id: str) -> dict[str, Any]:
        """The `Explanation` of a request, as JSON values.

        Raises:
            RequestNotFound: the project has no such request, or it is no longer kept.
        """
        found = await self._state.explained(project, request_id, seconds=self._seconds) if self.enabled else None
        if found is None:
            raise RequestNotFound(request_id)
        return await asyncio.to_thread(lambda: with_candidates(orjson.loads(zlib.decompress(base64.b64decode(found)))))

    async def list(
        self, project: Project, *, offset: int = 0, limit: int = 50, only: Wanted | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """`Summary` of the project's requests, as JSON values, newest first, and how many there are.

        Args:
            only: those that are wanted; None for all.
        """
        if not self.enabled:
            return [], 0
        if only is None or only == Wanted():
            found, total = await self._state.list_explained(project, offset=offset, limit=limit, seconds=self._seconds)
            return [orjson.loads(summary) for summary in found], total
        found, _ = await self._state.list_explained(project, offset=0, limit=MOST_REQUESTS, seconds=self._seconds)
        fitting = [one for one in map(orjson.loads, found) if only.fits(one)]
        return fitting[offset : offset + limit], len(fitting)

    async def forget(self, owner: Owner) -> int:
        """Delete what is kept of an owner's requests, which hold texts of the owner's. Returns how many there were."""
        for request in [request for request in self._waiting if request.owner == owner]:
            self._waiting.remove(request)
        return await self._state.forget_explained(owner)


def _records(requests: Sequence[Request]) -> list[ExplainedRequest]:
    """The requests as they are kept. One that cannot be explained is left out."""
    records = []
    for request in requests:
        try:
            kept = keep(request)
            whole = base64.b64encode(zlib.compress(_written(kept), _COMPRESSION)).decode()
            summary = _written(kept.explanation.request).decode()
            records.append(ExplainedRequest(request.id, request.project, request.owner, summary, whole))
        except Exception:  # noqa: BLE001 - the request itself was served
            FAULTS.labels("explain").inc()
            _log.exception("Request %s is not explained", request.id)
    return records


def _written(value: Kept | Summary) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # half a surrogate pair, which clients can send
        text = json.dumps(asdict(value), ensure_ascii=False, default=_value)
        return text.encode(errors="replace")


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value.tolist()
