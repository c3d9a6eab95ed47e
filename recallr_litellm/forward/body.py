"""What of a forwarded request's body LiteLLM gets to read.

LiteLLM reads its own settings from the body, some of them before any hook runs. A client that is let in on the
gateway's own key must not reach them: fields that belong to the provider's API stay where they are, fields that
nobody knows go to the provider unread (`extra_body`), and fields that LiteLLM would act on are refused by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import litellm
from litellm.proxy.auth.auth_utils import _BANNED_REQUEST_BODY_PARAMS
from litellm.responses.mcp.litellm_proxy_mcp_handler import LiteLLM_Proxy_MCP_Handler
from litellm.types.llms.anthropic import AnthropicMessagesRequestOptionalParams
from litellm.types.llms.openai import ResponsesAPIOptionalRequestParams
from litellm.types.router import GenericLiteLLMParams
from litellm.types.utils import all_litellm_params
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as CompletionParams

from recallr_litellm.errors import InvalidForwardBody
from recallr_litellm.forward.endpoints import Api, Endpoint

PLACEHOLDER = "recallr-forward"
"""Stands for the model until the upstream is set, so that no model of the gateway's is taken for it."""

_READ: dict[Api, frozenset[str]] = {
    Api.CHAT: frozenset(ChatParams.__annotations__) | {"stream"},
    Api.COMPLETIONS: frozenset(CompletionParams.__annotations__) | {"stream"},
    Api.RESPONSES: frozenset(ResponsesAPIOptionalRequestParams.__annotations__) | {"model", "input"},
    Api.MESSAGES: frozenset(AnthropicMessagesRequestOptionalParams.__annotations__) | {"model", "messages"},
    Api.GEMINI: frozenset({"contents", "systemInstruction", "system_instruction", "tools", "generationConfig"}),
}
"""Fields of each API that LiteLLM is to read; it leaves out or changes others."""

_LITELLMS = frozenset((*all_litellm_params, *_BANNED_REQUEST_BODY_PARAMS, *GenericLiteLLMParams.model_fields)) | {
    "allowed_fails",
    "api_type",
    "base_url",
    "config",
    "deployment_id",
    "disable_fallbacks",
    "dynamic_timeout",
    "extra_body",
    "extra_headers",
    "extra_query",
    "guardrail_config",
    "include_fallback_errors",
    "litellm_params",
    "no-cache",
    "no-store",
    "policies",
    "passthrough_on_no_deployment",
    "router_settings_override",
    "specific_deployment",
    "timeout",
    "user_config",
    "vector_store_ids",
}  # fmt: skip
_LITELLMS_PREFIXES = ("_", "litellm", "mock_", "user_api_key", "additional_drop_", "aws_", "azure_", "vertex_")
_LITELLMS_SUFFIXES = ("_fallbacks", "_cost_per_token")

_PROVIDERS = frozenset({"metadata", "id"})
"""Of those, fields that are a provider's own too: they are sent on unread."""

_MODEL = re.compile(r"(?!.*//)[A-Za-z0-9._:/@+~-]{1,256}")
"""Names of models. LiteLLM makes several of a name with a comma, and a pattern of one with an asterisk."""


@dataclass(frozen=True, slots=True)
class ForwardBody:
    """A body made ready."""

    read: dict[str, Any]
    """For LiteLLM; the model is `PLACEHOLDER`."""
    model: str
    """As the client sent it."""
    unread: dict[str, Any] = field(default_factory=dict)
    """For the provider only."""


async def parse_body(raw: bytes, endpoint: Endpoint) -> ForwardBody:
    """Read a body and sort its fields.

    Raises:
        InvalidForwardBody: it is not a JSON object, has no usable model, or speaks to LiteLLM.
    """
    body = _object(raw)
    model = endpoint.model if endpoint.api is Api.GEMINI else body.get("model")
    if not isinstance(model, str) or not _MODEL.fullmatch(model):
        raise InvalidForwardBody("`model` must be the name of a model of the upstream", param="model")
    read = {name: value for name, value in body.items() if name in _READ[endpoint.api]}
    others = {name: value for name, value in body.items() if name not in read and name != "model"}
    _refuse(sorted(name for name in others if _is_litellms(name)))
    if endpoint.api is Api.MESSAGES:
        metadata = read.get("metadata")
        if metadata is not None and not (isinstance(metadata, dict) and metadata.keys() <= {"user_id"}):
            raise InvalidForwardBody("`metadata` may hold `user_id` only", param="metadata")
    elif "metadata" in read:
        others["metadata"] = read.pop("metadata")  # LiteLLM takes it for settings of its own
    await _check_tools(read.get("tools"))
    read["model"] = PLACEHOLDER
    return ForwardBody(read, model, others)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
        json.dumps(body, allow_nan=False)  # numbers that JSON has none of, and what is too deep to be written again
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidForwardBody("the body must be a JSON object")
    return body


def _is_litellms(name: str) -> bool:
    if name in _PROVIDERS:
        return False
    return name in _LITELLMS or name.startswith(_LITELLMS_PREFIXES) or name.endswith(_LITELLMS_SUFFIXES)


def _refuse(names: list[str]) -> None:
    if names:
        raise InvalidForwardBody(
            f"not part of the upstream's API, and not to be set through a forward URL: {', '.join(names)}",
            param=names[0] if len(names) == 1 else None,
        )


async def _check_tools(tools: Any) -> None:
    """Refuse tools that LiteLLM would run itself: MCP servers and vector stores of the gateway."""
    if not isinstance(tools, list):
        return
    objects = [tool for tool in tools if isinstance(tool, dict)]
    named = any(str(tool.get("server_url", "")).strip().lower().startswith("litellm_proxy") for tool in objects)
    remote = [tool for tool in objects if tool.get("type") == "mcp"]
    if named or (remote and any(await LiteLLM_Proxy_MCP_Handler.routes_through_gateway(remote))):
        raise InvalidForwardBody("`tools` must not name MCP servers of the gateway", param="tools")
    if litellm.vector_store_registry is not None and any(tool.get("type") == "file_search" for tool in objects):
        raise InvalidForwardBody("`tools` must not use `file_search`: this gateway has vector stores", param="tools")
