"""Which of the ranked memories and summaries are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Protocol, TypeVar

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import RecalledPassage, RecalledSummary


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


def top_memories(ranked: Iterable[RecalledPassage], options: RecallOptions) -> tuple[RecalledPassage, ...]:
    """The memories to show, most relevant first."""
    return top(
        without_repeats(ranked),
        at_least=options.min_top_k,
        at_most=options.max_top_k,
        threshold=options.memories_threshold,
    )


def top_summaries(
    ranked: Sequence[RecalledSummary], options: RecallOptions, *, at_most: int
) -> tuple[RecalledSummary, ...]:
    """The summaries to show, most relevant first: only those that reach the threshold."""
    return top(ranked, at_least=0, at_most=at_most, threshold=options.summaries_threshold)


def without_repeats(ranked: Iterable[RecalledPassage]) -> list[RecalledPassage]:
    """The same words of the same speaker once, as said last, where they stand highest.

    People greet, thank and ask in the same words in every session; ten copies would be all that is recalled.
    """
    kept: dict[tuple[str, str], RecalledPassage] = {}
    for passage in ranked:
        key = (passage.role, passage.gist)
        earlier = kept.get(key)
        if earlier is None:
            kept[key] = passage
        elif passage.at > earlier.at:
            kept[key] = passage._replace(relevance=earlier.relevance)
    return list(kept.values())
