"""The graph of a user's memory: who and what it speaks of, and how it hangs together. As a picture, and as a list.

The page itself reads nothing of the memory: its script asks for what is drawn once the page is there.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Final

import orjson
from fastapi import Response

from recallr_litellm.console.drawing import NodeKind, drawing_of
from recallr_litellm.console.islands import places
from recallr_litellm.console.pages.base import PAGE, Offset, Page, PageOfProject, Rows, page_router
from recallr_litellm.console.paths import address
from recallr_litellm.core.owner import Owner
from recallr_litellm.services.graph import GraphView
from recallr_litellm.tasks import give_way

router = page_router()

MOST_MEMORIES: Final = 2_000
"""That are drawn: those told last. What they lead to comes on top."""
_NEAR: Final = 5
"""Nodes that the list names of those that one is connected with."""


@router.get("/graph")
async def graph(page: PageOfProject, user: str, entity: str = "", past: bool = False) -> Response:
    """The page of the picture: of all, or of what is around an entity."""
    await page.owner(user)
    of_data = {"project": page.of_project.id, "user": user, "past": past or None, "entity": entity}
    urls = {**_ways(page, user, "graph", past=past), "data": address("graph/data", of_data)}
    return page.show("graph.html", user=user, entity=entity, past=past, urls=urls)


@router.get("/graph/data")
async def data(page: PageOfProject, user: str, entity: str = "", past: bool = False) -> Response:
    """What the page's script draws."""
    view = await _view(page, await page.owner(user), entity, past)
    await give_way()
    packed = await asyncio.to_thread(_packed, view)
    return Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})


@router.get("/graph/list")
async def as_list(
    page: PageOfProject,
    user: str,
    entity: str = "",
    past: bool = False,
    kind: NodeKind | None = None,
    find: str = "",
    offset: Offset = 0,
) -> Response:
    """The same without a picture, what is connected with most first.

    Args:
        kind: only nodes of this kind; None for all.
        find: only those with this in their text, in any case.
    """
    view = await _view(page, await page.owner(user), entity, past)
    await give_way()
    drawing = await asyncio.to_thread(drawing_of, view)
    wanted = find.casefold()
    found = [node for node in drawing.nodes if kind in (None, node.kind) and wanted in node.label.casefold()]
    found.sort(key=lambda node: (-len(node.near), node.kind, node.label, node.id))
    return page.show(
        "graph_list.html",
        user=user,
        entity=entity,
        past=past,
        kind=kind,
        find=find,
        drawing=drawing,
        found=Rows(found[offset : offset + PAGE], len(found), offset),
        shown_near=_NEAR,
        ways=_ways(page, user, "graph/list", past=past),
    )


def _ways(page: Page, user: str, around: str, *, past: bool) -> dict[str, str]:
    """Kind of node → the address that one leads to, without its id, which comes last.

    Args:
        around: the page of what surrounds an entity.
    """
    of_user = {"project": page.of_project.id, "user": user}
    ways: dict[str, str] = {kind: f"{address(kind, of_user)}&{kind}=" for kind in ("memory", "session")}
    return {**ways, "entity": f"{address(around, {**of_user, 'past': past or None})}&entity="}


async def _view(page: Page, owner: Owner, entity: str, past: bool) -> GraphView:
    return await page.services.graph.view(owner, offset=0, limit=MOST_MEMORIES, entity=entity or None, past=past)


def _packed(view: GraphView) -> bytes:
    """The drawing as JSON, packed."""
    drawing = drawing_of(view)
    nodes = [
        {"id": node.id, "kind": node.kind, "label": node.label, "at": node.at, "until": node.until, **place._asdict()}
        for node, place in zip(drawing.nodes, places(drawing), strict=True)
    ]
    content = {"nodes": nodes, "edges": drawing.edges, "memories": drawing.memories, "total": drawing.total}
    return gzip.compress(orjson.dumps(content), 5)
