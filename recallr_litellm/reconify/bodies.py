"""What of a request body is reported: the fields of the provider's API, and nothing else.

In `async_pre_call_hook` one dict holds the body that the client wrote and LiteLLM's own fields: ids, loggers, metadata
of the key, a copy of the HTTP request, credentials. Each version of LiteLLM adds some. So each API has a list of what
is reported; a field that is on none of the lists is left out, also where the client meant it for its provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as CompletionParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase as ResponsesParams

_CHAT = frozenset(ChatParams.__annotations__) | {"stream", "thinking", "top_k"}
"""The last two are LiteLLM's names for what Anthropic and Google have."""
_COMPLETIONS = frozenset(CompletionParams.__annotations__) | {"stream"}
_RESPONSES = frozenset(ResponsesParams.__annotations__) | {"stream"}
_ANTHROPIC = frozenset(
    """
    model messages system max_tokens metadata stream stop_sequences temperature top_k top_p thinking tools tool_choice
    cache_control compaction container context_management inference_geo mcp_servers output_config output_format
    service_tier speed
    """.split()
)
"""https://docs.anthropic.com/en/api/messages"""
_GEMINI = frozenset(
    """
    model contents stream config generationConfig generation_config systemInstruction system_instruction tools
    toolConfig tool_config safetySettings safety_settings cachedContent cached_content labels serviceTier service_tier
    store
    """.split()
)
"""https://ai.google.dev/api/generate-content. `config` is what LiteLLM makes of `generationConfig`."""

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "acompletion": _CHAT,
    "completion": _CHAT,
    "atext_completion": _COMPLETIONS,
    "text_completion": _COMPLETIONS,
    "aresponses": _RESPONSES,
    "responses": _RESPONSES,
    "anthropic_messages": _ANTHROPIC,
    "agenerate_content": _GEMINI,
    "agenerate_content_stream": _GEMINI,
}
"""LiteLLM's `call_type` → what is reported of such a request."""

TEXTS: Final = ("messages", "system", "prompt", "input", "instructions", "contents", "systemInstruction")
"""Fields that hold what was said. Other callbacks may change them after ours, as guardrails that mask names do."""

_SECRETS = frozenset({"authorization", "authorization_token", "headers", "httpOptions", "http_options"})
"""Fields of tools, MCP servers and Gemini's `config` that hold credentials for other servers."""
_WITH_SECRETS = ("tools", "mcp_servers", "config")

_ADDED_METADATA = frozenset({"headers", "used_client_oauth_token", "spend_logs_metadata"})
"""What LiteLLM adds to the client's metadata before it keeps them as `requester_metadata`."""
_STRIPS_USAGE = "_litellm_strip_stream_usage"
"""LiteLLM's mark that it asks the provider for the usage of a stream that the client did not ask for."""
_JSON = (str, int, float, bool, type(None))


def sent_body(data: Mapping[str, Any], call_type: str) -> dict[str, Any]:
    """The body as it goes on to the provider: a copy that later changes to `data` do not reach.

    `metadata` is what the client wrote there; without any the field is left out. Known fields in `extra_body` are where
    the provider gets them: at the top.
    """
    extra = data.get("extra_body")
    given = {**data, **extra} if isinstance(extra, dict) else data
    body = {key: _copied(given[key]) for key in given if key in FIELDS[call_type] and key != "metadata"}
    for key in _WITH_SECRETS:
        if key in body:
            body[key] = _without_secrets(body[key])
    metadata = _clients_metadata(data)
    if metadata:
        body["metadata"] = metadata
    return body


def client_body(data: Mapping[str, Any], call_type: str) -> dict[str, Any]:
    """As `sent_body`, but as the client wrote it. Only for `data` into which nothing has been injected yet."""
    body = sent_body(data, call_type)
    options = body.get("stream_options")
    if data.get(_STRIPS_USAGE) and isinstance(options, dict):
        options.pop("include_usage", None)
        if not options:
            del body["stream_options"]
    return body


def _copied(value: Any) -> Any:
    """A copy of a JSON value that shares no list or object with it; what is no JSON becomes null."""
    if isinstance(value, dict):
        return {str(key): _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value if isinstance(value, _JSON) else None


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in _SECRETS}
    return value


def _clients_metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    """LiteLLM keeps what the client wrote as `requester_metadata` in its own bucket, which for some APIs is `metadata`
    itself.
    """
    written = data.get("metadata")
    if not isinstance(written, dict):
        return {}
    if "litellm_metadata" not in data and isinstance(written.get("requester_metadata"), dict):
        written = written["requester_metadata"]
        written = {key: value for key, value in written.items() if key not in _ADDED_METADATA}
    found: dict[str, Any] = _copied(written)
    return found
