"""What is LiteLLM's own is taken out of a request body, what the client wrote is kept, secrets never are."""

from __future__ import annotations

from typing import Any

from recallr_litellm.reconify.bodies import client_body, sent_body

OWN: dict[str, Any] = {
    "litellm_call_id": "id",
    "litellm_logging_obj": object(),
    "litellm_session_id": "s",
    "proxy_server_request": {"headers": {}},
    "secret_fields": {"raw_headers": {}},
    "_litellm_raw_sse_stream": True,
}
WRITTEN: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hi"}],
    "tags": ["a"],
    "odd": {"x": 1},
}


def test_what_the_client_wrote_is_kept_with_its_own_metadata() -> None:
    bucket = {
        "mine": "x",
        "user_api_key": "k",
        "requester_metadata": {"mine": "x", "headers": {"host": "h"}, "used_client_oauth_token": False},
    }
    assert client_body({**WRITTEN, **OWN, "metadata": bucket}) == {**WRITTEN, "metadata": {"mine": "x"}}


def test_metadata_that_litellm_leaves_alone_is_kept() -> None:
    data = {**WRITTEN, **OWN, "metadata": {"user_id": "u", "headers": "mine"}, "litellm_metadata": {"user_api_key": 1}}
    assert client_body(data) == {**WRITTEN, "metadata": {"user_id": "u", "headers": "mine"}}


def test_metadata_of_litellms_alone_are_left_out() -> None:
    bucket = {"user_api_key": "k", "requester_metadata": {"headers": {}, "used_client_oauth_token": False}}
    assert client_body({**WRITTEN, **OWN, "metadata": bucket}) == WRITTEN


def test_secrets_are_left_out() -> None:
    secrets = {
        "api_key": "sk-secret",
        "api_base": "https://secret",
        "extra_headers": {"Authorization": "secret"},
        "headers": {"x": "secret"},
        "aws_secret_access_key": "secret",
        "vertex_credentials": "secret",
        "user_config": {"model_list": [{"litellm_params": {"api_key": "secret"}}]},
    }
    assert "secret" not in repr(sent_body({**WRITTEN, **secrets}))


def test_what_the_forward_url_tells_litellm_is_left_out() -> None:
    forwarding = {"user_config": {}, "num_retries": 0, "disable_fallbacks": True, "cache": {"no-cache": True}}
    assert client_body({**WRITTEN, **forwarding, "extra_body": {"unknown": 1}}) == {**WRITTEN, "unknown": 1}
    assert client_body({**WRITTEN, "num_retries": 2}) == {**WRITTEN, "num_retries": 2}, "here the client wrote it"


def test_a_copy_is_made_that_later_changes_do_not_reach() -> None:
    data: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
    body = sent_body(data)
    data["messages"][0]["content"][0]["text"] = "changed"
    assert body == {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}


def test_usage_that_litellm_asks_for_is_not_the_clients_wish_but_is_sent() -> None:
    data = {**WRITTEN, "stream_options": {"include_usage": True}, "_litellm_strip_stream_usage": True}
    assert client_body(data) == WRITTEN
    assert sent_body(data) == {**WRITTEN, "stream_options": {"include_usage": True}}
    asked = {**WRITTEN, "stream_options": {"include_usage": True}}
    assert client_body(asked) == asked
