"""Part of the vector store: what a user's memory holds near a query."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Hits, PassageHit, Span, SparseVector, Vector
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.candidates import Candidates, gone_on_in, of_times, said_in, searched_fields
from recallr_litellm.stores.vectors.engine import Nearest, PointId, Where
from recallr_litellm.stores.vectors.schema import Kind

_NO_STATEMENT = (schema.STATES_NOTHING,)
_CHANGES = 16
"""Most passages that tell of a change which are looked at for one question."""
_OF_TIME = 20
"""Passages that are looked at of each time which a question names: said in it, and naming it."""


class Searching(OpenedCollection):
    """Searches by meaning and by words."""

    async def search(
        self,
        owner: Owner,
        dense: Vector | Awaitable[Vector],
        sparse: SparseVector,
        *,
        exclude_sessions: Collection[str],
        within: Span | None = None,
        times: Sequence[Span] = (),
        past: bool = False,
        names_times: bool = False,
        turn_candidates: int = 60,
        summary_candidates: int = 20,
        memory_candidates: int = 60,
    ) -> Hits:
        """What this user's sessions and memories hold near a query.

        Args:
            dense: embedding of the query, or what it will come from: the words are searched for meanwhile.
            sparse: its terms; may be empty.
            exclude_sessions: ids of sessions of which nothing must be found.
            within: only passages said in this time, and summaries of sessions that went on in it. Memories of any
                time are found: they have one of their own, when what they say happened.
            times: of passages that were said in one of these or name a time in it some more are found, by cosine.
            past: what is no longer true is found too, and earlier versions of memories.
            names_times: the times that passages name are asked for; with `times` they always are.
            turn_candidates: N ≥ 1 for passages.
            summary_candidates: N ≥ 1 for summaries.
            memory_candidates: N ≥ 1 for memories.

        Returns:
            Passages, summaries and memories, each the union of the N best by cosine and the N best by BM25, in no
            order. Messages that state nothing have candidates of their own, half as many, so that however often
            something is asked, no statement is lost. All have their exact cosine. BM25 scores count the rarity of a
            term among this user's statements (or summaries, or memories) only, and are 0 for what is not among the
            N best.

        Raises:
            VectorsUnavailable: Qdrant did not answer.
            Exception: what awaiting `dense` raises.
        """
        said = said_in(owner, within, exclude_sessions)
        stating, asking = replace(said, lacking=_NO_STATEMENT), replace(said, having=_NO_STATEMENT)
        fields = searched_fields(names_times=names_times or bool(times))
        statements = Candidates(stating, turn_candidates, lacking=_NO_STATEMENT, fields=fields)
        other_candidates = max(1, turn_candidates // 2)
        others = Candidates(asking, other_candidates, lacking=_NO_STATEMENT, fields=fields)
        gone_on = gone_on_in(owner, within, exclude_sessions)
        sessions = Candidates(gone_on, summary_candidates, fields=(schema.HIT, schema.GIST))
        of_any_time = () if past else (schema.PAST,)
        known = Where(owner, Kind.MEMORY, exclude_sessions=exclude_sessions, lacking=of_any_time)
        memories = Candidates(known, memory_candidates)
        kinds = (statements, others, sessions, memories)
        if sparse.indices:
            for kind, words in zip(kinds, await self._engine.query([k.by_words(sparse) for k in kinds]), strict=True):
                kind.words = words
        vector = dense if isinstance(dense, np.ndarray) else await dense
        asked = [kind.by_meaning(vector) for kind in kinds]
        changes = Nearest(vector, replace(said, having=(schema.TELLS_A_CHANGE,)), _CHANGES, fields=fields)
        timely = [Nearest(vector, where, _OF_TIME, fields=fields) for where in of_times(stating, times)]
        queries = [changes, *timely, *(query for of_kind in asked for query in of_kind)]
        each = iter(await self._engine.query(queries))
        changed, *timed = islice(each, 1 + len(timely))
        found = [list(kind.union(list(islice(each, len(of_kind))))) for kind, of_kind in zip(kinds, asked, strict=True)]
        near = ((one, 0.0) for answer in (changed, *timed) for one in answer)
        passages = {one.id: (one, bm25) for one, bm25 in (*near, *found[0], *found[1])}
        return Hits(
            [points.passage_hit(*one) for one in passages.values()],
            [points.summary_hit(*one) for one in found[2]],
            [points.memory_hit(*one) for one in found[3]],
            frozenset(one.id for one in changed),
            all_words=len(statements.words) < turn_candidates and len(others.words) < other_candidates,
        )

    async def vectors_of(self, owner: Owner, hits: Sequence[PassageHit]) -> dict[PointId, Vector]:
        """The embeddings of passages that a search of this owner has found, by their ids; unit length."""
        where = Where(owner, Kind.TURN, ids=[hit.id for hit in hits])
        return await self._engine.vectors(where, len(hits)) if hits else {}

    async def search_sessions(
        self,
        owner: Owner,
        dense: Vector,
        sparse: SparseVector | None,
        *,
        sessions: Collection[str],
        limit: int,
        known: Sequence[PassageHit] = (),
        within: Span | None = None,
        names_times: bool = False,
        memories: Collection[str] = (),
        exclude_sessions: Collection[str] = (),
    ) -> Hits:
        """What else is near a query in some of this user's sessions, after what is known already.

        Args:
            sparse: terms of the query; None where all passages that have one are known (`Hits.all_words`).
            sessions: their ids.
            limit: most passages of these sessions, the known ones among them; at least 1.
            known: what `search` has found for the same query. It is not fetched again.
            within: only what was said in this time.
            names_times: the times that passages name are asked for.
            memories: ids of some that are wanted too.
            exclude_sessions: from which none of these is wanted.

        Returns:
            `known`, then the nearest other passages of the sessions, best first. Cosines are exact; BM25 scores are
            known for the `limit` best of the sessions by words, which may raise those of `known`, and are 0 for the
            others. Those of the memories that this user has and that are true, without BM25. No summaries.
        """
        if not sessions:
            return Hits(list(known), [], [])
        where = replace(said_in(owner, within), sessions=sessions)
        read = {hit.id for hit in known if hit.session in sessions}
        queries = (
            [Nearest(sparse, where, limit, corpus=Where(owner, Kind.TURN, lacking=_NO_STATEMENT))]
            if sparse is not None and sparse.indices
            else []
        )
        by_words = len(queries)
        if len(read) < limit:
            unread = replace(where, exclude_ids=read)
            queries.append(Nearest(dense, unread, limit - len(read), fields=searched_fields(names_times=names_times)))
        if memories:
            ids = [points.point_id(owner, Kind.MEMORY, id) for id in memories]
            wanted = Where(owner, Kind.MEMORY, ids=ids, lacking=(schema.PAST,), exclude_sessions=exclude_sessions)
            queries.append(Nearest(dense, wanted, len(ids), fields=(schema.HIT,)))
        answers = await self._engine.query(queries) if queries else []
        words = answers.pop(0) if by_words else []
        of_memories = answers.pop() if memories else []
        bm25 = {found.id: found.score for found in words}
        passages = [
            *(hit._replace(bm25=score) if (score := bm25.get(hit.id, 0.0)) > hit.bm25 else hit for hit in known),
            *(points.passage_hit(found, bm25.get(found.id, 0.0)) for answer in answers for found in answer),
        ]
        return Hits(passages, [], [points.memory_hit(found, 0.0) for found in of_memories])

    async def holding(self, owner: Owner, terms: Sequence[SparseVector], *, limit: int) -> list[list[str]]:
        """For each of `terms`, up to `limit` passages of this user that have one of its words; none for no words."""
        where = Where(owner, Kind.TURN)
        asked = [Nearest(one, where, limit, fields=(schema.HIT,)) for one in terms if one.indices]
        answers = iter(await self._engine.query(asked) if asked else ())
        return [
            [points.passage_hit(found, 0.0).text for found in next(answers)] if one.indices else [] for one in terms
        ]
