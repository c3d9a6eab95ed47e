"""How a model of the gateway is asked: by its router, outside the request that is being served."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from litellm import ModelResponse

from recallr_litellm.errors import EmbeddingUnavailable, ModelUnavailable
from recallr_litellm.gateway.call import CURRENT, Call
from recallr_litellm.litellm_host.models import complete, embed_through_gateway
from recallr_litellm.request_headers import RawHeaders

ASKED = [{"role": "user", "content": "a secret question"}]


class Router:
    """Stands in for LiteLLM's: notes what it is asked, and under which request."""

    def __init__(self, answer: ModelResponse | Exception) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}
        self.serving: object = "not asked"

    async def acompletion(self, **asked: Any) -> ModelResponse:
        self.asked, self.serving = asked, CURRENT.get()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def response(**message: Any) -> ModelResponse:
    return ModelResponse(choices=[{"index": 0, "message": {"role": "assistant", **message}}])


def install(monkeypatch: pytest.MonkeyPatch, router: Any) -> None:
    module = ModuleType("litellm.proxy.proxy_server")
    module.llm_router = router  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", module)


async def test_no_hook_of_ours_can_take_the_call_for_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (response(content="yes"), ValueError("no")):
        router = Router(answer)
        install(monkeypatch, router)
        call = Call(RawHeaders(()))
        token = CURRENT.set(call)
        try:
            if isinstance(answer, Exception):
                with pytest.raises(ModelUnavailable):
                    await complete("m", ASKED, max_tokens=5)
            else:
                await complete("m", ASKED, max_tokens=5)
            assert router.serving is None, "hooks find the request being served, and would act on this call"
            assert CURRENT.get() is call, "afterwards the request is served on"
        finally:
            CURRENT.reset(token)


async def test_tool_calls_are_read_and_the_answer_can_be_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": "x"}]
    said = response(
        content=None, tool_calls=[call], thinking_blocks=thoughts, provider_specific_fields={"refusal": None}
    )
    install(monkeypatch, Router(said))
    answer = await complete("m", ASKED, [{"type": "function"}], max_tokens=5)
    assert [(r.id, r.name, r.arguments) for r in answer.requests] == [("c1", "look", '{"at": 1}')]
    assert answer.message["tool_calls"] == [call]
    assert answer.message["thinking_blocks"] == thoughts, "providers want to see the signatures of their thoughts again"
    assert set(answer.message) <= {"role", "content", "tool_calls", "thinking_blocks"}, "and no fields of LiteLLM's own"


@pytest.mark.parametrize(
    "router", [None, Router(ValueError("quotes a secret question")), Router(ModelResponse(choices=[]))]
)
async def test_whatever_is_wrong_is_one_error_that_quotes_nothing(
    monkeypatch: pytest.MonkeyPatch, router: Router | None
) -> None:
    install(monkeypatch, router)
    with pytest.raises(ModelUnavailable) as raised:
        await complete("m", ASKED, max_tokens=5)
    assert "secret" not in str(raised.value)
    assert raised.value.reason == "agent"
    if router is None:
        with pytest.raises(EmbeddingUnavailable):
            await embed_through_gateway("m", ["x"])


async def test_the_call_is_marked_as_ours_and_kept_from_loggers_and_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router(response(content="yes"))
    install(monkeypatch, router)
    for _ in range(2):
        await complete("m", ASKED, max_tokens=5)
        assert router.asked["metadata"] == {"recallr_internal": True}, "outside of a request nobody pays"
        router.asked["metadata"]["written by LiteLLM"] = True
        assert router.asked["no-log"] is True
        assert router.asked["turn_off_message_logging"] is True
        assert router.asked["cache"] == {"no-cache": True, "no-store": True}
        assert "tools" not in router.asked, "an empty list of tools is an error to some providers"
