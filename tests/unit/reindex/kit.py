"""A store filled by one embedding model, and another model; both hash words, so that every vector can be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recallr_litellm.core.audit import AuditEntry
from recallr_litellm.core.facts import Extraction, Fact
from recallr_litellm.core.knowledge import Conflict
from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import Memory, Passage, Session, Turn, User, Vector
from recallr_litellm.errors import EmbeddingMisconfigured, EmbeddingRefused, EmbeddingUnavailable
from recallr_litellm.reindex import Outcome, Reindex
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.stores.vectors.collections import open_collection
from recallr_litellm.stores.vectors.engine import Nearest, Where
from recallr_litellm.stores.vectors.points import META_ID, Description, text_of
from recallr_litellm.stores.vectors.schema import HIT, RECORD, SCOPE, Kind
from tests.support.wires.embeddings import _embed

ADA, BOB, EVE = Owner("acme", "ada"), Owner("acme", "bob"), Owner("globex", "ada")
OWNERS = (ADA, BOB, EVE)
AT = 1_760_000_000_000

OLD = ("old-model", 16, 0)
NEW = ("litellm/new-model", 24, 5)
OLD_NAME, NEW_NAME = "recallr-old-model", "recallr-litellm-new-model"


@dataclass
class Hashing:
    """An embedding model: a bag of hashed words, of a length of its own, turned by its seed."""

    name: str
    dimension: int
    seed: int
    embedded: list[str] = field(default_factory=list)
    """Every text that was embedded to be found."""
    before_each: Callable[[], Awaitable[None]] | None = None
    """Called before texts are embedded."""
    refuses: str = ""
    """A word: it refuses texts that hold it."""
    fails_after: int | None = None
    """How many texts it embeds before it fails."""

    async def open(self) -> None:
        """There is nothing to load."""

    async def probe(self) -> None:
        if self.refuses and self.refuses in "dimension":
            raise EmbeddingMisconfigured("status 400")

    async def query(self, text: str, project: str) -> Vector:
        return self.vector(text)

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        if self.before_each is not None:
            await self.before_each()
        if self.fails_after is not None and len(self.embedded) >= self.fails_after:
            raise EmbeddingUnavailable("the model is unreachable")
        if self.refuses and any(self.refuses in text for text in texts):
            raise EmbeddingRefused("status 400")
        self.embedded += texts
        return [self.vector(text) for text in texts]

    async def close(self) -> None:
        """There is nothing to free."""

    def vector(self, text: str) -> Vector:
        return np.roll(_embed(text, self.dimension), self.seed)


class Store:
    """A store: gateways that use it, and what is in its collections."""

    def __init__(self, collections: Collections, sparse: SparseEncoder) -> None:
        self.collections = collections
        self.sparse = sparse

    async def gateway(self, model: Hashing) -> Gateway:
        """A gateway that starts with this model. Raises what its start raises."""
        await open_collection(self.collections, Description(model.name, model.dimension))
        vectors = VectorStore(self.collections, model)
        await vectors.open()
        return Gateway(vectors, model, self.sparse)

    async def reindex(self, model: Hashing) -> Outcome:
        job = Reindex(self.collections, model, self.sparse, on_progress=lambda *_: None, patience=0.1)
        outcome = await job.run()
        assert outcome is not None, "nothing is remembered"
        return outcome

    async def points(self, name: str) -> dict[str, dict[str, object]]:
        """Id → payload of every point of a collection but its description."""
        engine = self.collections.engine(name)
        found, after = await engine.scroll(None, 1000)
        assert after is None
        return {point.id: point.payload for point in found if point.id != META_ID}

    async def assert_embedded_with(self, model: Hashing, name: str) -> None:
        """Every text is found by exactly its vectors of this model, among its owner's points."""
        engine = self.collections.engine(name)
        for owner in OWNERS:
            for kind in (Kind.TURN, Kind.SESSION, Kind.MEMORY):
                where = Where(owner, kind, having=[HIT])
                page, _ = await engine.scroll(where, 1000, fields=[SCOPE, HIT, RECORD])
                for text in filter(None, (text_of(point.payload) for point in page)):
                    vectors = (model.vector(text), self.sparse.query(text))
                    meant, said = await engine.query(
                        [Nearest(v, where, 1, fields=(SCOPE, HIT, RECORD)) for v in vectors]
                    )
                    assert meant[0].score > 0.999, f"{text!r} does not have its vector of {model.name}"
                    assert text_of(meant[0].payload) == text, f"{text!r} is not found by its vector"
                    assert said, f"{text!r} is not found by its words"


class Gateway:
    """Writes sessions as a gateway does, with the vectors of its model."""

    def __init__(self, vectors: VectorStore, model: Hashing, sparse: SparseEncoder) -> None:
        self.vectors = vectors
        self.model = model
        self.sparse = sparse

    async def session(self, owner: Owner, id: str, *texts: str, at: int = AT) -> None:
        """A user and a session that consists of exactly these messages, each of two passages, and a tool result."""
        await self.vectors.put_user(owner, User(project=owner.project, user=owner.user, created_at=AT))
        turns = [
            Turn(_stored(text, position, at), (self._passage(text), self._passage(f"{text} Second part.")))
            for position, text in enumerate(texts)
        ]
        turns.append(Turn(_stored('{"found": 3}', len(texts), at, role="tool"), ()))
        summary = f"Summary of {id}: {' '.join(texts)[:60]}"
        session = Session(
            id=id, created_at=AT, last_at=at, timeout_seconds=600, message_count=len(turns), summary=summary
        )
        await self.vectors.save_session(owner, session, turns, self._passage(summary))

    async def knows(self, owner: Owner) -> None:
        """What is learned of a user: a memory in two versions, a conflict, and what they were extracted as."""
        current = Memory(
            id="a" * 32, content="Lives in Rome.", questions=("Where do I live?",), created_at=AT, session="s0"
        )
        before = current.model_copy(update={"id": "b" * 32, "chain": current.id, "expired_at": AT, "questions": ()})
        memories = [current, before.model_copy(update={"content": "Lived in Porto."})]
        await self.vectors.save_memories(owner, [(one, self._passage(one.indexed_text)) for one in memories])
        conflict = Conflict(
            id="c" * 32, memory=current.id, proposed="d" * 32, content="In Paris.", session="s0", created_at=AT
        )
        await self.vectors.put_conflict(owner, conflict, keep_existing=False)
        fact = Fact(id=current.id, text=current.content, said_at=AT, sources=("m1",))
        extraction = Extraction(session="s0", window="w", prompt=1, messages=("m1",), facts=(fact,))
        await self.vectors.keep_extraction(owner, extraction)
        entry = AuditEntry(id="e" * 32, at=AT, who="RECALLR_PROJECTS", action="edit memory")
        await self.vectors.put_audit(Project(owner.project), entry)

    async def said(self, owner: Owner, id: str) -> list[str]:
        """What a session consists of, but for the tool's results."""
        found = await self.vectors.read_messages(owner, id)
        return [stored.message.text for stored in found if stored.message.role == "user"]

    def _passage(self, text: str) -> Passage:
        [terms] = self.sparse.passages([text])
        return Passage(text, self.model.vector(text), terms)


def _stored(text: str, position: int, at: int, *, role: str = "user") -> StoredMessage:
    message = Message(role=role, text=text)  # type: ignore[arg-type]
    return StoredMessage(id=f"m{position}-{text[:20]}", exchange="x", position=position, at=at, message=message)
