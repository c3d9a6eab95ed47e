"""A forwarded request that was let in, and how LiteLLM is told to send it to its upstream and nowhere else.

LiteLLM's client-side credentials: https://docs.litellm.ai/docs/proxy/clientside_auth
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from recallr_litellm.forward.body import PLACEHOLDER, ForwardBody
from recallr_litellm.forward.endpoints import Api, Endpoint

STAND_IN_KEY = f"recallr-forward-{secrets.token_hex(16)}"
"""What LiteLLM believes to be the provider's key. It marks the calls that are ours to direct; no client can know it."""

_PROVIDERS = {
    Api.CHAT: "openai",
    Api.COMPLETIONS: "text-completion-openai",
    Api.RESPONSES: "openai",
    Api.MESSAGES: "anthropic",
    Api.GEMINI: "gemini",
}
"""LiteLLM's names for who speaks an API."""


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """A forwarded request that has been let in: where it goes, and with what."""

    endpoint: Endpoint
    body: ForwardBody = field(repr=False)
    key_header: str
    key: SecretStr
    """The client's own, as it stood in that header."""
    headers: Mapping[str, str]
    """Those of the client's that belong to the upstream's API."""
    client: Callable[[ForwardedRequest, str], Any] = field(repr=False)
    """The HTTP client for a LiteLLM call of this type."""

    def direct(self, data: dict[str, Any]) -> None:
        """Have LiteLLM send a request there and nowhere else: one deployment, no fallback, no retry, no cache.

        Args:
            data: the request, as `async_pre_call_hook` gets it.
        """
        for name in ("api_base", "api_key", "router_settings_override", "fallbacks", "_router_weights"):
            data.pop(name, None)
        unread = self.body.unread
        if unread and self.endpoint.api is not Api.MESSAGES:  # LiteLLM has no way to pass on what is not Anthropic's
            data["extra_body"] = dict(unread)
        deployment = {
            "model_name": self.body.model,
            "litellm_params": {
                "model": f"{_PROVIDERS[self.endpoint.api]}/{PLACEHOLDER}",
                "api_base": self.endpoint.base,
                "api_key": STAND_IN_KEY,
                "max_retries": 0,
            },
            "model_info": {"id": PLACEHOLDER},
        }
        data["model"] = self.body.model
        data["user_config"] = {
            "model_list": [deployment],
            "num_retries": 0,
            "disable_cooldowns": True,
            # with none of its own a router takes over, and appends to, the gateway's
            "fallbacks": [{PLACEHOLDER: []}],
        }
        data["disable_fallbacks"] = True
        data["num_retries"] = 0
        data["cache"] = {"no-cache": True, "no-store": True}

    def arm(self, arguments: dict[str, Any], call_type: str) -> None:
        """Give LiteLLM's call of the upstream the client that holds the key. Other calls are left as they are.

        The model takes its place only here: LiteLLM keeps every name that a router has had for ever.

        Args:
            arguments: of the call, as `async_pre_call_deployment_hook` gets them.
        """
        if arguments.get("api_key") != STAND_IN_KEY:
            return
        if str(arguments.get("model", "")).endswith(f"/{PLACEHOLDER}"):
            arguments["model"] = f"{_PROVIDERS[self.endpoint.api]}/{self.body.model}"
        arguments["client"] = self.client(self, call_type)
