"""Where the nodes of the console's graph stand."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from recallr_litellm.console.drawing import Drawing, Node, NodeKind
from recallr_litellm.console.islands import places


def drawing(entities: int, memories: int, sessions: int, edges: Iterable[tuple[int, int]]) -> Drawing:
    kinds = [NodeKind.ENTITY] * entities + [NodeKind.MEMORY] * memories + [NodeKind.SESSION] * sessions
    nodes = [Node(str(number), kind, "", at=number) for number, kind in enumerate(kinds)]
    told = list(edges)
    for one, other in told:
        nodes[one].near.append(other)
        nodes[other].near.append(one)
    return Drawing(nodes, told, memories, memories)


def test_what_speaks_of_one_stands_around_it() -> None:
    anna, rome = 0, 1
    found = places(drawing(2, 6, 1, [(anna, 2), (anna, 3), (anna, 4), (rome, 4), (rome, 5), (rome, 6), (8, 5), (8, 6)]))
    assert [place.island for place in found] == [anna, rome, anna, anna, anna, rome, rome, -1, rome]

    def far(one: int, other: int) -> float:
        return math.dist(found[one][:2], found[other][:2])

    assert far(anna, 2) < far(anna, 3) < far(anna, 4), "the older, the nearer to the middle"
    assert all(far(anna, one) < far(rome, one) for one in (2, 3, 4))


def test_no_two_of_thousands_stand_in_one_place_and_islands_do_not_touch() -> None:
    chance = random.Random(1)
    edges = [
        (int(300 * chance.random() ** 3), 300 + memory) for memory in range(1500) for _ in range(chance.randrange(3))
    ]
    edges += [(300 + memory, 1800 + memory // 5) for memory in range(1500)]
    told = drawing(300, 1500, 300, dict.fromkeys(edges))
    found = places(told)
    assert found == places(told), "it looks different each time"
    assert min(math.dist(a[:2], b[:2]) for n, a in enumerate(found) for b in found[:n]) > 0.5
    for place in found:
        if place.island >= 0:
            middle = found[place.island]
            nearest = min(math.dist(middle[:2], other[:2]) for other in found if other.island not in (place.island, -1))
            assert math.dist(middle[:2], place[:2]) < nearest, "another island lies within this one"


def test_of_nothing_there_is_nothing() -> None:
    assert places(drawing(0, 0, 0, [])) == []
    assert len(places(drawing(0, 1, 0, []))) == 1
