"""Posts a payload to an endpoint and judges the answer, as HTTP means it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from recallr_litellm import __version__
from recallr_litellm.printable import printable
from recallr_litellm.upstream_urls import is_loopback

LONGEST_REASON: Final = 300
"""Characters that are kept of what the endpoint says about a refused payload."""
MOST_READ: Final = 4096
"""Bytes that are read of an answer."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds. An endpoint that asks for more is asked again after an hour all the same."""


class Verdict(Enum):
    """What an answer means for the payload."""

    DELIVERED = "delivered"
    """2xx, without an error in the body."""
    RETRY = "retry"
    """No answer, one of `RETRIED`, or 5xx: the same again later."""
    REFUSED = "refused"
    """Anything else: sending it again would not help. A redirect is not followed: it could lead the keys astray."""


RETRIED: Final = frozenset({404, 408, 425, 429})
"""404 too: an endpoint that is being deployed or moved does not know its route for a while."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    verdict: Verdict
    status: int | None
    """Of the answer; None if there was none."""
    reason: str
    """What the endpoint or the network said, at most `LONGEST_REASON` characters, without the keys."""
    retry_after: float | None = None
    """Seconds that the endpoint asks to be left alone."""


class Poster:
    """An HTTP client for one endpoint. Certificates are verified; nothing is redirected or tried again.

        poster = Poster(url, timeout_seconds=10, secrets=[key])   # on the event loop that it is used on
        outcome = await poster.post(b"{}", {"Idempotency-Key": "message-1"})
        await poster.close()

    It is aiohttp, since that takes an eighth of the CPU of httpx for a request, and requests to the models need it.

    Args:
        secrets: what an answer may send back and nobody is to read.
        refuses: whether the body of a 2xx says that the payload was not accepted.
        now: seconds since the epoch, for a `Retry-After` that names a date.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        timeout_seconds: float,
        secrets: Collection[str],
        refuses: Callable[[bytes], bool] = lambda said: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._timeout = timeout_seconds
        self._secrets = secrets
        self._refuses = refuses
        self._now = now
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            proxy=_proxy_for(endpoint),
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"recallr-litellm/{__version__}",
                "Accept-Encoding": "identity",  # an answer is read up to `MOST_READ` bytes, whatever they unpack to
            },
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Post a body of JSON. Never raises for what the network or the endpoint does."""
        answer: aiohttp.ClientResponse | None = None
        said = bytearray()
        try:
            async with self._http.post(self._endpoint, data=body, headers=headers, allow_redirects=False) as answer:
                async for part in answer.content.iter_any():  # whole in the ordinary case: the connection is used again
                    said += part
                    if len(said) > MOST_READ:
                        break
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if answer is None:
                problem = "" if isinstance(error, TimeoutError) else str(error)
                reason = f"{type(error).__name__}: {problem or f'no answer within {self._timeout:g} s'}"
                return Outcome(Verdict.RETRY, None, self._clean(reason))
            # else the status has come, and with it the verdict
        return self._judge(answer.status, answer.headers.get("Retry-After"), bytes(said[:MOST_READ]))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _judge(self, status: int, asks_for: str | None, said: bytes) -> Outcome:
        reason = self._clean(said.decode(errors="replace"))
        if httpx.codes.is_success(status):
            return Outcome(Verdict.REFUSED if self._refuses(said) else Verdict.DELIVERED, status, reason)
        if status in RETRIED or httpx.codes.is_server_error(status):
            return Outcome(Verdict.RETRY, status, reason, retry_after(asks_for, now=self._now()))
        return Outcome(Verdict.REFUSED, status, reason)

    def _clean(self, text: str) -> str:
        """Short, on one line, safe to print, and without the secrets, which the endpoint may have sent back."""
        for key in self._secrets:
            for form in {key, quote(key, safe=""), json.dumps(key)[1:-1]}:
                text = text.replace(form, "[key]")
        return " ".join(printable(text).split())[:LONGEST_REASON]


def retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110, 10.2.3): seconds or a date; None where it says neither.

    Args:
        now: seconds since the epoch.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _proxy_for(endpoint: str) -> str | None:
    """The proxy that the environment names for the endpoint; none is on the way to this machine."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    proxy = None if is_loopback(host) or proxy_bypass(host) else getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
