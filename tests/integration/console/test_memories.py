"""A memory in the console: versions, corrections, conflicts."""

from __future__ import annotations

import re

from tests.support.api import call
from tests.support.console import Browser, addresses, send
from tests.support.proxy import Proxy


def test_a_memory_shows_its_versions_and_is_corrected(browser: Browser, learned: str) -> None:
    client, page = browser(), f"/memory?user={learned}&memory={'a' * 32}"
    [of_memory] = [one for one in addresses(client, f"/user?user={learned}", "memory") if "a" * 32 in one]
    shown = client.get(of_memory).text
    assert re.search(r"<del>.*Porto\.</del>\s*<ins>.*Rome\.</ins>", shown)
    assert "User&#39;s sister &lt;Ana&gt; works in Rome." in shown
    fields = {"user": learned, "memory": "a" * 32}
    edited = send(client, "/memory/edit", page, **fields, content="User lives in Trastevere, Rome.").text
    assert "User lives in Trastevere, Rome." in edited
    assert "by a person" in edited
    reverted = send(client, "/memory/revert", page, **fields, version="d" * 32)
    assert re.search(r'<p class="text lead"[^>]*>User lives in Porto\.', reverted.text)
    assert "Unpin it" in send(client, "/memory/pin", page, **fields, pinned="true").text
    assert "no longer held to be true" in send(client, "/memory/invalidate", page, **fields).text
    assert send(client, "/memory/delete", page, **fields).status_code == 200
    assert client.get(page).status_code == 404


def test_the_api_lists_what_the_page_lists(proxy: Proxy, browser: Browser, learned: str) -> None:
    expire = call(proxy, "PATCH", f"/users/{learned}/memory/{'b' * 32}", body={"invalid": True})
    assert expire.status_code == 200, expire.text
    for query, ids in {
        "state=current": {"a"},
        "state=expired": {"b"},
        "state=all": {"a", "b"},
        "state=all&search=SISTER": {"b"},
        "state=current&search=sister": set(),
    }.items():
        listed = call(proxy, "GET", f"/users/{learned}/memories?{query}").json()
        shown = addresses(browser(), f"/user?user={learned}&{query}", "memory")
        assert {one["memory_id"][0] for one in listed["items"]} == ids, query
        assert {one.rpartition("=")[2][0] for one in shown if "#" not in one} >= ids, query
        assert listed["total"] == len(ids)


def test_a_conflict_is_answered(browser: Browser, learned: str) -> None:
    client = browser()
    [page] = addresses(client, f"/user?user={learned}", "conflict")
    shown = client.get(page).text
    assert "Where do you live?" in shown
    answered = send(
        client, "/conflict/answer", page, user=learned, conflict="c" * 32, answer0="User lives in Rome."
    ).text
    assert "RESOLVED" in answered
    assert not addresses(client, f"/user?user={learned}", "conflict")
