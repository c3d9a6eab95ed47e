"""What a request body holds without what LiteLLM puts into it for itself.

In `async_pre_call_hook` one dict holds the body that the client wrote and LiteLLM's own: ids, loggers, metadata of the
key, a copy of the HTTP request. Seen in LiteLLM 1.106 (`litellm/proxy/litellm_pre_call_utils.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LITELLMS = frozenset(
    """
    proxy_server_request secret_fields litellm_metadata user_config shared_session ttl user_api_key_dict
    standard_logging_object api_base base_url api_version organization allowed_model_region
    """.split()
)
_SECRETS = frozenset(
    """
    api_key headers extra_headers provider_specific_header aws_access_key_id aws_secret_access_key aws_session_token
    aws_web_identity_token vertex_credentials azure_ad_token client_secret azure_password azure_username password token
    authorization extra_query
    """.split()
)
"""Credentials that LiteLLM takes from a body, and headers, which may carry some."""
_PREFIXES = ("litellm_", "_litellm_", "user_api_key", "langfuse_", "langsmith_")
_FORWARDING = frozenset({"num_retries", "disable_fallbacks", "cache"})
"""What the forward URL tells LiteLLM, beside `user_config`."""
_ADDED_METADATA = frozenset({"headers", "used_client_oauth_token", "spend_logs_metadata"})
"""What LiteLLM adds to the client's metadata before it keeps them as `requester_metadata`."""
_STRIPS_USAGE = "_litellm_strip_stream_usage"
"""LiteLLM's mark that it asks the provider for the usage of a stream that the client did not ask for."""
_JSON = (str, int, float, bool, type(None))


def sent_body(data: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it goes on to the provider: a copy that later changes to `data` do not reach.

    Secrets are left out. `metadata` is what the client wrote there; without any the field is left out. What stands in
    `extra_body` is where the provider gets it: at the top.
    """
    left_out = _LITELLMS | _SECRETS | (_FORWARDING if "user_config" in data else frozenset())
    extra = data.get("extra_body")
    body = {
        key: copied(value)
        for key, value in {**data, **(extra if isinstance(extra, dict) else {})}.items()
        if key not in left_out and not key.startswith(_PREFIXES) and key not in ("metadata", "extra_body")
    }
    metadata = _clients_metadata(data)
    if metadata:
        body["metadata"] = metadata
    return body


def client_body(data: Mapping[str, Any]) -> dict[str, Any]:
    """As `sent_body`, but as the client wrote it. Only for `data` into which nothing has been injected yet."""
    body = sent_body(data)
    options = body.get("stream_options")
    if data.get(_STRIPS_USAGE) and isinstance(options, dict):
        options.pop("include_usage", None)
        if not options:
            del body["stream_options"]
    return body


def copied(value: Any) -> Any:
    """A copy of a JSON value that shares no list or object with it; what is no JSON becomes null."""
    if isinstance(value, dict):
        return {str(key): copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value if isinstance(value, _JSON) else None


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
    found: dict[str, Any] = copied(written)
    return found
