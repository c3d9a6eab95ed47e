"""What the owner of a gateway may add to it, besides guardrails: keys of people and teams, a logger, a count of what
is spent. Files are written into the gateway's own folder, which is where it runs.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.hooks.proxy_track_cost_callback import _ProxyDBLogger

HEARD, SPENT = "heard", "spent"
"""Names of the files."""


async def look_up(request: Any, api_key: str) -> UserAPIKeyAuth:
    """Stands in for LiteLLM's database of keys: a virtual key says of itself what would stand there; any other one may
    do all, with a rate limit.
    """
    try:
        told = json.loads(base64.urlsafe_b64decode(api_key.removeprefix("sk-")))
    except (binascii.Error, ValueError):
        return UserAPIKeyAuth(api_key=api_key, user_role="proxy_admin", tpm_limit=1_000_000)
    return UserAPIKeyAuth(api_key=api_key, **told)


def _write(name: str, line: str) -> None:
    with Path(name).open("a") as file:
        file.write(line + "\n")


class Listener(CustomLogger):  # type: ignore[misc]
    """Writes down what the logger of a gateway hears."""

    def _hear(self, what: str, kwargs: Any) -> None:
        _write(HEARD, f"{what} {kwargs.get('model')} {kwargs.get('messages')}")

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._hear("success", kwargs)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._hear("failure", kwargs)


class Ledger(_ProxyDBLogger):  # type: ignore[misc]
    """LiteLLM's spend tracking, with a file in place of its database."""

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        metadata, told = kwargs["litellm_params"]["metadata"], kwargs["standard_logging_object"]
        key, tokens = metadata.get("user_api_key"), told["total_tokens"]
        _write(SPENT, f"{kwargs['model']}|{key}|{tokens}|{told['messages']}")


listener, ledger = Listener(), Ledger()
