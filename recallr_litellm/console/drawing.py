"""The graph of a user's memory as it is drawn: nodes, and edges by the numbers of their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from recallr_litellm.printable import printable
from recallr_litellm.services.graph import GraphView

_LABEL: Final = 120
"""Characters of a text that its node tells."""


class NodeKind(StrEnum):
    """What a node is."""

    ENTITY = "entity"
    MEMORY = "memory"
    SESSION = "session"


@dataclass(slots=True)
class Node:
    """A node of the graph. Times are milliseconds since the epoch, UTC."""

    id: str
    kind: NodeKind
    label: str
    at: int
    until: int | None = None
    """From when on it is no longer true."""
    near: list[int] = field(default_factory=list)
    """Numbers of the nodes that it is connected with."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn of a user's memory. Nodes are known by their number."""

    nodes: Sequence[Node]
    """Entities first, those that most memories speak of before others."""
    edges: Sequence[tuple[int, int]]
    memories: int
    """That are among the nodes."""
    total: int
    """Memories that there are."""


def drawing_of(view: GraphView) -> Drawing:
    """The nodes and edges of a part of the graph."""
    nodes = [
        *(Node(one.id, NodeKind.ENTITY, _label(one.name), one.first_seen) for one in view.entities),
        *(Node(one.id, NodeKind.MEMORY, _label(one.content), one.created_at, one.expired_at) for one in view.memories),
        *(Node(one.id, NodeKind.SESSION, _label(one.summary), one.created_at) for one in view.sessions),
    ]
    number = {node.id: place for place, node in enumerate(nodes)}
    edges = [(number[one.source], number[one.target]) for one in view.edges]
    for one, other in edges:
        nodes[one].near.append(other)
        nodes[other].near.append(one)
    return Drawing(nodes, edges, len(view.memories), view.total)


def _label(text: str) -> str:
    shown = printable(text[: _LABEL + 1]).replace("\n", " ").strip()
    return shown if len(shown) <= _LABEL else f"{shown[: _LABEL - 1]}…"
