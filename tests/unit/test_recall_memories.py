"""How memories are ranked beside passages, and which of both are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import RecalledMemory, RecalledPassage, by_kind, ranked
from recallr_litellm.core.records import MemoryHit, PassageHit
from recallr_litellm.core.traits import Traits
from recallr_litellm.recall.calibration import REFERENCE
from recallr_litellm.recall.connections import led_to, with_connected
from recallr_litellm.recall.memories import rank_memories, recalled_memory, score_memories, support, supported
from recallr_litellm.recall.question import Question
from recallr_litellm.recall.recipes import MemoryWeights
from recallr_litellm.recall.scoring import Asked
from recallr_litellm.recall.selection import top_memories


def hit(dense: float, bm25: float = 0.0, **more: Any) -> MemoryHit:
    values: dict[str, Any] = {
        "id": "a",
        "session": "s1",
        "created_at": 0,
        "event_start": None,
        "event_end": None,
        "sources": (),
        "connected": (),
        "content": "The user planted two apple trees.",
    }
    return MemoryHit(dense=dense, bm25=bm25, **(values | more))


def scores(*hits: MemoryHit, asked: Asked | None = None) -> list[float]:
    return score_memories(hits, [hit.dense for hit in hits], MemoryWeights(), asked or Asked())


def test_a_question_for_a_time_prefers_memories_with_one() -> None:
    asked = Asked(Question("When?", asks_when=True))
    dated, worded, neither = scores(
        hit(0.3, event_start=0), hit(0.3, content="Ada moved in March 2024."), hit(0.3), asked=asked
    )
    assert dated == worded > neither
    assert len(set(scores(hit(0.3, event_start=0), hit(0.3)))) == 1, "nobody asks when"


def test_facts_about_a_speaker_who_is_named_come_first() -> None:
    asked = Asked(Question("What did Ada plant?"), frozenset({"Ada"}))
    of_ada, of_her_garden, of_bo = scores(
        hit(0.3, content="Ada planted trees."),
        hit(0.3, content="Ada's garden has trees."),
        hit(0.3, content="Bo saw Ada plant."),
        asked=asked,
    )
    assert of_ada == of_her_garden > of_bo


def test_a_question_for_now_prefers_what_was_told_last() -> None:
    old, new = hit(0.3, created_at=1), hit(0.3, created_at=9)
    asked = scores(old, new, asked=Asked(Question("x", asks_for_now=True)))
    assert asked[1] > asked[0]
    assert len(set(scores(old, new))) == 1


def test_memories_are_ranked_by_relevance_and_the_newer_of_equals_first() -> None:
    hits = [
        hit(0.2, id="a", content="Ada sings."),
        hit(0.6, id="b", content="Ada skates.", created_at=1),
        hit(0.6, id="c", content="Ada sews.", created_at=2),
    ]
    best = rank_memories(hits, [one.dense for one in hits], REFERENCE.lines.memories)
    assert [one.id for one in best] == ["c", "b", "a"]
    assert 1 >= best[0].relevance == best[1].relevance > best[2].relevance >= 0
    assert rank_memories([], [], REFERENCE.chats.memories) == []


def passage_hit(message: str, parts: int = 1) -> PassageHit:
    return PassageHit("s1", message, 0, 0, parts, "user", 0, "words", Traits(), np.zeros(0, np.uint32), 0.3, 0.0)


def test_what_is_known_from_a_message_raises_its_passages() -> None:
    hits = [hit(0.9, sources=("told", "also told")), hit(0.1, sources=("told",)), hit(0.2, sources=("hardly",))]
    points = support(hits, [one.dense for one in hits], MemoryWeights())
    assert points["told"] == points["also told"] > 0 == points["hardly"], "the best that rests on it counts"
    whole, part, hardly, unknown = supported(
        [passage_hit("told"), passage_hit("told", 10), passage_hit("hardly"), passage_hit("x")], [0.5] * 4, points
    )
    assert whole > part > hardly == unknown, "in a long message it is not known which passage tells it"
    assert sum([whole, part, hardly, unknown]) == pytest.approx(4 * 0.5), "on the whole nothing is more relevant"
    assert support([], [], MemoryWeights()) == {}
    assert supported([], [], points) == []


# --- which are shown ---


def fact(id: str, relevance: float = 0.5, *sources: str, text: str = "", at: int = 0) -> RecalledMemory:
    return RecalledMemory(id, "s1", sources, at, None, None, text or f"fact {id}", relevance)


def passage(message: str, relevance: float, parts: int = 1) -> RecalledPassage:
    return RecalledPassage("s1", message, 0, 0, "user", 0, f"said {message}", relevance, parts=parts)


def shown(facts: Sequence[RecalledMemory], passages: Sequence[RecalledPassage], **options: Any) -> list[str]:
    chosen = top_memories(ranked(facts, passages), RecallOptions(**options))
    return [one.id if isinstance(one, RecalledMemory) else one.message for one in chosen]


ranking = st.lists(st.floats(0, 1), max_size=30).map(lambda values: sorted(values, reverse=True))


@given(ranking, ranking, st.integers(0, 40), st.integers(0, 40), st.floats(0, 1))
def test_facts_and_passages_compete_for_the_same_places(
    of_facts: list[float], of_passages: list[float], one: int, other: int, threshold: float
) -> None:
    facts = [fact(f"f{number}", value) for number, value in enumerate(of_facts)]
    passages = [passage(f"m{number}", value) for number, value in enumerate(of_passages)]
    low, high = sorted((one, other))
    chosen = top_memories(
        ranked(facts, passages), RecallOptions(min_top_k=low, max_top_k=high, memories_threshold=threshold)
    )
    values = sorted([*of_facts, *of_passages], reverse=True)
    expected = values[:low] + [value for value in values[low:high] if value >= threshold]
    assert [item.relevance for item in chosen] == expected
    kept_passages, kept_facts = by_kind(chosen)
    assert list(kept_facts) == facts[: len(kept_facts)], "each kind best first"
    assert list(kept_passages) == passages[: len(kept_passages)]


def test_a_fact_gives_way_to_its_message_above_it_and_a_message_to_no_fact() -> None:
    assert shown([fact("f", 0.7, "m")], [passage("m", 0.8), passage("n", 0.6)]) == ["m", "n"]
    assert shown([fact("f", 0.9, "m")], [passage("m", 0.8), passage("n", 0.7)]) == ["f", "m", "n"]


def test_a_fact_that_tells_more_than_is_shown_stays() -> None:
    assert shown([fact("f", 0.7, "m", "other")], [passage("m", 0.8)]) == ["m", "f"], "it rests on another one too"
    assert shown([fact("f", 0.7)], [passage("m", 0.8)]) == ["m", "f"], "it rests on no message at all"
    disputed = fact("f", 0.7, "m")._replace(tells_more=True)
    assert shown([disputed], [passage("m", 0.8)]) == ["m", "f"], "what was before it, or disputes it, nobody said there"
    both = [fact("f", 0.9, "m"), fact("g", 0.8, "m")]
    assert shown(both, []) == ["f", "g"], "two facts from one message are two"


def test_a_passage_of_a_long_message_is_not_what_a_fact_of_the_message_tells() -> None:
    assert shown([fact("f", 0.9, "m")], [passage("m", 0.8, parts=5)]) == ["f", "m"]
    assert shown([fact("f", 0.7, "m")], [passage("m", 0.8, parts=5)]) == ["m", "f"]


def test_the_same_fact_told_twice_is_shown_once_as_told_last() -> None:
    facts = [hit(0.9, id="old", content="Ada is a nurse.", created_at=1), hit(0.8, id="new", content="Ada is a nurse")]
    [one] = rank_memories([facts[0], facts[1]._replace(created_at=2)], [0.9, 0.8], REFERENCE.lines.memories)
    alone = rank_memories([facts[0]], [0.9], REFERENCE.lines.memories)
    assert (one.id, one.relevance) == ("new", alone[0].relevance)
    at_two_times = [hit(0.9, id=str(when), event_start=when) for when in (1, 2)]
    assert len(rank_memories(at_two_times, [0.9, 0.9], REFERENCE.lines.memories)) == 2


# --- connections ---


def linked(id: str, *connected: str, dense: float = 0.3, **more: Any) -> MemoryHit:
    return hit(dense, id=id, connected=connected, content=f"fact {id}", **more)


def connect(*shown: str, found: Sequence[MemoryHit], at_most: int = 12, **more: Any) -> list[Any]:
    """What stands where, once some of what was found is shown; the order of `found` is that of relevance."""
    candidates = [recalled_memory(one, 1 - number / 100) for number, one in enumerate(found)]
    memories = [one for one in candidates if one.id in shown]
    return tree(with_connected(memories, candidates, {one.id: one for one in found}, at_most=at_most, **more))


def tree(memories: Sequence[RecalledMemory]) -> list[Any]:
    """Ids, each that has something below it as (id, what)."""
    return [(one.id, tree(one.connected)) if one.connected else one.id for one in memories]


def test_what_a_memory_hangs_together_with_stands_below_it_two_steps_away() -> None:
    found = [linked("a", "b", "c"), linked("c"), linked("b", "d"), linked("d", "e"), linked("e")]
    assert connect("a", found=found) == [("a", ["c", ("b", ["d"])])], "the more relevant first"


def test_nothing_stands_twice() -> None:
    found = [linked("a", "b", "a", "c"), linked("b", "a", "c", "d"), linked("c", "b"), linked("d", "a")]
    assert connect("a", "b", found=found) == [("a", ["c"]), ("b", ["d"])], "b was recalled itself"
    loop = [linked("a", "b"), linked("b", "c"), linked("c", "a", "b")]
    assert connect("a", found=loop) == [("a", [("b", ["c"])])]


def test_connections_are_bounded_in_number_the_most_relevant_first() -> None:
    many = [f"x{n}" for n in range(20)]
    found = [linked("a", *reversed(many)), linked("b", *many), *(linked(id, *many) for id in many)]
    assert _number(connect("a", "b", found=found, at_most=9)) == 2 + 9
    assert connect("a", "b", found=found, at_most=2) == [("a", ["x0", "x1"]), "b"]
    assert connect("a", found=found, at_most=0) == ["a"]


def test_a_connection_that_tells_only_what_is_shown_is_left_out() -> None:
    found = [linked("a", "b", "c"), linked("b", sources=("m",)), linked("c", sources=("m", "n"))]
    assert connect("a", found=found, told=frozenset({"m"})) == [("a", ["c"])]


def test_what_a_message_leads_to_stands_among_the_memories() -> None:
    found = [linked("a"), linked("of the message", "b", "gone", sources=("m",)), linked("b", "c"), linked("c")]
    said = {"said": frozenset({"m"}), "told": frozenset({"m"})}
    assert connect("a", found=found, **said) == ["a", ("b", ["c"])]
    assert connect(found=found, **said) == [("b", ["c"])]


def test_a_connection_that_is_no_longer_true_is_not_shown() -> None:
    assert connect("a", found=[linked("a", "b"), linked("b", expired_at=5)]) == ["a"]


def test_what_the_best_lead_to_is_looked_at_once_and_bounded() -> None:
    found = [linked(f"{n}", "0", f"new {n}", "shared", dense=n / 100) for n in range(60)]
    wanted = led_to(found, 0.02)
    assert wanted[:2] == ["new 59", "shared"]
    assert "new 0" not in wanted, "only of the best"
    assert len(wanted) == len(set(wanted)) == 21


def _number(of: list[Any]) -> int:
    return sum(1 + _number(one[1]) if isinstance(one, tuple) else 1 for one in of)
