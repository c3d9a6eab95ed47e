"""Who pays for the plugin's own calls: the LiteLLM key of the request for which they are made.

LiteLLM's loggers must not get these calls, for they hold memory: each is marked `no-log`. LiteLLM then calls only
loggers whose class name contains `_PROXY_`. Its rate limits are such loggers, its spend tracking is not, so
`_PROXY_OwnCalls` hands it the calls of ours.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from recallr_litellm.litellm_host.private_apis import SPEND

CALLER: ContextVar[Any] = ContextVar("recallr_caller", default=None)
"""LiteLLM's `UserAPIKeyAuth` of the request being served; None outside of one, and by the forward URL."""

_OURS = "recallr_internal"
_FIELDS = {
    "user_api_key": "api_key",
    "user_api_key_hash": "api_key",
    "user_api_key_alias": "key_alias",
    "user_api_key_user_id": "user_id",
    "user_api_key_team_id": "team_id",
    "user_api_key_org_id": "org_id",
    "user_api_key_project_id": "project_id",
    "user_api_key_end_user_id": "end_user_id",
}
"""Name in the metadata of a call → attribute of `UserAPIKeyAuth`, where `api_key` is a hash."""


def own_call() -> dict[str, Any]:
    """Arguments that mark a call as ours, keep its texts from loggers and name who pays. New ones for each call."""
    key = CALLER.get()
    payer = {name: value for name, field in _FIELDS.items() if (value := getattr(key, field, None)) is not None}
    return {"metadata": {_OURS: True, **payer}, "no-log": True, "turn_off_message_logging": True}


class _PROXY_OwnCalls(CustomLogger):  # type: ignore[misc]  # noqa: N801 - LiteLLM looks for this in the name
    """Has LiteLLM count what our own calls cost."""

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Hand a call of ours to LiteLLM's spend tracking, if the gateway has one: it needs a database."""
        parameters = kwargs.get("litellm_params") or {}
        ours = (parameters.get("metadata") or {}).get(_OURS) and parameters.get("no-log") is True
        if not ours or litellm.global_disable_no_log_param:  # then LiteLLM calls every logger itself
            return
        for logger in (*litellm.callbacks, *litellm._async_success_callback):
            if isinstance(logger, SPEND.found):
                await logger.async_log_success_event(kwargs, response_obj, start_time, end_time)
                return


def count_own_calls() -> None:
    """Have the calls counted from now on; called once a worker."""
    if not SPEND.missing:
        litellm.callbacks.append(_PROXY_OwnCalls())
