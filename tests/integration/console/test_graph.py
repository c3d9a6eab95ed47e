"""The graph of a user's memory, in the console."""

from __future__ import annotations

import html
import json
import re

from tests.support.console import Browser, addresses


def test_the_graph_draws_what_hangs_together(browser: Browser, learned: str) -> None:
    client = browser()
    [page] = addresses(client, f"/user?user={learned}", "graph")
    answer = client.get(page)
    found = re.search(r'data-graph="([^"]+)"', answer.text)
    assert found is not None
    drawn = json.loads(html.unescape(found[1]))
    kinds = {node["label"]: node["kind"] for node in drawn["nodes"]}
    assert kinds == {
        "User lives in Rome.": "memory",
        "User's sister <Ana> works in Rome.": "memory",
        "Rome": "entity",
        "5" * 12: "session",
    }
    names = [node["label"] for node in drawn["nodes"]]
    edges = {(*sorted((names[a], names[b])), kind) for a, b, kind in drawn["edges"]}
    assert ("User lives in Rome.", "User's sister <Ana> works in Rome.", "connected") in edges
    assert ("Rome", "User lives in Rome.", "speaks_of") in edges
    places = {(node["x"], node["y"]) for node in drawn["nodes"]}
    assert len(places) == 4, "nodes lie on each other"
    assert "User lives in Porto." not in answer.text
    assert "User lives in Porto." in client.get(f"{page}&past=true").text
    rome = next(node["url"] for node in drawn["nodes"] if node["kind"] == "entity")
    assert "The whole graph" in client.get(rome.removeprefix("/recallr/console")).text
