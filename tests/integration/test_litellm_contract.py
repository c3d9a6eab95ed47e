"""How the plugin's dependencies behave where nothing else in the tests shows it.

What LiteLLM does in a request (hooks, routes, metadata, headers) is shown by the matrix and the tests of each API:
`python -m tests.support.litellm_versions` runs them with other versions of LiteLLM.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import litellm
import pytest
from starlette.requests import Request

from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.hooks import recallr
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.litellm_host.private_apis import BRIDGES, GATEWAY
from recallr_litellm.litellm_host.rejections import rejection


def test_outside_a_proxy_the_callback_does_nothing():
    data = {"messages": [{"role": "user", "content": "hi"}]}
    assert asyncio.run(recallr.async_pre_call_hook(None, None, data, "acompletion")) is None
    assert data == {"messages": [{"role": "user", "content": "hi"}]}


def test_the_command_takes_the_options_that_serve_gives_and_reads():
    from litellm.proxy.proxy_cli import run_server  # here: seconds to import, for one process of the tests

    options = ["--config", "c.yaml", "--host", "127.0.0.1", "--host", "0.0.0.0", "--port", "8000"]
    chosen = run_server.make_context("litellm", options, resilient_parsing=True).params
    assert (chosen["config"], chosen["host"], chosen["port"]) == ("c.yaml", "0.0.0.0", 8000), "the last one counts"


@pytest.mark.parametrize("text", ["", "hello world", "日本語 🦊"])
def test_tokens_are_counted_offline(text):
    assert count_tokens(text) == litellm.token_counter(model="", text=text)
    assert count_tokens(text) >= (1 if text else 0)


def test_what_the_plugin_logs_is_json_once_litellm_has_turned_that_on():
    program = """
import litellm, logging
(getattr(litellm, "turn_on_json", None) or litellm._turn_on_json)()
from recallr_litellm.logs import show_logs
show_logs()
logging.getLogger("recallr_litellm.anything").info("from the plugin")
"""
    shown = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True)
    lines = [line for line in (shown.stdout + shown.stderr).splitlines() if "from the plugin" in line]
    assert len(lines) == 1, f"logged {len(lines)} times: {lines}"
    assert json.loads(lines[0])["message"] == "from the plugin"


def test_errors_are_written_as_they_say_themselves():
    from litellm.proxy import proxy_server

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


def test_nothing_is_switched_off_with_the_installed_litellm():
    assert [api.names[0] for api in (*GATEWAY, *BRIDGES) if api.missing] == []
