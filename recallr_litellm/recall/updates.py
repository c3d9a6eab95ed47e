"""Of what was said about one thing at different times, what was said last.

Without a model, by what two statements of one speaker have in common. The newer takes the place of the older where

- both say the same of one thing but for a value ("I moved to Lisbon", "I moved to Porto"): most of their words are the
  same, not only names, both have words of their own, and the question is answered by both about as well and asks for
  nothing that only the older one names; or
- the newer says that something is no longer so (`core/changes.py`) and is near the older in meaning ("I love sushi",
  "I no longer eat fish"), the nearer the less they have in common; or
- it says in words of its own that one lives, works or eats otherwise ("I live in Ghent", "We moved to Utrecht"); or
- it says so of something that it does not name ("I moved it over there to 49222"), and has a value of the same sort.

Measured: `tests/benchmarks/README.md`, "Short lives".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import and_
from uuid import UUID

import numpy as np

from recallr_litellm.core.dots import dots
from recallr_litellm.core.records import PassageHit, Vector
from recallr_litellm.core.stopwords import ENGLISH
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
SHARED_CHANGE_MEANING = 0.4
"""The same where both have a word in common."""
RELATED_MEANING = 0.25
"""The same for a change in a few words, which has to do with the question."""
ANSWERS_AT_ALL = 0.2
"""Score from which on a change that hardly resembles the older statement has to do with the question."""
ALIKE_VALUES = 0.35
"""Cosine of two words from which on they are values of one sort: two towns, two colours."""
MUCH_ALIKE = 0.5
"""The same for a dish and a diet."""
OF_SOMETHING_ELSE = 0.05
"""How much nearer a change may be to another older statement, which lacks a word of the question."""
FEW_TERMS = 5
"""Of a change that may hardly resemble the older statement: in a longer one the change may be of anything."""
MOST_TERMS = 9
"""Of a statement that is compared."""
UNNAMED_RANK = 3
"""What a change "of it" may be a change of: one of so many best statements."""

_UNNAMED = re.compile(r"\b(?:it|them|this|that|those|these|there|one|its|their)\b", re.I)
_FIGURE = re.compile(r"\d")
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)\b[A-Z]\w*")
_OTHERWISE = (
    (
        re.compile(
            r"\b(?:i|we)(?:['’](?:m|re))?\s(?:still\s|also\s)?(?:live|living)\b|\bich\swohne|\bj['’]habite|\bvivo\s(?:en|a|em)\b"
            r"|\babito\sa\b|\bmoro\sem\b|\b(?:ik|we|wij)\swo(?:on|nen)\b",
            re.I,
        ),
        re.compile(
            r"\b(?:i|we)(?:['’]ve|\shave)?\s(?:just\s)?(?:moved|relocated)\s(?:(?:again|out|away|over|house)\s)?(?:to|into|back)\b"
            r"|\b(?:um)?gezogen\b|\bdéménagé|\b(?:me\smudé|nos\smudamos)|\btrasferit[oai]\b|\bmud(?:ei|ámos)\b|\bverhuisd\b",
            re.I,
        ),
    ),
    (
        re.compile(
            r"\b(?:i|we)(?:['’](?:m|re))?\s(?:still\s|also\s)?(?:work|working)\b|\bich\sarbeite|\bje\stravaille|\btrabajo\s"
            r"|\blavoro\s(?:come|in|per|a)\b|\btrabalho\s(?:como|n[oa]|em)\b|\bik\swerk\b",
            re.I,
        ),
        re.compile(
            r"\bstarted\s(?:as|at|with|a\snew\sjob|my\snew\sjob)\b|\bnew\s(?:\w+\s)?job\b|\blet\sme\sgo\b|\blaid\soff\b|\bfired\b"
            r"|\b(?:quit|left|lost)\smy\sjob\b|\bretired\b|\bresigned\b|\bgekündigt\b"
            r"|\bneue[nr]?\s(?:job|stelle)\b|\bnouve(?:l|au)\s(?:emploi|travail)\b|\bdémissionné|\bnuevo\strabajo\b"
            r"|\bnuovo\slavoro\b|\blicenziat[oa]\b|\bnovo\s(?:emprego|trabalho)\b|\bnieuwe\sbaan\b|\bontslagen\b",
            re.I,
        ),
    ),
)
"""What one says of one's home and work, and how one says that it has changed."""
_DIET = re.compile(r"\b(?:vegan|vegetarian|vegetarisch|végane?|végétarienn?e?|vegan[oa]|vegetarian[oa])\b", re.I)
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
    asked: Collection[int] = (),
) -> dict[Id, Id]:
    """Id of each passage that is out of date → id of the newest one in its place.

    Args:
        older: those that would be shown.
        all_statements: among which the newer ones are sought; `older` among them.
        vectors: id → embedding, unit length, of all of them; those without one replace nothing.
        words: which words are alike; None: none are.
        asked: terms of the question.
    """
    newest: dict[Id, Id] = {}
    known = [one for one in all_statements if one.hit.id in vectors and one.comparable]
    if len(known) < 2:
        return newest
    at = np.array([one.hit.at for one in known])
    matrix = np.stack([vectors[one.hit.id] for one in known])
    sides = [_Side(one) for one in known]
    place = {one.hit.id: index for index, one in enumerate(known)}
    all_cosines = dots(matrix, matrix)
    user = np.array([one.hit.role == "user" for one in known])
    # Of each, the nearest older one of the same speaker.
    before = np.where((at[:, None] < at) & (user[:, None] == user), all_cosines, -1.0)
    nearest, how_near = before.argmax(axis=0).tolist(), before.max(axis=0).tolist()
    about = frozenset(asked)
    for rank, old in enumerate(older):
        row = place.get(old.hit.id)
        if row is None:
            continue
        cosines = all_cosines[row].tolist()
        values: list[Statement] = []
        changes: list[tuple[float, int]] = []
        for index in np.flatnonzero(at > old.hit.at).tolist():
            new = known[index]
            if new.hit.role != old.hit.role or _differ(new.hit.traits.speaker, old.hit.traits.speaker):
                continue
            if cosines[index] < SAME_MEANING and not new.changes:
                continue
            pair = _Pair(sides[index], sides[row], cosines[index], words, about)
            of_this = not new.changes or not pair.changes_rather(sides[nearest[index]].terms, how_near[index])
            if (of_this and pair.replaces()) or (rank < UNNAMED_RANK and pair.replaces_unnamed()):
                if new.changes:
                    changes.append((pair.cosine, index))
                else:
                    values.append(new)
        # The newest value, or the nearest change, whichever was said later.
        found = [*values, *(known[index] for _, index in sorted(changes)[-1:])]
        if found:
            newest[old.hit.id] = max(found, key=lambda one: one.hit.at).hit.id
    return {id: _last(id, newest) for id in newest}


def _last(id: Id, newest: Mapping[Id, Id]) -> Id:
    """The end of a chain of replacements; each is newer than the one before, so there is one."""
    while id in newest:
        id = newest[id]
    return id


class _Side:
    """What is read of a statement, once for all that it is compared with."""

    def __init__(self, statement: Statement) -> None:
        self.hit, self.score, self.changes = statement.hit, statement.score, statement.changes
        self.terms: frozenset[int] = frozenset(statement.hit.terms.tolist())

    @cached_property
    def text(self) -> str:
        return self.hit.text.lower()

    @cached_property
    def about(self) -> str:
        """The other person that it is about, "" for the user."""
        found = _OTHERS.match(self.hit.text)
        return found[1].lower() if found else ""

    @cached_property
    def tells(self) -> tuple[bool, ...]:
        """Whether of one's home, of one's work."""
        return tuple(was.search(self.hit.text) is not None for was, _ in _OTHERWISE)

    @cached_property
    def ends(self) -> tuple[bool, ...]:
        """Whether it says that one's home, one's work has changed."""
        return tuple(changed.search(self.hit.text) is not None for _, changed in _OTHERWISE)

    @cached_property
    def diet(self) -> bool:
        return _DIET.search(self.hit.text) is not None

    @cached_property
    def unnamed(self) -> bool:
        """Whether it says "it"."""
        return _UNNAMED.search(self.hit.text) is not None

    @cached_property
    def words(self) -> frozenset[str]:
        """The first four letters, "lives" and "living", of those that are no names."""
        words = {word.lower() for word in _WORD.findall(_NAME.sub(" ", self.hit.text))} - ENGLISH
        return frozenset(word[:4] for word in words)


class _Pair:
    """Two statements, one of which may replace the other."""

    def __init__(self, new: _Side, old: _Side, cosine: float, words: WordVectors | None, asked: frozenset[int]) -> None:
        self.new, self.old, self.cosine, self._words = new, old, cosine, words
        terms, others = new.terms, old.terms
        self._common, self._only_new, self._only_old = terms & others, terms - others, others - terms
        self._fewer = min(len(terms), len(others))
        self._asked_of_old = asked & self._only_old

    def replaces(self) -> bool:
        """Whether it does so by what both have in common."""
        new, old = self.new, self.old
        if (self.cosine < RELATED_MEANING and not (self._common and new.changes)) or not (
            old.about in new.text and new.about in old.text
        ):
            return False
        if new.changes:
            return self._changes()
        return (
            bool(self._only_new and self._only_old)
            and len(self._common) >= SAME_WORDS * self._fewer
            and not self._asked_of_old
            and new.score >= old.score - ANSWERS_AS_WELL
            and not new.words.isdisjoint(old.words)
        )

    def changes_rather(self, other: frozenset[int], cosine: float) -> bool:
        """Whether what has changed is another older statement, of these terms and so near, not the asked one."""
        return (
            bool(self._asked_of_old)
            and cosine > max(SHARED_CHANGE_MEANING, self.cosine + OF_SOMETHING_ELSE)
            and not self._asked_of_old.issubset(other)
        )

    def _changes(self) -> bool:
        new, old = self.new, self.old
        if any(map(and_, old.tells, new.ends)):
            return True
        if new.hit.traits.speaker:  # all lines of somebody have the name in common
            return self.cosine >= CHANGE_MEANING
        if self._common:
            if self.cosine >= SHARED_CHANGE_MEANING or new.score >= old.score:
                return True
        elif len(self._asked_of_old) > 1:
            return False
        if new.diet and self._alike() >= MUCH_ALIKE:
            return True
        short = len(new.hit.terms) <= FEW_TERMS
        return self.cosine >= CHANGE_MEANING or (short and new.score >= ANSWERS_AT_ALL)

    def replaces_unnamed(self) -> bool:
        """Whether it says of "it" that it has changed, and each has a value of the same sort that the other has not."""
        if not self.new.changes or self._common or not self.new.unnamed:
            return False
        return bool(_FIGURE.search(self.new.text) and _FIGURE.search(self.old.text)) or self._alike() >= ALIKE_VALUES

    def _alike(self) -> float:
        """How alike the two most alike of the words are that only one of them has."""
        if self._words is None or not self._only_new or not self._only_old:
            return 0.0
        mine, theirs = (np.array(sorted(terms), np.uint32) for terms in (self._only_new, self._only_old))
        return float(self._words.cosines(mine, theirs).max())


def _differ(speaker: str, other: str) -> bool:
    """Whether both are known and not the same: "Correction: …" looks like the line of a speaker."""
    return bool(speaker and other and speaker != other)
