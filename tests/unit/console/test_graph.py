"""The graph of a user's memory: what is drawn, what of it is a list, and whose it is."""

from __future__ import annotations

import html
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.owner import Project
from recallr_litellm.gateway.runtime import Runtime
from tests.unit.console.kit import Visitor, visited

pytestmark = pytest.mark.asyncio(loop_scope="module")
AT, LATER = "2026-03-01T10:00:00Z", "2026-04-01T10:00:00Z"
HOSTILE = "</script><script>alert(1)</script>"


def memory(letter: str, content: str, *names: str, at: str = AT, **fields: Any) -> dict[str, Any]:
    entities = [{"name": name, "kind": "other"} for name in names]
    session = {"session": "5" * 32, "sources": ["m1"]}
    return {"id": letter * 32, "content": content, "created_at": at, "entities": entities, **session, **fields}


async def known(runtime: Runtime, user: str, *memories: dict[str, Any]) -> None:
    said = {"id": "5" * 32, "created_at": AT, "messages": [{"id": "m1", "role": "user", "text": "Hello."}]}
    document = {"format": "recallr-user", "version": 1, "user": {"id": user}, "sessions": [said]}

    async def parts() -> AsyncIterator[bytes]:
        yield json.dumps({**document, "memories": memories}).encode()

    await runtime.services.importer.take(Project("acme"), user, parts())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def visitor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitor]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        await known(
            runtime,
            "ana",
            memory("a", "Ana lives in Rome.", "Rome", at=LATER, connected=["b" * 32]),
            memory("b", "Max works in Rome.", "Rome", "Max"),
            memory("d", "Ana lives in Porto.", chain="a" * 32, expired_at=LATER),
        )
        await known(
            runtime,
            "hos?ile",
            memory("a", "<b>" + "long " * 100, f"{HOSTILE}\u202e\x1b"),
            memory("b", "<img src=x onerror=alert(1)>", f"{HOSTILE}\u202e\x1b", connected=["a" * 32]),
        )
        await known(runtime, "other", memory("f", "Otto likes Oslo.", "Oslo"))
        await runtime.services.users.create(Project("acme"), "new", metadata={})
        yield visitor


async def drawn(visitor: Visitor, **query: str) -> dict[str, dict[str, Any]]:
    """The nodes by their labels, each with the labels of those that it is connected with."""
    answer = await visitor.client.get("/graph/data", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    data = answer.json()
    nodes = data["nodes"]
    for node in nodes:
        node["near"] = set()
    for one, other in data["edges"]:
        nodes[one]["near"].add(nodes[other]["label"])
        nodes[other]["near"].add(nodes[one]["label"])
    return {node["label"]: node for node in nodes}


async def rows(visitor: Visitor, **query: str) -> list[str]:
    page = (await visitor.client.get("/graph/list", params=query)).text
    return page.split("<tr>")[2:]


async def test_nodes_have_kinds_and_connections_and_places(visitor: Visitor) -> None:
    nodes = await drawn(visitor, user="ana")
    assert {label: node["kind"] for label, node in nodes.items()} == {
        "Rome": "entity",
        "Max": "entity",
        "Ana lives in Rome.": "memory",
        "Max works in Rome.": "memory",
    }
    assert nodes["Rome"]["near"] == {"Ana lives in Rome.", "Max works in Rome."}
    assert nodes["Max works in Rome."]["near"] == {"Rome", "Max", "Ana lives in Rome."}
    assert len({(node["x"], node["y"]) for node in nodes.values()}) == len(nodes), "nodes stand on each other"


async def test_times_are_those_at_which_it_was_told_and_when_it_ended(visitor: Visitor) -> None:
    nodes = await drawn(visitor, user="ana", past="true")
    told, later = 1772359200000, 1775037600000
    assert {label: (node["at"], node["until"]) for label, node in nodes.items() if node["kind"] == "memory"} == {
        "Ana lives in Rome.": (later, None),
        "Max works in Rome.": (told, None),
        "Ana lives in Porto.": (told, later),
    }
    assert nodes["Ana lives in Porto."]["near"] == {"Ana lives in Rome."}, "an earlier version leads to the one now"
    assert nodes["Max"]["at"] == told


async def test_of_an_entity_only_what_is_around_it_is_drawn(visitor: Visitor) -> None:
    max_ = (await drawn(visitor, user="ana"))["Max"]["id"]
    around = await drawn(visitor, user="ana", entity=max_)
    assert set(around) == {"Max", "Rome", "Max works in Rome."}
    assert "The whole graph" in await visitor.page("/graph", user="ana", entity=max_)
    assert len(await rows(visitor, user="ana", entity=max_)) == 3


async def test_nothing_of_another_user_is_drawn(visitor: Visitor) -> None:
    rome = (await drawn(visitor, user="ana"))["Rome"]["id"]
    assert set(await drawn(visitor, user="other")) == {"Oslo", "Otto likes Oslo."}
    assert await drawn(visitor, user="other", entity=rome) == {}
    assert await drawn(visitor, user="new") == {}
    assert "Rome" not in await visitor.page("/graph/list", user="other")
    assert "Nothing was learned yet" in await visitor.page("/graph/list", user="new")
    for page in ("/graph", "/graph/data", "/graph/list"):
        await visitor.page(page, 404, user="nobody")
        await visitor.page(page, 401, user="ana", project="globex")


async def test_names_are_texts(visitor: Visitor) -> None:
    labels = set(await drawn(visitor, user="hos?ile"))
    assert HOSTILE in labels
    assert max(map(len, labels)) == 120, "a long text is cut"
    page = (await visitor.client.get("/graph/list", params={"user": "hos?ile"})).text
    assert html.escape(HOSTILE) in page
    assert f"/memory?project=acme&amp;user=hos%3File&amp;memory={'b' * 32}" in page
    for evil in ("<script>alert", "<img", "<b>", "\u202e", "\x1b"):
        assert evil not in page


async def test_the_list_has_what_is_connected_with_most_first_and_can_be_searched(visitor: Visitor) -> None:
    every = await rows(visitor, user="ana")
    assert len(every) == 4
    assert "Max works in Rome.</a></td>" in every[0]
    [found] = await rows(visitor, user="ana", find="MAX", kind="memory")
    assert f"memory={'b' * 32}" in found
    assert f"memory={'a' * 32}" in found, "what it is connected with is named"
    assert "Nothing here has this" in await visitor.page("/graph/list", user="ana", find="Max", kind="session")
