"""The playground of the console."""

from __future__ import annotations

from tests.support.api import call
from tests.support.console import Browser
from tests.support.proxy import Proxy


def test_the_playground_asks_with_two_settings_and_stores_nothing(proxy: Proxy, browser: Browser, learned: str) -> None:
    client = browser()
    before = [one["request_id"] for one in call(proxy, "GET", "/requests").json()["requests"]]
    query = {
        "user": learned,
        "question": "Where do I live?",
        "a_max_top_k": "50",
        "b_min_top_k": "0",
        "b_max_top_k": "0",
    }
    page = client.get("/playground", params=query).text
    a, b = page.split("<h2>")[1:]
    assert "User lives in Rome." in a
    assert "User lives in Rome." not in b
    assert "max_top_k" in client.get("/playground", params={**query, "a_max_top_k": "500"}).text
    assert client.get("/playground", params={**query, "user": "nobody-of-us"}).status_code == 404
    sessions = call(proxy, "GET", f"/users/{learned}/sessions").json()
    assert sessions["total"] == 1, "asking has made a session"
    after = [one["request_id"] for one in call(proxy, "GET", "/requests").json()["requests"]]
    assert after == before
