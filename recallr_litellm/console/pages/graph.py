"""The graph of a user's memory: who and what it speaks of, and how it hangs together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Response

from recallr_litellm.console.pages.base import PageOfProject, page_router
from recallr_litellm.console.paths import address
from recallr_litellm.services.graph import GraphView

router = page_router()

MOST_MEMORIES: Final = 1_000
"""That are drawn: those told last. With what they lead to, about twice as many nodes."""
_LABEL: Final = 80
"""Characters of a memory that its node tells."""


@router.get("/graph")
async def graph(page: PageOfProject, user: str, entity: str | None = None, past: bool = False) -> Response:
    """The graph, or the part of it around an entity."""
    owner = await page.owner(user)
    view = await page.services.graph.view(owner, offset=0, limit=MOST_MEMORIES, entity=entity, past=past)
    drawn = await asyncio.to_thread(_drawing, view, page.of_project.id, user)
    return page.show("graph.html", user=user, view=view, entity=entity, past=past, drawn=drawn)


def _drawing(view: GraphView, project: str, user: str) -> dict[str, Any]:
    """The nodes with their places, and the edges by the numbers of their ends, for the page's script."""
    to = {"project": project, "user": user}
    nodes: list[dict[str, Any]] = [
        *(
            _node(one.id, "memory", one.content[:_LABEL], one.created_at, address("memory", {**to, "memory": one.id}))
            for one in view.memories
        ),
        *(
            _node(one.id, "entity", one.name[:_LABEL], one.first_seen, address("graph", {**to, "entity": one.id}))
            | {"size": len(one.memories)}
            for one in view.entities
        ),
        *(
            _node(one.id, "session", one.id[:12], one.created_at, address("session", {**to, "session": one.id}))
            for one in view.sessions
        ),
    ]
    number = {node["id"]: place for place, node in enumerate(nodes)}
    edges = [
        (number[one.source], number[one.target], one.kind.value)
        for one in view.edges
        if one.source in number and one.target in number
    ]
    for node, (x, y) in zip(nodes, places(len(nodes), [(one, other) for one, other, _ in edges]), strict=True):
        node["x"], node["y"] = round(x, 3), round(y, 3)
    return {"nodes": nodes, "edges": edges}


def _node(id: str, kind: str, label: str, at: int, url: str) -> dict[str, Any]:
    moment = datetime.fromtimestamp(at / 1000, UTC).isoformat()
    return {"id": id, "kind": kind, "label": label, "at": at, "when": moment, "url": url, "size": 1}


def places(nodes: int, edges: Sequence[tuple[int, int]]) -> Sequence[tuple[float, float]]:
    """Where nodes stand so that what hangs together is near (Fruchterman and Reingold 1991), the same each time.

    Args:
        edges: numbers of nodes, from 0.
    """
    from igraph import Graph  # only now: it takes a third of a second to import, and most pages do without it

    if not nodes:
        return []
    graph = Graph(n=nodes, edges=edges)
    start: Mapping[int, tuple[float, float]] = dict(enumerate(map(tuple, graph.layout_circle().coords)))
    layout = graph.layout_fruchterman_reingold(seed=[start[n] for n in range(nodes)], niter=200, grid="auto")
    return [(float(x), float(y)) for x, y in layout.coords]
