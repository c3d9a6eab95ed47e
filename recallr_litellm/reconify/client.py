"""Posts payloads to Reconify and judges the answers.

The REST document (`/api` "Rest API Documentation for OpenAI" of reconify.com) says what is posted: the payload as JSON
with both keys in its `reconify` object. It says nothing about answers, so they are read as HTTP means them, and a 2xx
whose body reports an error (`reports_error`) as a refusal. The
document has no field for a message id either: it goes into the header `Idempotency-Key`
(https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/), where a repeat can be recognised.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from recallr_litellm import __version__
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.json_text import parsed
from recallr_litellm.printable import printable
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.reconify.wire import OPENING
from recallr_litellm.upstream_urls import is_loopback

LONGEST_REASON: Final = 300
"""Characters that are kept of what the endpoint says about a refused payload."""
MOST_READ: Final = 4096
"""Bytes that are read of an answer."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds. An endpoint that asks for more is asked again after an hour all the same."""

MESSAGE_ID: Final = "Idempotency-Key"


class Verdict(Enum):
    """What an answer means for the payload."""

    DELIVERED = "delivered"
    """2xx, without an error in the body."""
    RETRY = "retry"
    """No answer, one of `RETRIED`, or 5xx: the same again later."""
    REFUSED = "refused"
    """Anything else: sending it again would not help. A redirect is not followed: it could lead the keys astray."""


_FAILED: Final = frozenset({"error", "fail", "failed", "failure"})

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


class ReconifyClient:
    """An HTTP client for the endpoint. Certificates are verified; nothing is redirected or tried again.

        client = ReconifyClient(settings)     # on the event loop that it is used on
        outcome = await client.send(payload, "message-1")
        await client.close()

    It is aiohttp, since that takes an eighth of the CPU of httpx for a request, and requests to the models need it.

    Args:
        settings: with all three of keys and endpoint.
        now: seconds since the epoch, for a `Retry-After` that names a date.

    Raises:
        ConfigurationError: Reconify is off.
    """

    def __init__(self, settings: ReconifySettings, *, now: Callable[[], float] = time.time) -> None:
        if settings.app_key is None or settings.api_key is None or settings.endpoint is None:
            raise ConfigurationError(
                "Reconify is off: RECONIFY_APP_KEY, RECONIFY_API_KEY and RECONIFY_ENDPOINT turn it on"
            )
        self._keys = {"appKey": settings.app_key.get_secret_value(), "apiKey": settings.api_key.get_secret_value()}
        self._opening = OPENING + json.dumps(self._keys, separators=(",", ":"))[1:-1]
        self._endpoint = settings.endpoint
        self._timeout = settings.timeout_seconds
        self._now = now
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
            proxy=_proxy_for(settings.endpoint),
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"recallr-litellm/{__version__}",
                "Accept-Encoding": "identity",  # an answer is read up to `MOST_READ` bytes, whatever they unpack to
            },
        )

    async def send(self, payload: str, message_id: str) -> Outcome:
        """Post a payload, to which the keys are added here. Never raises for what the network or the endpoint does.

        Args:
            payload: JSON as `wire.encoded` makes it; anything else is refused here.
        """
        if not payload.startswith(OPENING):
            return Outcome(Verdict.REFUSED, None, "not sent: what was queued is no payload")
        rest = payload[len(OPENING) :]
        body = f"{self._opening}{'' if rest.startswith('}') else ','}{rest}".encode()
        # Only what a header may hold, and the same for the same id.
        headers = {MESSAGE_ID: quote(message_id, safe="", errors="surrogatepass")}
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
            return Outcome(Verdict.REFUSED if reports_error(said) else Verdict.DELIVERED, status, reason)
        if status in RETRIED or httpx.codes.is_server_error(status):
            return Outcome(Verdict.RETRY, status, reason, retry_after(asks_for, now=self._now()))
        return Outcome(Verdict.REFUSED, status, reason)

    def _clean(self, text: str) -> str:
        """Short, on one line, safe to print, and without the keys, which the endpoint may have sent back."""
        for key in self._keys.values():
            for form in {key, quote(key, safe=""), json.dumps(key)[1:-1]}:
                text = text.replace(form, "[key]")
        return " ".join(printable(text).split())[:LONGEST_REASON]


def reports_error(said: bytes) -> bool:
    """Whether the body of a 2xx is JSON that says that the payload was not accepted.

    An object does by `"success": false` or `"ok": false`, by an `error` or `errors` that is neither empty nor false, or
    by a `status`, `code` or `result` of `error`, `fail`, `failed`, `failure` or 400 to 599; names in any case. A list
    of such objects does, and so does an object that holds one.
    """
    try:
        body = parsed(said.decode())
    except (ValueError, RecursionError):
        return False
    if isinstance(body, dict):
        listed = [item for value in body.values() if isinstance(value, list) for item in value]
        return any(map(_is_error, [body, *listed]))
    return isinstance(body, list) and any(map(_is_error, body))


def _is_error(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    fields = {name.lower(): value for name, value in item.items()}
    outcomes = [fields.get(name) for name in ("status", "statuscode", "status_code", "code", "result")]
    return (
        any(str(fields.get(name)).lower() in {"false", "0"} for name in ("success", "ok"))
        or bool(fields.get("error") or fields.get("errors"))
        or any(
            outcome.lower() in _FAILED
            if isinstance(outcome, str)
            else isinstance(outcome, int) and 400 <= outcome < 600
            for outcome in outcomes
        )
    )


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
