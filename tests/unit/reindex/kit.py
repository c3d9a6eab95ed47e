"""A store filled by one embedding model, and another model; both hash words, so that every vector can be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Passage, Session, Turn, User, Vector
from recallr_litellm.errors import EmbeddingUnavailable
from recallr_litellm.reindex import LEASE_SECONDS, Reindex
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state.board import Board, Progress
from recallr_litellm.stores.vectors import Collections, VectorStore, schema
from recallr_litellm.stores.vectors.engine import Nearest, Where
from recallr_litellm.stores.vectors.points import text_of
from recallr_litellm.stores.vectors.schema import Kind
from tests.support.wires.embeddings import _embed

ADA, BOB, EVE = Owner("acme", "ada"), Owner("acme", "bob"), Owner("globex", "ada")
OWNERS = (ADA, BOB, EVE)
AT = 1_760_000_000_000


@dataclass
class Hashing:
    """An embedding model: a bag of hashed words, of a length of its own, turned by its seed."""

    name: str = "old-model"
    dimension: int = 16
    seed: int = 0
    embedded: list[str] = field(default_factory=list)
    """Every text that was embedded to be found."""
    before_each: Callable[[], Awaitable[None]] | None = None
    """Called before texts are embedded."""
    fault: str | None = None

    async def open(self) -> None:
        if self.fault:
            raise EmbeddingUnavailable(self.fault)

    async def probe(self) -> None: ...

    async def query(self, text: str, project: str) -> Vector:
        return self.vector(text)

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        if self.before_each is not None:
            await self.before_each()
        if self.fault:
            raise EmbeddingUnavailable(self.fault)
        self.embedded += texts
        return [self.vector(text) for text in texts]

    async def close(self) -> None:
        """Nothing to free."""

    def vector(self, text: str) -> Vector:
        return np.roll(_embed(text, self.dimension), self.seed)


OLD = ("old-model", 16, 0)
NEW = ("new-model", 24, 5)


def stored(text: str, position: int, *, role: Role = "user") -> StoredMessage:
    return StoredMessage(
        id=f"m{position}", exchange="x", position=position, at=AT + position, message=Message(role=role, text=text)
    )


class Remembering:
    """Writes sessions as processing does, with the vectors of one model.

    Args:
        sparse: BM25.
    """

    def __init__(self, vectors: VectorStore, model: Hashing, sparse: SparseEncoder) -> None:
        self.vectors = vectors
        self.model = model
        self.sparse = sparse

    def passage(self, text: str) -> Passage:
        [terms] = self.sparse.passages([text])
        return Passage(text, self.model.vector(text), terms)

    async def user(self, owner: Owner) -> None:
        """A user, as a request creates it."""
        await self.vectors.put_user(owner, User(project=owner.project, user=owner.user, created_at=AT))

    async def session(self, owner: Owner, id: str, *texts: str, at: int = AT) -> None:
        """A user and a session that consists of exactly these messages, each of two passages, and a tool result."""
        await self.user(owner)
        turns = [
            Turn(stored(text, position), (self.passage(text), self.passage(f"{text} Second part.")))
            for position, text in enumerate(texts)
        ]
        turns.append(Turn(stored('{"found": 3}', len(texts), role="tool"), ()))
        summary = f"Summary of {id}: {' '.join(texts)[:60]}"
        session = Session(
            id=id, created_at=at, last_at=at, timeout_seconds=600, message_count=len(turns), summary=summary
        )
        await self.vectors.save_session(owner, session, turns, self.passage(summary))


async def remembered(collections: Collections, owners: Collection[Owner] = OWNERS) -> dict[str, dict[str, object]]:
    """Id → payload of every point but the description, in the current collection."""
    engine = collections.engine(await collections.current())
    await engine.open(0)
    found, after = await engine.walk(1000)
    while after is not None:
        page, after = await engine.walk(1000, after=after)
        found += page
    return {point.id: point.payload for point in found if "scope" in point.payload}


async def per_owner(collections: Collections) -> dict[tuple[Owner, Kind], int]:
    """How many points each owner has of each kind, asked for as the store asks."""
    engine = collections.engine(await collections.current())
    counts = {}
    for owner in OWNERS:
        for kind in Kind:
            page, after = await engine.page(Where(owner, kind), ["scope"], 1000)
            assert after is None
            counts[owner, kind] = len(page)
    return counts


async def assert_embedded_with(model: Hashing, sparse: SparseEncoder, collections: Collections) -> None:
    """Every text of the current collection is found by exactly its vectors of this model, among its owner's points."""
    engine = collections.engine(await collections.current())
    assert await engine.open(0) == model.dimension
    for owner in OWNERS:
        for kind in (Kind.TURN, Kind.SESSION):
            found, _ = await engine.page(Where(owner, kind, having=[schema.HIT]), [schema.SCOPE, schema.HIT], 1000)
            texts = [text for payload in found if (text := text_of(payload)) is not None]
            where, fields = Where(owner, kind), (schema.SCOPE, schema.HIT)
            by_meaning = [Nearest(model.vector(text), where, 1, fields=fields) for text in texts]
            by_words = [Nearest(sparse.query(text), where, 1, fields=fields) for text in texts]
            answers = await engine.query([*by_meaning, *by_words]) if texts else []
            for text, meant in zip(texts, answers[: len(texts)], strict=True):
                assert meant[0].score > 0.999, f"{text!r} does not have its vector of {model.name}"
                assert text_of(meant[0].payload) == text, f"{text!r} is not found by its vector"
            for text, said in zip(texts, answers[len(texts) :], strict=True):
                assert said, f"{text!r} is not found by its words"


async def reindex(
    collections: Collections, model: Hashing, sparse: SparseEncoder, board: Board, **options: object
) -> Progress:
    """One attempt, which has to come to its end."""
    lease = await board.take_lease(LEASE_SECONDS)
    assert lease is not None, "somebody else is at it"
    options = {"where": "the test", "patience": 5.0, **options}
    return await Reindex(collections, model, sparse, board, **options).run(lease)  # type: ignore[arg-type]
