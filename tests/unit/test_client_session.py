"""LiteLLM's session id is taken for the name of a chat only where the client put it into the body."""

from __future__ import annotations

from typing import Any

import pytest

from recallr_litellm.litellm_host.tracing import client_session

TRACE = "0af7651916cd43dd8448eb211c80319c"


def body(headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    return {"proxy_server_request": {"headers": headers}, **fields}


@pytest.mark.parametrize(
    "given",
    [
        body({}, litellm_session_id="a"),
        body({"content-length": "7a"}, metadata={"session_id": "a"}),
        body({}, metadata={"litellm_session_id": "a", "headers": {}}),
        body({}, litellm_metadata={}, metadata={"session_id": "a"}),
        {"litellm_session_id": "a"},
    ],
)
def test_the_clients_own(given: dict[str, Any]) -> None:
    assert client_session(given) == "a"


@pytest.mark.parametrize(
    "given",
    [
        body({"x-litellm-trace-id": TRACE}, litellm_session_id=TRACE, metadata={"session_id": TRACE}),
        body({"x-parent-session-id": "parent-1"}, litellm_session_id="parent-1", metadata={"session_id": "parent-1"}),
        body({"baggage": "a=b,session.id=s1"}, litellm_session_id="s1", metadata={"session_id": "s1"}),
        body({}, litellm_session_id="made-up", metadata={"session_id": "x", "litellm_session_id_generated": True}),
        body({}, metadata={"trace_id": TRACE}, session_id="a free field"),
        body({}, litellm_session_id=7, metadata="none"),
        {},
    ],
)
def test_not_what_litellm_read_elsewhere_or_made_up(given: dict[str, Any]) -> None:
    assert client_session(given) is None
