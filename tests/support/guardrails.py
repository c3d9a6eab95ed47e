"""Guardrails of a gateway, each with a word that it refuses, and one that seals answers, for the `guardrails` and
`callbacks` of a config.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import HTTPException
from litellm.exceptions import GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.integrations.custom_logger import CustomLogger


def says(data: dict[str, Any], word: str) -> bool:
    """Whether the model would read the word in a request."""
    return any(word in str(data.get(part)) for part in ("messages", "input", "prompt", "contents", "system"))


class BeforeTheCall(CustomGuardrail):  # type: ignore[misc]
    """Runs before the model is called."""

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> Any:
        """Refuses `swordfish` with a status, `herring` by answering itself; for `haddock` its own service is away."""
        if says(data, "swordfish"):
            raise HTTPException(400, {"error": "swordfish is refused"})
        if says(data, "herring"):
            self.raise_passthrough_exception("I do not speak of herring.", data)
        if says(data, "haddock"):
            raise HTTPException(503, {"error": "the guardrail's service is away"})
        return data


class BesideTheCall(CustomGuardrail):  # type: ignore[misc]
    """Runs while the model is called."""

    async def async_moderation_hook(self, data: dict[str, Any], user_api_key_dict: Any, call_type: str) -> None:
        """Refuses `mackerel`, with an exception that has no status."""
        if says(data, "mackerel"):
            raise GuardrailRaisedException(guardrail_name=self.guardrail_name, message="mackerel is refused")


class Callback(CustomLogger):  # type: ignore[misc]
    """No guardrail, but a callback that refuses, and seals."""

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> Any:
        """Refuses `trout` by returning the reason; of `limit` it says that there were too many requests."""
        if says(data, "limit"):
            raise HTTPException(429, {"error": "too many requests"})
        return "trout is refused" if says(data, "trout") else data

    async def async_post_call_success_hook(self, data: dict[str, Any], user_api_key_dict: Any, response: Any) -> Any:
        """Brings answers about a secret into a shape that no API has."""
        return {"sealed": "9f8e"} if says(data, "A secret?") else response

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """The same of streams."""
        async for chunk in response:
            yield "9f8e" if says(request_data, "A secret?") else chunk


callback = Callback()

CONFIG: dict[str, Any] = {
    "guardrails": [
        {
            "guardrail_name": kind.__name__,
            "litellm_params": {"guardrail": f"{__name__}.{kind.__name__}", "mode": mode, "default_on": True},
        }
        for kind, mode in ((BeforeTheCall, "pre_call"), (BesideTheCall, "during_call"))
    ]
}
