"""Of what was said about one thing at different times, what was said last.

Without a model, by what two statements of one speaker have in common. The newer takes the place of the older where

- both say the same of one thing but for a value: most of their words are the same, both have words of their own, and
  the question is answered by both about as well ("I moved to Lisbon", "I moved to Porto"); or
- the newer says that something is no longer so (`core/changes.py`) and is near the older in meaning ("I love sushi",
  "I no longer eat fish"); or
- it says so of something that it does not name ("I moved it over there to 49222"), and has a value of the same sort.

Measured: `tests/benchmarks/README.md`, "Newer and older".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.records import PassageHit, Vector
from recallr_litellm.stores.embedding.words import WordVectors

Id = UUID | str | int
"""Names a passage in the vector store."""

SAME_WORDS = 0.5
"""Share of the words of the shorter one, from which on two statements say the same but for a value."""
SAME_MEANING = 0.5
"""Cosine, likewise."""
ANSWERS_AS_WELL = 0.25
"""How far the score of a newer statement that tells of no change may lie below that of the older one."""
CHANGE_MEANING = 0.45
"""Cosine from which on a change is one of what the older statement says."""
RELATED_MEANING = 0.25
"""The same for a change in a few words, which has to do with the question."""
ANSWERS_AT_ALL = 0.2
"""Score from which on a change that hardly resembles the older statement has to do with the question."""
ALIKE_VALUES = 0.35
"""Cosine of two words from which on they are values of one sort: two towns, two colours."""
FEW_TERMS = 5
"""Of a change that may hardly resemble the older statement: in a longer one the change may be of anything."""
MOST_TERMS = 9
"""Of a statement that is compared."""
UNNAMED_RANK = 3
"""What a change "of it" may be a change of: one of so many best statements."""

_UNNAMED = re.compile(r"\b(?:it|them|this|that|those|these|there|one|its|their)\b", re.I)
_FIGURE = re.compile(r"\d")
_OTHERS = re.compile(
    r"^\W*(?:\w+[,:]\s*)?my\s(?:\w+\s)?(parents|mother|father|mom|mum|dad|brothers?|sisters?|sons?|daughters?|kids?|child(?:ren)?|wife"
    r"|husband|partner|girlfriend|boyfriend|friends?|flatmate|roommate|colleagues?|neighbou?rs?|aunt|uncle|cousins?"
    r"|grand\w+|niece|nephew)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A candidate that may be replaced, or replace."""

    hit: PassageHit
    score: float
    changes: bool
    """It says that something is no longer as it was."""

    @property
    def comparable(self) -> bool:
        """It is short enough to say one thing."""
        return 0 < len(self.hit.terms) <= MOST_TERMS


def replaced(
    older: Sequence[Statement],
    all_statements: Sequence[Statement],
    vectors: Mapping[Id, Vector],
    words: WordVectors | None,
) -> dict[Id, Id]:
    """Id of each passage that is out of date → id of the newest one in its place.

    Args:
        older: those that would be shown.
        all_statements: among which the newer ones are sought; `older` among them.
        vectors: id → embedding, unit length, of all of them; those without one replace nothing.
        words: which words are alike; None: none are.
    """
    newest: dict[Id, Id] = {}
    known = [one for one in all_statements if one.hit.id in vectors and one.comparable]
    if len(known) < 2:
        return newest
    at = np.array([one.hit.at for one in known])
    matrix = np.stack([vectors[one.hit.id] for one in known])
    for rank, old in enumerate(older):
        vector = vectors.get(old.hit.id)
        if vector is None or not old.comparable:
            continue
        cosines = matrix @ vector
        best: tuple[float, Statement] | None = None
        for index in np.flatnonzero(at > old.hit.at):
            new = known[index]
            if new.hit.role != old.hit.role or _differ(new.hit.traits.speaker, old.hit.traits.speaker):
                continue
            cosine = float(cosines[index])
            if _replaces(new, old, cosine, words) or (rank < UNNAMED_RANK and _replaces_unnamed(new, old, words)):
                # The nearest of those that tell of a change; of the others the newest.
                near = cosine if new.changes else 1.0
                if best is None or near > best[0] or (near == best[0] and new.hit.at > best[1].hit.at):
                    best = near, new
        if best is not None:
            newest[old.hit.id] = best[1].hit.id
    return {id: _last(id, newest) for id in newest}


def _last(id: Id, newest: Mapping[Id, Id]) -> Id:
    """The end of a chain of replacements; each is newer than the one before, so there is one."""
    while id in newest:
        id = newest[id]
    return id


def _replaces(new: Statement, old: Statement, cosine: float, words: WordVectors | None) -> bool:
    if cosine < RELATED_MEANING or (not new.changes and cosine < SAME_MEANING) or _about(new) != _about(old):
        return False
    terms, others = set(new.hit.terms.tolist()), set(old.hit.terms.tolist())
    if new.changes:
        short = len(terms) <= FEW_TERMS and not new.hit.traits.speaker
        return cosine >= CHANGE_MEANING or (short and new.score >= ANSWERS_AT_ALL)
    return (
        bool(terms - others and others - terms)
        and len(terms & others) >= SAME_WORDS * min(len(terms), len(others))
        and new.score >= old.score - ANSWERS_AS_WELL
    )


def _replaces_unnamed(new: Statement, old: Statement, words: WordVectors | None) -> bool:
    if not new.changes or _UNNAMED.search(new.hit.text) is None:
        return False
    terms, others = set(new.hit.terms.tolist()), set(old.hit.terms.tolist())
    return not terms & others and _same_sort(new, old, terms, others, words)


def _differ(speaker: str, other: str) -> bool:
    """Whether both are known and not the same: "Correction: …" looks like the line of a speaker."""
    return bool(speaker and other and speaker != other)


def _about(statement: Statement) -> str:
    """The other person that it is about, "" for the user."""
    found = _OTHERS.match(statement.hit.text)
    return found[1].lower() if found else ""


def _same_sort(
    new: Statement, old: Statement, mine: Collection[int], theirs: Collection[int], words: WordVectors | None
) -> bool:
    """Whether each has a value of the same sort in the words that the other has not: two figures, two towns."""
    if _FIGURE.search(new.hit.text) and _FIGURE.search(old.hit.text):
        return True
    if words is None or not mine or not theirs:
        return False
    alike: NDArray[np.float32] = words.cosines(np.array(sorted(mine), np.uint32), np.array(sorted(theirs), np.uint32))
    return bool(alike.max() >= ALIKE_VALUES)
