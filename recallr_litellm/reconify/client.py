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
from typing import Final
from urllib.parse import quote

from recallr_litellm.delivery.posting import Outcome, Poster, Verdict
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.json_text import parsed
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.reconify.wire import OPENING

MESSAGE_ID: Final = "Idempotency-Key"

_FAILED: Final = frozenset({"error", "fail", "failed", "failure"})


class ReconifyClient:
    """A client for the endpoint.

        client = ReconifyClient(settings)     # on the event loop that it is used on
        outcome = await client.send(payload, "message-1")
        await client.close()

    Args:
        settings: with all three of keys and endpoint.
        now: see `Poster`.

    Raises:
        ConfigurationError: Reconify is off.
    """

    def __init__(self, settings: ReconifySettings, *, now: Callable[[], float] = time.time) -> None:
        if settings.app_key is None or settings.api_key is None or settings.endpoint is None:
            raise ConfigurationError(
                "Reconify is off: RECONIFY_APP_KEY, RECONIFY_API_KEY and RECONIFY_ENDPOINT turn it on"
            )
        keys = {"appKey": settings.app_key.get_secret_value(), "apiKey": settings.api_key.get_secret_value()}
        self._opening = OPENING + json.dumps(keys, separators=(",", ":"))[1:-1]
        self._poster = Poster(
            settings.endpoint,
            timeout_seconds=settings.timeout_seconds,
            secrets=tuple(keys.values()),
            refuses=reports_error,
            now=now,
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
        return await self._poster.post(body, {MESSAGE_ID: quote(message_id, safe="", errors="surrogatepass")})

    async def close(self) -> None:
        """Close all connections."""
        await self._poster.close()


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
