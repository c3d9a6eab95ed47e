"""What the console's pages show, and that texts of users are texts."""

from __future__ import annotations

import html
import re
import uuid

import httpx

from tests.support.console import Browser, addresses
from tests.support.memory import remember
from tests.support.proxy import Proxy
from tests.support.waiting import eventually


def test_every_page_shows_what_is_there_and_texts_as_texts(proxy: Proxy, browser: Browser) -> None:
    user = f'<b>&"{uuid.uuid4().hex[:8]}/?#'
    said = "<script>alert(1)</script> \u202eevil\x1b[31m My car is **red**."
    remember(proxy, user, said)
    asked = proxy.ask(user, "What colour is my car?")
    client = browser()
    [of_user] = addresses(client, f"/users?{httpx.QueryParams(name=user)}", "user")
    sessions = addresses(client, of_user, "session")
    assert len(sessions) == 2
    wanted = f"/request?id={asked.headers['x-recallr-request-id']}"
    eventually(lambda: client.get(wanted), "it is explained", until=lambda found: found.status_code == 200)
    pages = {page: client.get(page) for page in (of_user, *sessions, wanted, "/overview", "/requests", "/operations")}
    for page, answer in pages.items():
        assert answer.status_code == 200, page
        assert "<script>alert" not in answer.text
        assert "<b>&" not in answer.text
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert html.escape("<script>alert(1)</script>") in pages[sessions[1]].text
    assert "My car is **red**." in pages[wanted].text


def test_what_is_not_there_is_said_in_words(browser: Browser) -> None:
    client = browser()
    for page in ("/user?user=nobody", "/request?id=none", f"/session?user=nobody&session={'0' * 32}"):
        answer = client.get(page)
        assert answer.status_code == 404
        assert "It may have been deleted" in answer.text
    assert client.get("/users?offset=-1").status_code == 422


def test_scripts_and_styles_are_kept_by_browsers_until_they_change(browser: Browser) -> None:
    client = browser()
    used = re.findall(r'"/recallr/console(/static/[^"]+)"', client.get("/overview").text)
    assert {one.partition("?")[0] for one in used} >= {"/static/console.css", "/static/console.js"}
    for file in used:
        answer = client.get(file)
        assert answer.status_code == 200, file
        assert answer.headers["content-type"].startswith("text/")
        assert "immutable" in answer.headers["cache-control"]
        assert "set-cookie" not in answer.headers
        older = client.get(file.partition("?")[0], params={"v": "older"})
        assert older.headers["cache-control"] == "no-cache"
        again = client.get(file, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/../texts.yaml").status_code == 404
    assert client.get("/static/passwd").status_code == 404
