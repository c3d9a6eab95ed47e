"""The candidates of an explanation, made of what was kept of its request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from recallr_litellm.services.explaining import MOST, moment
from recallr_litellm.services.explanation import Candidate, Kind, Outcome

_CHOSEN = ("shown", "shown_before", "no_room")


def with_candidates(kept: Mapping[str, Any]) -> dict[str, Any]:
    """An `Explanation`, as JSON values.

    Args:
        kept: `Kept`, as JSON values.
    """
    became = _Became(*(frozenset(kept[name]) for name in ("chosen", "shown", "shown_before")))
    listed: list[Candidate] = []
    left_out = kept.get("left_out", 0)
    kinds: tuple[tuple[Kind, str], ...] = (("passage", "passages"), ("memory", "memories"), ("summary", "summaries"))
    for kind, name in kinds:
        for place, candidate in enumerate(_candidates(kind, kept[name], became)):
            if place < MOST[kind] or candidate.outcome in _CHOSEN:
                listed.append(candidate)
            else:
                left_out += 1
    return {**kept["explanation"], "candidates": listed, "left_out": left_out}


class _Became:
    """What became of candidates, by their keys."""

    def __init__(self, chosen: Collection[str], shown: Collection[str], shown_before: Collection[str]) -> None:
        self._chosen, self._shown, self._before = chosen, shown, shown_before

    def of(self, key: str, id: str, columns: Mapping[str, Any]) -> Outcome:
        """What became of one.

        Args:
            id: of its message, which may be shown as a whole.
        """
        relevance = columns["relevance"].get(key)
        if key in self._shown or id in self._shown:
            return "shown"
        if key in self._before or id in self._before:
            return "shown_before"
        if key in self._chosen:
            return "no_room"
        if key in columns["same_as"]:
            return "same_words"
        if key in columns["told"]:
            return "told_by_memory"
        if not columns["relevance"]:  # time ran out before they were ranked
            return "left_out"
        return "below_threshold" if relevance is not None and relevance < columns["threshold"] else "beyond_top_k"


def _candidates(kind: Kind, columns: Mapping[str, Any], became: _Became) -> Iterator[Candidate]:
    """The candidates of one kind, best first; then what was found otherwise."""
    keys, signs, searched = columns["keys"], columns["signs"], len(columns["cosine"])
    points = [{name: round(column[n], 4) for name, column in signs.items() if column[n]} for n in range(searched)]
    scores = [columns["scores"].get(key, sum(own.values())) for key, own in zip(keys, points, strict=False)]
    best = sorted(range(searched), key=lambda n: -scores[n])
    for n in (*best, *range(searched, len(keys))):
        key, id = keys[n], columns["ids"][n]
        found = n < searched
        yield Candidate(
            kind=kind,
            id=id,
            session_id=columns["sessions"][n],
            at=moment(columns["at"][n]),
            text=columns["texts"][n],
            outcome=became.of(key, id, columns),
            part=columns["parts"][n] if columns["parts"] else 0,
            role=columns["roles"][n] if columns["roles"] else None,
            cosine=_number(columns["cosine"][n]) if found else None,
            bm25=_number(columns["bm25"][n]) if found else None,
            signs=points[n] if found else {},
            score=_number(scores[n]) if found and signs else None,
            relevance=_number(columns["relevance"].get(key)),
            same_as=columns["same_as"].get(key),
            replaced_by=columns["replaced_by"].get(key),
        )


def _number(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
