"""The console over a worker in this process, and a browser of it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from recallr_litellm.console import serve_console
from recallr_litellm.gateway.runtime import Runtime
from tests.unit.gateway.kit import KEY, running

ADDRESS = "http://gateway/recallr/console"


class Visitor:
    """Somebody who has come in, and sends forms as the pages have them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def page(self, path: str, status: int = 200, **query: Any) -> str:
        """The text of a page, characters instead of entities. Fails the test at another status."""
        answer = await self.client.get(path, params=query or None)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
        return html.unescape(answer.text)

    async def send(self, action: str, page: str, status: int = 200, **fields: str) -> str:
        """What follows on a form of a page."""
        found = re.search(r'name="token" value="([^"]+)"', (await self.client.get(page)).text)
        assert found, f"{page} has no form"
        answer = await self.client.post(action, data={"token": found[1], "project": "acme", **fields})
        assert answer.status_code == status, f"{action}: {answer.status_code} {answer.text}"
        return html.unescape(answer.text)


async def visited(folder: Path, **settings: Any) -> AsyncIterator[tuple[Runtime, Visitor]]:
    """A worker, and a visitor of its console with the key of project `acme`."""
    async for runtime in running(folder, **settings):
        app = FastAPI()
        serve_console(app, runtime.services, runtime.in_flight)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=ADDRESS, follow_redirects=True
        ) as client:
            came = await client.post("/login", data={"project": "acme", "key": KEY})
            assert came.status_code == 200, came.text
            yield runtime, Visitor(client)
