"""Serves MCP by streamable HTTP. Nothing is kept between two requests, so any worker can answer each."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.responses import JSONResponse, Response

from recallr_litellm.api.mcp import PATH
from recallr_litellm.api.rest.access import admitted_project
from recallr_litellm.api.rest.errors import answer
from recallr_litellm.errors import RecallrError
from recallr_litellm.gateway.asgi import App, Event, Receive, Send, path_of
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.services import Services

_MOST_BYTES: Final = 1 << 40
"""More than any project may send: each has a limit of its own."""


class McpEndpoint:
    """Outermost: LiteLLM serves MCP servers of its own at `/{name}/mcp`.

    Args:
        app: the application, which serves everything else.
        server: has the tools.
    """

    def __init__(self, app: App, server: Server[Any], services: Services) -> None:
        self._app = app
        self._services = services
        # The `Host` header is not looked at: every request has a key, which no page of a stranger knows.
        self._sessions = StreamableHTTPSessionManager(
            server, stateless=True, json_response=True, max_request_body_size=_MOST_BYTES
        )

    async def run(self) -> None:
        """Serve until cancelled. Called once."""
        async with self._sessions.run():
            await asyncio.Event().wait()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one request; all that are not for MCP pass through untouched."""
        if scope["type"] != "http" or path_of(scope).rstrip("/") != PATH:
            await self._app(scope, receive, send)
            return
        if scope["method"] != "POST":  # there is no stream to listen to, and no session to end
            await JSONResponse({"detail": "POST only"}, 405, {"Allow": "POST"})(scope, receive, send)
            return
        headers, _ = RawHeaders.take(scope["headers"])
        refusal: Response
        try:
            project = await admitted_project(headers, self._services)
        except RecallrError as error:
            refusal = answer(error)
            await refusal(scope, receive, send)
            return
        most_bytes = self._services.limits.max_body_bytes(project) or _MOST_BYTES
        await RequestBodyLimitMiddleware(self._sessions.handle_request, most_bytes)(scope, receive, send)
