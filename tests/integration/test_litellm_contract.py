"""What of the insides of LiteLLM and httpx-sse the plugin leans on: an upgrade that breaks one fails here by name."""

from __future__ import annotations

import asyncio
import inspect

import litellm
import pytest
from fastapi import FastAPI
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy import proxy_server
from litellm.proxy._types import ProxyException

from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.gateway.rejections import rejection
from recallr_litellm.gateway.upstream import count_tokens
from recallr_litellm.hooks import RecallrHooks, recallr


def test_the_callback_is_a_custom_logger_that_defines_its_hooks_itself():
    assert isinstance(recallr, CustomLogger)
    assert "async_pre_call_hook" in vars(RecallrHooks), "LiteLLM looks hooks up in the class's own __dict__"


def test_the_pre_call_hook_is_called_with_the_arguments_we_take():
    taken = list(inspect.signature(RecallrHooks.async_pre_call_hook).parameters)
    assert taken == list(inspect.signature(CustomLogger.async_pre_call_hook).parameters)


def test_outside_a_proxy_the_callback_does_nothing():
    data = {"messages": [{"role": "user", "content": "hi"}]}
    assert asyncio.run(recallr.async_pre_call_hook(None, None, data, "acompletion")) is None
    assert data == {"messages": [{"role": "user", "content": "hi"}]}


def test_the_proxy_application_can_be_wrapped_after_its_start():
    assert isinstance(proxy_server.app, FastAPI)
    assert "middleware_stack" in vars(proxy_server.app)
    assert "self.middleware_stack" in inspect.getsource(type(proxy_server.app).__mro__[1].__call__)


def test_the_shutdown_function_is_awaited_by_its_global_name():
    assert inspect.iscoroutinefunction(proxy_server.proxy_shutdown_event)
    source = inspect.getsource(proxy_server)
    assert "await proxy_shutdown_event(" in source, "replacing the module's function would not be seen"


def test_the_proxy_holds_its_router_under_the_name_we_read():
    assert "llm_router" in vars(proxy_server)


def test_rejections_carry_status_code_and_param():
    error = rejection(InvalidHeaders({"X-Recallr-Timezone": "is wrong"}))
    assert isinstance(error, ProxyException)
    assert (error.code, error.openai_code, error.param) == ("400", "invalid_recallr_headers", "X-Recallr-Timezone")


@pytest.mark.parametrize("text", ["", "hello world", "日本語 🦊"])
def test_tokens_are_counted_offline(text):
    assert count_tokens(text) == litellm.token_counter(model="", text=text)
    assert count_tokens(text) >= (1 if text else 0)


def test_the_sse_decoders_are_where_we_import_them():
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder

    lines, events = SSELineDecoder(), SSEDecoder()
    decoded = [events.decode(line) for piece in ("data: a", "b\r", "\n\r\n") for line in lines.decode(piece)]
    assert [event.data for event in decoded if event] == ["ab"]
