"""Where the nodes of a user's graph stand: on islands, each around one that many are connected with.

A layout by forces draws some thousand memories as one ball of wool, and takes seconds for it. Here what belongs
together most stands on one island, the older the nearer to its middle, and islands that are connected lie near each
other. The same graph always looks the same.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.console.drawing import Drawing, Node, NodeKind

_MOST_ISLANDS: Final = 160
"""What would stand on smaller ones stands on one together."""
_OTHERS: Final = -1
"""The island without a middle: of what stands around nothing."""
_GOLDEN_ANGLE: Final = math.pi * (3 - math.sqrt(5))
_SPACING: Final = 0.9
"""Of nodes of an island, which are about this far apart."""
_MIDDLE: Final = 3
"""Nodes that would have room where the one in the middle stands."""
_SHORE: Final = 1.5
"""Free around an island."""
_TRIED: Final = 500
"""Places looked at for an island."""

Floats = NDArray[np.float64]


class Place(NamedTuple):
    """Where a node stands."""

    x: float
    y: float
    island: int


def places(drawing: Drawing) -> list[Place]:
    """Where each node stands, by its number."""
    nodes = drawing.nodes
    home = _homes(nodes)
    islands: defaultdict[int, list[int]] = defaultdict(list)
    for number in sorted(range(len(nodes)), key=lambda one: (nodes[one].kind is not NodeKind.MEMORY, nodes[one].at)):
        members = islands[home[number]]
        if number != home[number]:
            members.append(number)
    order = sorted(islands, key=lambda island: (-len(islands[island]), island))
    radii = np.array([_reach(len(islands[island])) + _SHORE for island in order])
    middles = _packed(radii, _ties(drawing, home, order))
    found = [Place(0.0, 0.0, island) for island in home]
    for island, (x, y) in zip(order, middles.tolist(), strict=True):
        if island != _OTHERS:
            found[island] = Place(round(x, 2), round(y, 2), island)
        for place, number in enumerate(islands[island]):
            far, angle = _reach(place), place * _GOLDEN_ANGLE
            dx, dy = far * math.cos(angle), far * math.sin(angle)
            found[number] = Place(round(x + dx, 2), round(y + dy, 2), island)
    return found


def _homes(nodes: Sequence[Node]) -> list[int]:
    """The island that each node stands on, by the number of the node in its middle.

    A memory's is that of the entity it speaks of that most memories speak of; of the session where it speaks of none.
    """

    def around(node: Node) -> list[int]:
        return sorted(number for number in node.near if nodes[number].kind is not NodeKind.MEMORY)

    memories = {number: around(node) for number, node in enumerate(nodes) if node.kind is NodeKind.MEMORY}
    best = Counter(middles[0] for middles in memories.values() if middles)
    islands = {number for number, _ in best.most_common(_MOST_ISLANDS)}
    home = [_OTHERS] * len(nodes)
    for number, middles in memories.items():
        home[number] = next((one for one in middles if one in islands), _OTHERS)
    for number, node in enumerate(nodes):
        if number in islands:
            home[number] = number
        elif number not in memories:
            [(home[number], _)] = Counter(home[one] for one in node.near).most_common(1) or [(_OTHERS, 0)]
    return home


def _reach(nodes: int) -> float:
    """How far from its middle an island reaches that has so many nodes."""
    return _SPACING * math.sqrt(nodes + _MIDDLE)


def _ties(drawing: Drawing, home: Sequence[int], order: Sequence[int]) -> Floats:
    """How many edges lead from each island to each other."""
    place: Mapping[int, int] = {island: number for number, island in enumerate(order)}
    ties = np.zeros((len(order), len(order)))
    for one, other in drawing.edges:
        a, b = place[home[one]], place[home[other]]
        ties[a, b] += 1
        ties[b, a] += 1
    return ties


def _packed(radii: Floats, ties: Floats) -> Floats:
    """The middles of islands that do not touch: each as near as there is room to those before it that it is tied to."""
    turns = np.arange(_TRIED) * _GOLDEN_ANGLE
    spiral = np.sqrt(np.arange(_TRIED) / (_TRIED - 1))[:, None] * np.column_stack([np.cos(turns), np.sin(turns)])
    middles = np.zeros((len(radii), 2))
    extent = 0.0
    for number, radius in enumerate(radii):
        before, tied = middles[:number], ties[number, :number]
        wanted = tied @ before / tied.sum() if tied.any() else np.zeros(2)
        tried = wanted + spiral * (np.hypot(*wanted) + extent + radius)  # the last of these lies beyond all others
        squares = (tried**2).sum(axis=1)[:, None] + (before**2).sum(axis=1) - 2 * tried @ before.T
        free = (squares >= (radius + radii[:number]) ** 2 - 1e-6).all(axis=1)
        middles[number] = tried[int(np.argmax(free))]
        extent = max(extent, float(np.hypot(*middles[number])) + radius)
    return middles
