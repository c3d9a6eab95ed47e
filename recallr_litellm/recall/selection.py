"""Which of the ranked memories and summaries are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Protocol, TypeVar

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import RecalledMemory, RecalledPassage, RecalledSummary, Remembered
from recallr_litellm.core.traits import gist


class _Relevant(Protocol):
    @property
    def relevance(self) -> float: ...


_R = TypeVar("_R", bound=_Relevant)


def top(ranked: Sequence[_R], *, at_least: int, at_most: int, threshold: float) -> tuple[_R, ...]:
    """The `at_least` best always; beyond them only what reaches the threshold, up to `at_most` in all.

    Args:
        ranked: most relevant first.
        at_least: not more than `at_most`.
    """
    always = ranked[:at_least]
    further = takewhile(lambda item: item.relevance >= threshold, ranked[len(always) : at_most])
    return (*always, *further)


def top_memories(ranked: Iterable[Remembered], options: RecallOptions) -> tuple[Remembered, ...]:
    """The passages and memories to show, which compete for the same places, most relevant first.

    Redundancy beyond repeats does not count against one: what resembles a good answer mostly is another part of it
    (measured: `tests/benchmarks/README.md`, "Weights").
    """
    return top(
        without_repeats(without_retold(ranked)),
        at_least=options.min_top_k,
        at_most=options.max_top_k,
        threshold=options.memories_threshold,
    )


def top_summaries(
    ranked: Sequence[RecalledSummary], options: RecallOptions, *, at_most: int
) -> tuple[RecalledSummary, ...]:
    """The summaries to show, most relevant first: only those that reach the threshold."""
    return top(ranked, at_least=0, at_most=at_most, threshold=options.summaries_threshold)


def without_retold(ranked: Iterable[Remembered]) -> list[Remembered]:
    """A memory and the message that it rests on once: whichever stands higher, since that answers better.

    A memory is left out where every message that it rests on stands above it. A message of several passages tells
    more than a memory of it, and each of its passages less than the whole: there both stay.
    """
    said: set[str] = set()
    remembered: set[str] = set()
    kept: list[Remembered] = []
    for item in ranked:
        if isinstance(item, RecalledMemory):
            if item.sources and said.issuperset(item.sources):
                continue
            remembered.update(item.sources)
        elif item.parts == 1:
            if item.message in remembered:
                continue
            said.add(item.message)
        kept.append(item)
    return kept


def without_repeats(ranked: Iterable[Remembered]) -> list[Remembered]:
    """The same words of the same speaker, or about the same event, once, as said last, where they stand highest.

    People greet, thank and ask in the same words in every session; ten copies would be all that is recalled.
    """
    kept: dict[tuple[str | int | None, str], Remembered] = {}
    for item in ranked:
        if isinstance(item, RecalledPassage):
            key: tuple[str | int | None, str] = (item.role, item.gist or f"{item.session} {item.message} {item.part}")
        else:
            key = (item.event_start, gist(item.text))
        earlier = kept.get(key)
        if earlier is None:
            kept[key] = item
        elif item.at > earlier.at:
            kept[key] = item._replace(relevance=earlier.relevance)
    return list(kept.values())
