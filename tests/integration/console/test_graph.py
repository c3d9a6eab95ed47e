"""The graph of a user's memory, in the console."""

from __future__ import annotations

import html
import json
import re

from tests.support.console import Browser, addresses


def test_the_graph_draws_what_hangs_together(browser: Browser, learned: str) -> None:
    client = browser()
    [page] = [one for one in addresses(client, f"/user?user={learned}", "graph") if "entity" not in one]
    found = re.search(r'data-urls="([^"]+)"', client.get(page).text)
    assert found is not None
    urls = json.loads(html.unescape(found[1]))
    drawn = client.get(urls["data"].removeprefix("/recallr/console")).json()
    kinds = {node["label"]: node["kind"] for node in drawn["nodes"]}
    [session] = [label for label, kind in kinds.items() if kind == "session"]
    assert kinds == {
        "User lives in Rome.": "memory",
        "User's sister <Ana> works in Rome.": "memory",
        "Rome": "entity",
        session: "session",
    }
    names = [node["label"] for node in drawn["nodes"]]
    edges = {frozenset((names[a], names[b])) for a, b in drawn["edges"]}
    assert frozenset(("User lives in Rome.", "User's sister <Ana> works in Rome.")) in edges
    assert frozenset(("Rome", "User lives in Rome.")) in edges
    assert frozenset((session, "User lives in Rome.")) in edges
    for node in drawn["nodes"]:
        shown = client.get(urls[node["kind"]].removeprefix("/recallr/console") + node["id"])
        assert shown.status_code == 200, f"no way leads to {node}"
