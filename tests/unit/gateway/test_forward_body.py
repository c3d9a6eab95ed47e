"""Bodies of forwarded requests: whatever they are, they are sorted or refused, and LiteLLM's own fields get nowhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litellm.types.utils import all_litellm_params

from recallr_litellm.errors import InvalidForwardBody
from recallr_litellm.forward.body import PLACEHOLDER, ForwardBody, parse_body
from recallr_litellm.forward.endpoints import Api, Endpoint

NAMES = st.sampled_from([*all_litellm_params, "messages", "tools", "contents", "input", "metadata", "model", "stream"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORKS: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [], "stream": True}


def parse(body: Any, api: Api = Api.CHAT) -> ForwardBody:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    model = "gemini-2.0-flash" if api is Api.GEMINI else None
    return asyncio.run(parse_body(raw, Endpoint(api, "https://api.example/v1", model)))


@settings(deadline=None)
@given(body=st.dictionaries(NAMES | st.text(max_size=8), VALUES, max_size=5) | VALUES, api=st.sampled_from(list(Api)))
def test_any_json_is_sorted_or_refused(body: Any, api: Api) -> None:
    for candidate in (body, {**body, "model": "m"} if isinstance(body, dict) else body):
        try:
            parsed = parse(candidate, api)
        except InvalidForwardBody:
            continue
        own = set(all_litellm_params) - {"id", "metadata"}
        assert not own & parsed.read.keys(), "LiteLLM would act on these"
        assert not own & parsed.unread.keys(), "LiteLLM reads what it passes on unread, too"
        assert parsed.read["model"] == PLACEHOLDER


@given(st.binary(max_size=40))
def test_any_bytes_are_sorted_or_refused(raw: bytes) -> None:
    with pytest.raises(InvalidForwardBody):  # no text this short and random is an object with a model
        parse(raw)


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES, Api.COMPLETIONS])
def test_metadata_is_the_providers_and_litellm_does_not_read_it(api: Api) -> None:
    parsed = parse({**WORKS, "input": "", "prompt": "", "metadata": {"tags": "x"}}, api)
    assert "metadata" not in parsed.read
    assert parsed.unread["metadata"] == {"tags": "x"}


def test_of_anthropics_metadata_only_the_user_is_let_through() -> None:
    body = {"model": "claude", "messages": [], "max_tokens": 9, "metadata": {"user_id": "alice"}}
    assert parse(body, Api.MESSAGES).read["metadata"] == {"user_id": "alice"}
    for metadata in ({"tags": ["x"]}, {"user_id": "a", "guardrails": []}, "x", []):
        with pytest.raises(InvalidForwardBody):
            parse({**body, "metadata": metadata}, Api.MESSAGES)


def test_a_name_that_stands_twice_is_read_once_by_all() -> None:
    parsed = parse(b'{"model": "a,b", "model": "c", "messages": []}')
    assert (parsed.model, parsed.read["model"]) == ("c", PLACEHOLDER), "what is checked is what is sent on"


@pytest.mark.parametrize(
    "url", [None, 5, [], {}, "", "https://a.example/mcp", "https://a.example/mcp/x", "//", "http://["]
)
def test_odd_mcp_tools_are_no_fault_of_ours(url: Any) -> None:
    tools = [{"type": "mcp", "server_url": url}, {"type": "mcp"}, {"type": []}, None, "mcp"]
    assert parse({**WORKS, "tools": tools}).read["tools"] == tools


def test_tools_that_litellm_would_run_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    search = {**WORKS, "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}
    assert parse(search, Api.RESPONSES).read["tools"], "the provider's own search is let through"
    monkeypatch.setattr(litellm, "vector_store_registry", object())
    with pytest.raises(InvalidForwardBody, match="vector stores"):
        parse(search, Api.RESPONSES)
    with pytest.raises(InvalidForwardBody, match="MCP"):
        parse({**WORKS, "tools": [{"type": "mcp", "server_url": "litellm_proxy"}]}, Api.RESPONSES)
