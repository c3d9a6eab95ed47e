"""Hybrid search in two queries: what the words find, then what the meaning finds and what it makes of the former."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Span, SparseVector, Vector
from recallr_litellm.stores.vectors import schema
from recallr_litellm.stores.vectors.engine import Found, Nearest, Where
from recallr_litellm.stores.vectors.schema import Kind

_MOST_TIMES = 4
"""Times of one question for which passages are looked for."""


class Candidates:
    """The points of a kind that may answer a query: the `limit` best by words and the `limit` best by meaning.

    First `by_words`, its answer put into `words`; then `by_meaning`, its answers given to `union`.
    """

    def __init__(
        self, where: Where, limit: int, *, lacking: tuple[str, ...] = (), fields: tuple[str, ...] = (schema.HIT,)
    ) -> None:
        """
        Args:
            fields: of their payload, to fetch.
            lacking: fields of points among which the rarity of a term is not counted.
        """
        self._where = where
        self._corpus = Where(where.owner, where.kind, lacking=lacking)
        self._limit = limit
        self._fields = fields
        self.words: list[Found] = []
        """What `by_words` found."""

    def by_words(self, sparse: SparseVector) -> Nearest:
        """The best by BM25, with the rarity of a term counted among this owner's points of this kind."""
        return Nearest(sparse, self._where, self._limit, corpus=self._corpus, fields=self._fields)

    def by_meaning(self, dense: Vector) -> list[Nearest]:
        """The best, and the cosines of those that the words have found."""
        best = Nearest(dense, self._where, self._limit, fields=self._fields)
        if not self.words:
            return [best]
        known = replace(self._where, ids=[found.id for found in self.words])
        return [best, Nearest(dense, known, len(self.words))]

    def union(self, answers: Sequence[list[Found]]) -> Iterator[tuple[Found, float]]:
        """Each point once, with its cosine as score, and its BM25."""
        best, *known = answers
        words = {found.id: found for found in self.words}
        for found in best:
            by_words = words.pop(found.id, None)
            yield found, 0.0 if by_words is None else by_words.score
        if not words:
            return
        cosines = {found.id: found.score for answer in known for found in answer}
        for id, found in words.items():
            if id in cosines:  # else it was deleted meanwhile
                yield found._replace(score=cosines[id]), found.score


def searched_fields(*, names_times: bool) -> tuple[str, ...]:
    """What a search wants to know of a passage."""
    return (schema.HIT, schema.TOKENS, schema.TIMES) if names_times else (schema.HIT, schema.TOKENS)


def of_times(said: Where, spans: Sequence[Span]) -> Iterator[Where]:
    """For each of the first spans, passages that name a time in it, and those that were said in it."""
    for span in spans[:_MOST_TIMES]:
        since = span.since if said.since is None else max(span.since, said.since)
        until = span.until if said.until is None else min(span.until, said.until)
        yield replace(said, naming=span)
        yield replace(said, since=since, until=until)


def said_in(owner: Owner, within: Span | None, exclude_sessions: Collection[str] = ()) -> Where:
    """Passages said in a time, or at any."""
    since, until = within or (None, None)
    return Where(owner, Kind.TURN, since=since, until=until, exclude_sessions=exclude_sessions)


def gone_on_in(owner: Owner, within: Span | None, exclude_sessions: Collection[str]) -> Where:
    """Sessions of which a part lies in a time, or all."""
    since, until = within or (None, None)
    return Where(owner, Kind.SESSION, since=since, begun_until=until, exclude_sessions=exclude_sessions)
