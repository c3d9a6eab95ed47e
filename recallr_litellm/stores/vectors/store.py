"""The memory of all users: what is asked of it, whatever Qdrant it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import (
    Hits,
    Memory,
    Passage,
    PassageHit,
    Session,
    Span,
    SparseVector,
    Turn,
    User,
    Vector,
)
from recallr_litellm.errors import ConfigurationError, VectorsRefused, VectorsUnavailable
from recallr_litellm.stores.embedding import Embedder
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.candidates import Candidates, gone_on_in, of_times, said_in, searched_fields
from recallr_litellm.stores.vectors.collections import Collections, all_of, open_collection
from recallr_litellm.stores.vectors.engine import Engine, Nearest, Payload, Point, PointId, Where, scope
from recallr_litellm.stores.vectors.points import Description
from recallr_litellm.stores.vectors.schema import Kind

_READ_PAGE = 256
"""Records read in one call."""
_NO_STATEMENT = (schema.STATES_NOTHING,)
_CHANGES = 16
"""Most passages that tell of a change which are looked at for one question."""
_OF_TIME = 20
"""Passages that are looked at of each time which a question names: said in it, and naming it."""


class VectorStore:
    """Users, processed sessions, their messages and summaries, and memories.

    >>> store = VectorStore(open_collections(settings), embedder)
    >>> await store.open()
    >>> await store.save_session(owner, session, turns, summary)
    >>> await store.save_memories(owner, [(memory, passage)], replacing=session.id)
    >>> passages, summaries, memories = await store.search(owner, dense, sparse, exclude_sessions={session.id})

    Times are milliseconds since the epoch, UTC. Every method raises `VectorsUnavailable` in an
    outage of Qdrant and before `open` has succeeded, and `VectorsRefused` when Qdrant refuses this
    call alone.
    """

    def __init__(self, collections: Collections, model: Embedder) -> None:
        """
        Args:
            collections: of which it opens one, that of the model. Closed with the store.
            model: the configured one.
        """
        self._collections = collections
        self._collection = ""
        self._opened: Engine | None = None
        self._opening = asyncio.Lock()
        self._model = model
        self._refusal: ConfigurationError | None = None

    async def open(self) -> None:
        """Open the collection of the embedding model, once; make it where nothing is stored yet.

        After `Unavailable` it may be called again. After a `ConfigurationError` the store is closed for good.

        Raises:
            ConfigurationError: the collection cannot be used: it has vectors of another model, say.
            EmbeddingUnavailable: the model does not know its dimension yet.
        """
        async with self._opening:  # probes of reading and of writing may come at once
            if self._opened is not None:
                return
            if self._refusal is not None:
                raise self._refusal
            try:
                wanted = Description(self._model.name, self._model.dimension)
                self._collection, self._opened = await open_collection(self._collections, wanted)
            except ConfigurationError as error:
                self._refusal = error
                await self._collections.close()
                raise

    async def suspend(self) -> None:
        """Let go of what belongs to the running event loop. The store stays usable, also on another loop."""
        await self._collections.suspend()

    @property
    def collection(self) -> str:
        """Name of the collection; known once the store was opened."""
        return self._collection

    async def close(self) -> None:
        """Make everything durable and let go of it."""
        self._opened = None
        await self._collections.close()

    async def flush(self) -> None:
        """Make what was written survive a power cut too; a killed process loses nothing either way.

        Embedded only: tens of milliseconds during which the event loop stands still.
        """
        await self._engine.flush()

    async def ping(self) -> None:
        """Return when Qdrant answers and holds our collection. One that is gone is made anew by the next `open`."""
        if not await self._engine.read([points.META_ID]):
            self._opened = None
            raise VectorsUnavailable("The Qdrant collection is gone")

    async def probe_write(self) -> None:
        """Return if Qdrant takes writes. Changes nothing."""
        await self._engine.upsert(
            [points.meta_point(Description(self._model.name, self._model.dimension))], keep_existing=True
        )

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            raise VectorsUnavailable("The vector store is not open")
        return self._opened

    async def get_user(self, owner: Owner) -> User | None:
        """The user, if it was ever put."""
        payload = await self._get(owner, Kind.USER)
        return points.record_of(payload, User) if payload else None

    async def put_user(self, owner: Owner, user: User) -> None:
        """Create the user, or replace all of it but `created_at`, which is that of the first write.

        Raises:
            ValueError: `user` is not the user of `owner`.
        """
        if Owner(user.project, user.user) != owner:
            raise ValueError("a user can only be put under its own owner")
        # Insert first, then read: also when two workers create the same user, the first write wins.
        await self._engine.upsert([points.user_point(owner, user)], keep_existing=True)
        existing = await self.get_user(owner)
        if existing is not None and existing != user:
            user = user.model_copy(update={"created_at": existing.created_at})
            await self._engine.upsert([points.user_point(owner, user)])

    async def get_session(self, owner: Owner, session_id: str) -> Session | None:
        """A processed session of this user; another user's is None."""
        payload = await self._get(owner, Kind.SESSION, session_id)
        return points.record_of(payload, Session) if payload else None

    async def read_messages(self, owner: Owner, session_id: str) -> list[StoredMessage]:
        """All messages of a processed session, by position; none for a session that is not there."""
        where = Where(owner, Kind.TURN, {schema.SESSION: session_id}, having=[schema.FIRST])
        messages = [points.record_of(payload, StoredMessage) for payload in await self._all(where, [schema.RECORD])]
        return sorted(messages, key=lambda message: message.position)

    async def save_session(
        self, owner: Owner, session: Session, turns: Sequence[Turn], summary: Passage | None
    ) -> None:
        """Write a session so that it consists of exactly these turns.

        May be repeated, and interrupted anywhere and then repeated, with the same outcome. What was
        stored before is deleted last, so a reader never sees less than the old or the new session.
        The session itself is written after its turns: where `get_session` finds it, they are there.
        Its memories stay as they are, until `save_memories` replaces them.
        """
        written: list[str] = []
        for batch in points.batches(point for turn in turns for point in points.turn_points(owner, session.id, turn)):
            await self._write(batch)
            written.extend(point.id for point in batch)
        await self._engine.upsert([points.session_point(owner, session, summary)])
        await self._delete(Where(owner, Kind.TURN, {schema.SESSION: session.id}, exclude_ids=written))

    async def _write(self, batch: Sequence[Point]) -> None:
        """Write points of messages. One that Qdrant refuses loses its vectors and what is too long of its text."""
        try:
            await self._engine.upsert(batch)
        except VectorsRefused:
            if len(batch) == 1:
                await self._engine.upsert([points.reduced(batch[0])])
                return
            for point in batch:
                await self._write([point])

    async def save_memories(
        self, owner: Owner, memories: Sequence[tuple[Memory, Passage]], *, replacing: str | None = None
    ) -> None:
        """Write memories, each with the embeddings of its content. One that is there by its id is replaced.

        Args:
            replacing: id of a session that was processed (again): of its memories only these remain. What is no
                longer among them is deleted last, so a reader never sees less than the old or the new ones.
        """
        written: list[str] = []
        for batch in points.batches(points.memory_point(owner, memory, indexed) for memory, indexed in memories):
            await self._engine.upsert(batch)
            written.extend(point.id for point in batch)
        if replacing is not None:
            await self._delete(Where(owner, Kind.MEMORY, {schema.SESSION: replacing}, exclude_ids=written))

    async def get_memories(
        self, owner: Owner, ids: Sequence[str], *, exclude_sessions: Collection[str] = ()
    ) -> list[Memory]:
        """Those of these memories that this user has, in the order of `ids`; one lookup for all of them."""
        if not ids:
            return []
        of_ids = [points.point_id(owner, Kind.MEMORY, id) for id in ids]
        where = Where(owner, Kind.MEMORY, ids=of_ids, exclude_sessions=exclude_sessions)
        memories = [points.record_of(payload, Memory) for payload in await self._all(where, [schema.RECORD])]
        found = {memory.id: memory for memory in memories}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    async def search(
        self,
        owner: Owner,
        dense: Vector | Awaitable[Vector],
        sparse: SparseVector,
        *,
        exclude_sessions: Collection[str],
        within: Span | None = None,
        times: Sequence[Span] = (),
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
        fields = searched_fields(names_times=bool(times))
        statements = Candidates(stating, turn_candidates, lacking=_NO_STATEMENT, fields=fields)
        others = Candidates(asking, max(1, turn_candidates // 2), lacking=_NO_STATEMENT, fields=fields)
        sessions = Candidates(gone_on_in(owner, within, exclude_sessions), summary_candidates)
        memories = Candidates(Where(owner, Kind.MEMORY, exclude_sessions=exclude_sessions), memory_candidates)
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
        )

    async def vectors_of(self, owner: Owner, hits: Sequence[PassageHit]) -> dict[PointId, Vector]:
        """The embeddings of passages that a search of this owner has found, by their ids; unit length."""
        where = Where(owner, Kind.TURN, ids=[hit.id for hit in hits])
        return await self._engine.vectors(where, len(hits)) if hits else {}

    async def search_sessions(
        self,
        owner: Owner,
        dense: Vector,
        sparse: SparseVector,
        *,
        sessions: Collection[str],
        limit: int,
        known: Sequence[PassageHit] = (),
        within: Span | None = None,
        names_times: bool = False,
    ) -> list[PassageHit]:
        """What else is near a query in some of this user's sessions, after what is known already.

        Args:
            sessions: their ids.
            limit: most passages of these sessions, the known ones among them; at least 1.
            known: what `search` has found for the same query. It is not fetched again.
            within: only what was said in this time.
            names_times: the times that passages name are asked for.

        Returns:
            `known`, then the nearest other passages of the sessions, best first. Cosines are exact; BM25 scores are
            known for the `limit` best of the sessions by words, which may raise those of `known`, and are 0 for the
            others.
        """
        if not sessions:
            return list(known)
        where = replace(said_in(owner, within), sessions=sessions)
        read = {hit.id for hit in known if hit.session in sessions}
        queries = (
            [Nearest(sparse, where, limit, corpus=Where(owner, Kind.TURN, lacking=_NO_STATEMENT))]
            if sparse.indices
            else []
        )
        if len(read) < limit:
            unread = replace(where, exclude_ids=read)
            queries.append(Nearest(dense, unread, limit - len(read), fields=searched_fields(names_times=names_times)))
        answers = await self._engine.query(queries) if queries else []
        words = answers.pop(0) if sparse.indices else []
        bm25 = {found.id: found.score for found in words}
        return [
            *(hit._replace(bm25=max(hit.bm25, bm25.get(hit.id, 0.0))) for hit in known),
            *(points.passage_hit(found, bm25.get(found.id, 0.0)) for answer in answers for found in answer),
        ]

    async def holding(self, owner: Owner, terms: Sequence[SparseVector], *, limit: int) -> list[list[str]]:
        """For each of `terms`, up to `limit` passages of this user that have one of its words; none for no words."""
        where = Where(owner, Kind.TURN)
        asked = [Nearest(one, where, limit, fields=(schema.HIT,)) for one in terms if one.indices]
        answers = iter(await self._engine.query(asked) if asked else ())
        return [
            [points.passage_hit(found, 0.0).text for found in next(answers)] if one.indices else [] for one in terms
        ]

    async def last_user_messages(
        self, owner: Owner, n: int, *, exclude_sessions: Collection[str]
    ) -> list[tuple[str, StoredMessage]]:
        """The newest `n` ≥ 1 messages that the user wrote, oldest first, each with the id of its session."""
        where = Where(owner, Kind.TURN, having=[schema.FROM_USER], exclude_sessions=exclude_sessions)
        found = [
            (str(payload[schema.SESSION]), points.record_of(payload, StoredMessage))
            for payload in await self._newest(where, n, [schema.SESSION, schema.RECORD])
        ]
        found.sort(key=lambda pair: (pair[1].at, pair[0], pair[1].position))
        return found[-n:]

    async def last_summaries(self, owner: Owner, n: int, *, exclude_sessions: Collection[str]) -> list[Session]:
        """The newest `n` ≥ 1 sessions that have a summary, by their last use, oldest first."""
        where = Where(owner, Kind.SESSION, having=[schema.SUMMARISED], exclude_sessions=exclude_sessions)
        sessions = [points.record_of(payload, Session) for payload in await self._newest(where, n, [schema.RECORD])]
        sessions.sort(key=lambda session: (session.last_at, session.id))
        return sessions[-n:]

    async def sessions_between(
        self, owner: Owner, within: Span, n: int, *, exclude_sessions: Collection[str]
    ) -> list[Session]:
        """Of the sessions that went on in this time the `n` ≥ 1 that ended last, oldest first."""
        where = gone_on_in(owner, within, exclude_sessions)
        found, _ = await self._engine.scroll(where, n, fields=[schema.RECORD], newest_first=True)
        sessions = [points.record_of(point.payload, Session) for point in found]
        return sorted(sessions, key=lambda session: (session.last_at, session.id))

    async def _delete(self, where: Where) -> None:
        """Delete the points from every collection of the store: a reindex would bring back what is left in one."""
        await self._engine.delete(where)
        for other in await all_of(self._collections, but=self._collection):
            await self._collections.engine(other.name).delete(where)

    async def _get(self, owner: Owner, kind: Kind, *natural_key: str) -> Payload | None:
        id = points.point_id(owner, kind, *natural_key)
        payload = (await self._engine.read([id])).get(id)
        return payload if payload and payload[schema.SCOPE] == scope(owner, kind) else None

    async def _newest(self, where: Where, n: int, fields: Sequence[str]) -> list[Payload]:
        """At least the newest `n` points, in any order.

        Messages that arrive together bear the same time, and Qdrant orders by time alone: asked
        for n, it may cut through an instant anywhere. So it is only asked where the n-th lies.
        """
        newest, _ = await self._engine.scroll(where, n, fields=[schema.AT], newest_first=True)
        if not newest:
            return []
        return await self._all(replace(where, since=min(point.payload[schema.AT] for point in newest)), fields)

    async def _all(self, where: Where, fields: Sequence[str]) -> list[Payload]:
        found, after = await self._engine.scroll(where, _READ_PAGE, fields=fields)
        while after is not None:
            page, after = await self._engine.scroll(where, _READ_PAGE, fields=fields, after=after)
            found += page
        return [point.payload for point in found]
