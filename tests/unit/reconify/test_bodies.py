"""Of a request body the fields of the provider's API are reported, nothing of LiteLLM's, and no secret."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaMessages
from anthropic.types.message_create_params import MessageCreateParamsBase as Messages
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as Chats
from openai.types.completion_create_params import CompletionCreateParamsBase as Completions
from openai.types.responses.response_create_params import ResponseCreateParamsBase as Responses

from recallr_litellm.reconify.bodies import FIELDS, client_body, sent_body

CHAT = "acompletion"
OWN: dict[str, Any] = {
    "litellm_call_id": "id",
    "litellm_logging_obj": object(),
    "proxy_server_request": {"headers": {}},
    "secret_fields": {"raw_headers": {}},
    "num_retries": 2,
}
WRITTEN: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "seed": 1}
DOCUMENTED = {
    "acompletion": {*Chats.__annotations__, "stream"},
    "atext_completion": {*Completions.__annotations__, "stream"},
    "aresponses": {*Responses.__annotations__, "stream"},
    # `betas` is a header; the others stand for accounts and their billing, or mean something else to LiteLLM
    "anthropic_messages": {*Messages.__annotations__, *BetaMessages.__annotations__, "stream"}
    - {"betas", "billing_policy", "diagnostics", "fallback_credit_token", "fallbacks", "thread"}
    - {"user_profile_id", "workspace_id"},
    # https://ai.google.dev/api/generate-content#request-body
    "agenerate_content": {"model", "contents", "tools", "toolConfig", "safetySettings", "systemInstruction"}
    | {"generationConfig", "cachedContent", "serviceTier", "store"},
}


@pytest.mark.parametrize("call_type", DOCUMENTED)
def test_every_field_that_the_api_documents_is_reported(call_type: str) -> None:
    written = {name: {"said": name} for name in DOCUMENTED[call_type]}
    assert sent_body({**OWN, **written}, call_type) == written


@pytest.mark.parametrize("call_type", FIELDS)
def test_nothing_else_is_reported(call_type: str) -> None:
    """However LiteLLM calls the credential that it takes from a body tomorrow."""
    secrets = dict.fromkeys(
        """
        api_key api_base extra_headers headers aws_secret_access_key aws_bedrock_token vertex_credentials azure_ad_token
        token new_litellm_secret user_config secret_fields proxy_server_request of_tomorrow
        """.split(),
        "secret",
    )
    assert sent_body({"model": "m", **secrets, "extra_body": {**secrets}}, call_type) == {"model": "m"}


@pytest.mark.parametrize(
    ("call_type", "body"),
    [
        ("aresponses", {"tools": [{"type": "mcp", "server_url": "u", "authorization": "x", "headers": {"a": "x"}}]}),
        ("anthropic_messages", {"mcp_servers": [{"type": "url", "url": "u", "authorization_token": "x"}]}),
        ("agenerate_content", {"config": {"httpOptions": {"headers": {"a": "x"}}, "topK": 3}}),
    ],
)
def test_credentials_for_other_servers_are_left_out(call_type: str, body: dict[str, Any]) -> None:
    [(name, value)] = sent_body(body, call_type).items()
    assert name in body
    assert value in ([{"type": "mcp", "server_url": "u"}], [{"type": "url", "url": "u"}], {"topK": 3})


def test_known_fields_of_the_extra_body_stand_where_the_provider_gets_them() -> None:
    assert sent_body({**WRITTEN, "extra_body": {"seed": 2, "unknown": 1}}, CHAT) == {**WRITTEN, "seed": 2}


def test_what_the_client_wrote_is_kept_with_its_own_metadata() -> None:
    bucket = {
        "mine": "x",
        "user_api_key": "k",
        "requester_metadata": {"mine": "x", "headers": {"host": "h"}, "used_client_oauth_token": False},
    }
    assert client_body({**WRITTEN, **OWN, "metadata": bucket}, CHAT) == {**WRITTEN, "metadata": {"mine": "x"}}


def test_metadata_of_litellms_alone_are_left_out() -> None:
    bucket = {"user_api_key": "k", "requester_metadata": {"headers": {}, "used_client_oauth_token": False}}
    assert client_body({**WRITTEN, **OWN, "metadata": bucket}, CHAT) == WRITTEN


def test_usage_that_litellm_asks_for_is_not_the_clients_wish_but_is_sent() -> None:
    asked = {**WRITTEN, "stream_options": {"include_usage": True}}
    data = {**asked, "_litellm_strip_stream_usage": True}
    assert client_body(data, CHAT) == WRITTEN
    assert sent_body(data, CHAT) == asked
    assert client_body(asked, CHAT) == asked
