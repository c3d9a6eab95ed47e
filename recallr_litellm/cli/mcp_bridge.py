"""Passes what comes over stdin on to the gateway's MCP server, and its answers back to stdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from recallr_litellm import __version__
from recallr_litellm.api.mcp import PATH
from recallr_litellm.errors import CommandFailed
from recallr_litellm.upstream_urls import is_loopback

_TIMEOUT = httpx2.Timeout(60, connect=5)


async def bridge(gateway: str, headers: Mapping[str, str]) -> None:
    """Serve until stdin ends.

    Raises:
        CommandFailed: the gateway cannot be reached, or refuses the key.
    """
    trusted = not is_loopback(urlsplit(gateway).hostname or "")  # no proxy is on the way to this machine
    async with httpx2.AsyncClient(headers=dict(headers), timeout=_TIMEOUT, trust_env=trusted) as http:
        url = f"{gateway}{PATH}"
        await _require(http, url)
        async with Client(streamable_http_client(url, http_client=http)) as remote:
            await _serve(remote)


async def _require(http: httpx2.AsyncClient, url: str) -> None:
    """Return if the gateway lets us in: the SDK's client would only say that something failed."""
    try:
        found = await http.post(url, json={})
    except httpx2.HTTPError as error:
        raise CommandFailed(
            f"No gateway answers at {url} ({error or type(error).__name__}). Start it (`recallr serve`), or name "
            "another with --gateway URL or RECALLR_GATEWAY"
        ) from error
    if found.status_code in (401, 403, 404, 429) or found.status_code >= 500:
        raise CommandFailed(f"{url} answered {found.status_code}: {found.text[:500]}", found.status_code)


async def _serve(remote: Client) -> None:
    async def list_tools(context: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
        return await remote.list_tools()

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        return await remote.call_tool(params.name, params.arguments or {})

    server: Server[Any] = Server(
        "recallr",
        title="Recallr memory",
        version=__version__,
        instructions=remote.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    async with stdio_server() as (received, sent):
        await server.run(received, sent, server.create_initialization_options())
