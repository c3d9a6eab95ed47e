"""Which of the ranked memories and summaries are shown."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Protocol, TypeVar

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import RecalledMemory, RecalledPassage, RecalledSummary, Remembered


class _Relevant(Protocol):
    @property
    def relevance(self) -> float: ...


_R = TypeVar("_R", bound=_Relevant)
_T = TypeVar("_T")
_Scored = tuple[float, _T]
Place = tuple[str, int]
"""A message and the number of a passage in it."""

QUESTIONS_SHARE = 3
"""At most one of so many places is for messages that state nothing."""


def top(ranked: Sequence[_R], *, at_least: int, at_most: int, threshold: float) -> tuple[_R, ...]:
    """The `at_least` best always; beyond them only what reaches the threshold, up to `at_most` in all.

    Args:
        ranked: most relevant first.
        at_least: not more than `at_most`.
    """
    always = ranked[:at_least]
    further = takewhile(lambda item: item.relevance >= threshold, ranked[len(always) : at_most])
    return (*always, *further)


def top_memories(
    ranked: Iterable[Remembered], options: RecallOptions, *, questions_too: bool = False
) -> tuple[Remembered, ...]:
    """The passages and memories to show, which compete for the same places, most relevant first.

    What states nothing comes last, on the places that statements leave, and never on more than a third of all; but
    with `questions_too`, where it competes as all others.
    Redundancy beyond repeats does not count against one: what resembles a good answer mostly is another part of it
    (measured: `tests/benchmarks/README.md`, "Weights").
    """
    telling: list[Remembered] = []
    others: list[Remembered] = []
    for item in without_retold(ranked):
        aside = isinstance(item, RecalledPassage) and item.states_nothing and not questions_too
        (others if aside else telling).append(item)
    at_least, at_most, threshold = options.min_top_k, options.max_top_k, options.memories_threshold
    shown = top(telling, at_least=at_least, at_most=at_most, threshold=threshold)
    left = min(at_most - len(shown), at_most // QUESTIONS_SHARE)
    return shown + top(others, at_least=min(max(0, at_least - len(shown)), left), at_most=left, threshold=threshold)


def top_summaries(
    ranked: Sequence[RecalledSummary], options: RecallOptions, *, at_most: int
) -> tuple[RecalledSummary, ...]:
    """The summaries to show, most relevant first: only those that reach the threshold."""
    return top(ranked, at_least=0, at_most=at_most, threshold=options.summaries_threshold)


def without_retold(ranked: Iterable[Remembered]) -> list[Remembered]:
    """Without the memories of which every message that they rest on stands above them, and so answers better.

    One stays where what was before it, or a dispute, is shown with it, and where such a message has several passages,
    of which only one may be shown. A message is never left out for a memory: a model may have made less of it than it
    says, or something else.
    """
    said: set[str] = set()
    kept: list[Remembered] = []
    for item in ranked:
        if isinstance(item, RecalledMemory):
            if item.sources and said.issuperset(item.sources) and not item.tells_more:
                continue
        elif item.parts == 1:
            said.add(item.message)
        kept.append(item)
    return kept


def folded(
    ranked: Iterable[tuple[float, _T]], key: Callable[[_T], Hashable], at: Callable[[_T], int]
) -> list[_Scored[_T]]:
    """What has the same key once: the newest, with the score and in the place of the first.

    People greet, thank and ask in the same words in every session; ten copies would be all that is recalled.

    Args:
        ranked: (score, item), best first.
        at: when an item was said.
    """
    kept: dict[Hashable, _Scored[_T]] = {}
    for score, item in ranked:
        same = key(item)
        earlier = kept.get(same)
        if earlier is None:
            kept[same] = score, item
        elif at(item) > at(earlier[1]):
            kept[same] = earlier[0], item
    return list(kept.values())


def newest_first(ranked: Sequence[RecalledPassage], newest: Mapping[Place, RecalledPassage]) -> list[RecalledPassage]:
    """The ranking, with what is newest of something before the first that it replaces, as relevant as that.

    Args:
        newest: message and part of what is out of date → what was said last in its place.
    """
    placed: dict[Place, RecalledPassage] = {}
    for passage in ranked:
        last = newest.get((passage.message, passage.part))
        if last is not None:
            place = last.message, last.part
            best = placed.get(place) or last._replace(relevance=max(last.relevance, passage.relevance))
            placed[place] = best._replace(newest=True)
        placed.setdefault((passage.message, passage.part), passage)
    return list(placed.values())
