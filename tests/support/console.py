"""A browser's visits to the console: forms and links of its pages."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import httpx

from recallr_litellm.console.paths import address
from tests.support.chromium import Chromium
from tests.support.proxy import PROJECT, Proxy

Browser = Callable[..., httpx.Client]
"""Opens a client that has come in; see the fixture `browser`."""


def token(client: httpx.Client, page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get(page).text)
    assert found, f"{page} has no form"
    return found[1]


def addresses(client: httpx.Client, page: str, name: str) -> list[str]:
    """The links of a page to the page of this name, as they can be sent to a colleague."""
    found = re.findall(rf'href="/recallr/console(/{name}\?[^"]+)"', client.get(page).text)
    return [html.unescape(one) for one in found]


def send(client: httpx.Client, action: str, page: str, **fields: str) -> httpx.Response:
    """Send a form as the page has it."""
    return client.post(action, data={"token": token(client, page), "project": PROJECT, **fields})


def come_in(chromium: Chromium, proxy: Proxy, project: str, key: str) -> None:
    """Log in with a key, in a real browser; with the project "" and the master key, to all projects."""
    chromium.driver.delete_all_cookies()
    chromium.open(f"{proxy.url}{address('login')}")
    chromium.fill("project", project)
    chromium.fill("key", key)
    chromium.press("Log in")
