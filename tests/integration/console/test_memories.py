"""A memory in the console: versions, corrections, conflicts."""

from __future__ import annotations

import re

from tests.support.console import Browser, addresses, send


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
