"""A store filled by one embedding model, and another model; both hash words, so that every vector can be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Passage, Session, SparseVector, Turn, User, Vector
from recallr_litellm.errors import EmbeddingUnavailable
from recallr_litellm.reindex import LEASE_SECONDS, Reindex
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state.board import Board, Progress
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.stores.vectors.engine import Nearest, Where
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

    async def query(self, text: str) -> Vector:
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

    async def session(self, owner: Owner, id: str, *texts: str, at: int = AT) -> None:
        """A user and a session that consists of exactly these messages, each of two passages, and a tool result."""
        await self.vectors.put_user(owner, User(project=owner.project, user=owner.user, created_at=AT))
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


@dataclass(frozen=True)
class Held:
    """What a collection holds of one owner."""

    points: dict[str, dict[str, object]]
    """Id → payload."""
    vectors: dict[str, tuple[Vector | None, SparseVector | None]]


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
    """Every text of the current collection is found by exactly its vectors of this model."""
    store = VectorStore(collections.engine(await collections.current()), model)
    await store.open()
    for owner in OWNERS:
        for payload_text, kind in await _texts(collections, owner):
            where = Where(owner, kind)
            [dense, words] = await store._engine.query(
                [
                    Nearest(model.vector(payload_text), where, 50, fields=("hit",)),
                    Nearest(sparse.query(payload_text), where, 50, fields=("hit",)),
                ]
            )
            cosines = [found.score for found in dense if _text_of(found.payload) == payload_text]
            assert cosines, f"{payload_text!r} is not found by its vector"
            assert max(cosines) > 0.999, f"{payload_text!r} does not have the vector of {model.name}: {cosines}"
            assert any(_text_of(found.payload) == payload_text for found in words), f"{payload_text!r} has lost its words"


async def _texts(collections: Collections, owner: Owner) -> list[tuple[str, Kind]]:
    engine = collections.engine(await collections.current())
    found = []
    for kind in (Kind.TURN, Kind.SESSION):
        page, _ = await engine.page(Where(owner, kind, having=["hit"]), ["hit"], 1000)
        found += [(_text_of(payload), kind) for payload in page]
    return found


def _text_of(payload: dict[str, object]) -> str:
    import json

    return str(json.loads(str(payload["hit"]))[-1])


async def reindex(
    collections: Collections, model: Hashing, sparse: SparseEncoder, board: Board, **options: object
) -> Progress:
    """One attempt, which has to come to its end."""
    lease = await board.take_lease(LEASE_SECONDS)
    assert lease is not None, "somebody else is at it"
    options = {"where": "the test", "patience": 5.0, **options}
    return await Reindex(collections, model, sparse, board, **options).run(lease)  # type: ignore[arg-type]
