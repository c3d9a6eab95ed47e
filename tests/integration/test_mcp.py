"""MCP: the memory of one user as tools, over HTTP and over stdio, as the official SDK's client uses them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from tests.support.command import COMMAND, OFFLINE
from tests.support.memory import Memory, remember
from tests.support.proxy import API_KEY, OTHER_API_KEY, OTHER_PROJECT, PROJECT, Proxy

Connect = Callable[..., AbstractAsyncContextManager[Client]]


over_stdio_too = pytest.mark.parametrize("connect", ["http", "http of 2025", "stdio"], indirect=True)
"""Over stdio a process passes all on that is said over HTTP: for the tests that show that it does."""


@pytest.fixture(params=["http", "http of 2025"])
def connect(request: pytest.FixtureRequest, proxy: Proxy) -> Connect:
    """Connects the SDK's client to the memory of a user, with these Recallr headers."""
    return {"http": _http, "http of 2025": _legacy_http, "stdio": _stdio}[request.param](proxy)


def _http(proxy: Proxy, mode: str = "auto") -> Connect:
    @asynccontextmanager
    async def connect(user: str | None, **options: object) -> AsyncIterator[Client]:
        headers = proxy.headers(user, **options)
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60.0) as http:
            transport = streamable_http_client(f"{proxy.url}/recallr/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client

    return connect


def _legacy_http(proxy: Proxy) -> Connect:
    return _http(proxy, "legacy")


def _stdio(proxy: Proxy) -> Connect:
    @asynccontextmanager
    async def connect(user: str | None, **options: object) -> AsyncIterator[Client]:
        environment = {
            **OFFLINE,
            "RECALLR_GATEWAY": proxy.url,
            "RECALLR_PROJECT_ID": str(options.get("project_id", PROJECT)),
            "RECALLR_API_KEY": str(options.get("api_key", API_KEY)),
            "RECALLR_USER_ID": user or "",
        }
        create = ["--create"] if options.get("allow_new_user_creation", True) else []
        command = StdioServerParameters(command=sys.executable, args=[*COMMAND[1:], "mcp", *create], env=environment)
        async with Client(command) as client:
            yield client

    return connect


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


@over_stdio_too
async def test_a_model_finds_what_was_said_in_a_chat(connect: Connect, proxy: Proxy, user: str) -> None:
    await asyncio.to_thread(remember, proxy, user, "My cat is called Felix.")
    async with connect(user) as client:
        result = await client.call_tool("search_memory", {"query": "What is my cat called?", "limit": 5})
        context = await client.call_tool("get_context", {"question": "What is my cat called?"})
    assert not result.is_error
    assert result.structured_content is not None
    said = [one for one in result.structured_content["results"] if one["kind"] == "message"]
    assert context.structured_content is not None
    assert "Felix" in context.structured_content["context"]
    assert context.structured_content["session_ids"] == [said[0]["session_id"]]
    assert any("Felix" in one["text"] and one["said_by"] == "user" for one in said), result


async def test_what_a_model_adds_can_be_found(connect: Connect, proxy: Proxy, user: str) -> None:
    async with connect(user) as client:
        added = await client.call_tool("add_memory", {"text": "My dog is called Rex."})
        assert added.structured_content is not None, added
        await asyncio.to_thread(Memory(proxy).wait_processed, user, added.structured_content["session_id"])
        found = await client.call_tool("search_memory", {"query": "What is my dog called?"})
    assert "Rex" in text_of(found)


async def test_what_is_listed_can_be_deleted(connect: Connect, proxy: Proxy, user: str) -> None:
    session_id = await asyncio.to_thread(remember, proxy, user, "My cat is called Felix.")
    async with connect(user) as client:
        listed = await client.call_tool("list_memories", {"kind": "conversations"})
        assert listed.structured_content is not None, listed
        [item] = listed.structured_content["items"]
        assert (item["session_id"], "Felix" in item["text"]) == (session_id, True)
        deleted = await client.call_tool("delete_memory", {"session_id": session_id})
        assert deleted.structured_content == {"messages": 2, "facts": 0}
        again = await client.call_tool("delete_memory", {"session_id": session_id})
        assert again.is_error
        assert session_id in text_of(again)
        assert "Felix" not in text_of(await client.call_tool("search_memory", {"query": "What is my cat called?"}))
        facts = await client.call_tool("list_memories", {})
        assert facts.structured_content == {"items": [], "total": 0, "has_more": False}
        neither = await client.call_tool("delete_memory", {"memory_id": "f" * 32, "session_id": session_id})
        assert "either memory_id or session_id" in text_of(neither)
        unknown = await client.call_tool("delete_memory", {"memory_id": "f" * 32})
        assert unknown.is_error


@over_stdio_too
async def test_the_tools_say_what_they_do(connect: Connect, user: str) -> None:
    async with connect(user) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert client.instructions
    assert set(tools) == {"search_memory", "get_context", "add_memory", "list_memories", "delete_memory"}
    for tool in tools.values():
        assert tool.title
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.open_world_hint is False
    writing = {name for name, tool in tools.items() if tool.annotations and not tool.annotations.read_only_hint}
    assert writing == {"add_memory", "delete_memory"}
    assert tools["add_memory"].annotations.destructive_hint is False
    assert tools["delete_memory"].annotations.destructive_hint


@over_stdio_too
async def test_a_call_that_fails_tells_the_model_why(connect: Connect, user: str) -> None:
    async with connect(user, allow_new_user_creation=False) as client:
        unknown = await client.call_tool("search_memory", {"query": "cat"})
        assert unknown.is_error
        assert user in text_of(unknown)
    async with connect(user) as client:
        wrong = await client.call_tool("search_memory", {"query": "cat", "limit": 0})
        assert wrong.is_error
        assert "limit" in text_of(wrong)
        with pytest.raises(MCPError, match="no_such_tool"):
            await client.call_tool("no_such_tool", {})


async def test_each_user_and_project_has_its_own_memory(connect: Connect, proxy: Proxy, user: str) -> None:
    await asyncio.to_thread(remember, proxy, user, "My cat is called Felix.")
    others: list[dict[str, Any]] = [
        {"user": f"{user}-2"},
        {"user": user, "project_id": OTHER_PROJECT, "api_key": OTHER_API_KEY},
    ]
    for other in others:
        async with connect(other.pop("user"), **other) as client:
            result = await client.call_tool("search_memory", {"query": "What is my cat called?"})
            assert "Felix" not in text_of(result)


@pytest.mark.parametrize("key", [None, "rai_of-nobody", OTHER_API_KEY, "the master key"])
def test_no_other_key_opens_it(proxy: Proxy, user: str, key: str | None) -> None:
    headers = proxy.headers(user, api_key=proxy.master_key if key == "the master key" else key)
    headers["Authorization"] = f"Bearer {proxy.master_key}"
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    refused = httpx.post(f"{proxy.url}/recallr/mcp", headers=headers, json=call, trust_env=False, timeout=60.0)
    assert (refused.status_code, list(refused.json())) == (401, ["detail"])
    assert httpx.get(f"{proxy.url}/recallr/mcp", headers=headers, trust_env=False, timeout=60.0).status_code == 405
