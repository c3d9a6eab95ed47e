"""Small records for the tests of the vector store."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Passage, Session, SparseVector, Turn, Vector
from recallr_litellm.stores.vectors.engine import Engine, Where
from recallr_litellm.stores.vectors.schema import SCOPE, Kind


@dataclass(frozen=True)
class Model:
    """An embedding model, as far as the store knows one."""

    name: str
    dimension: int


DIMENSION = 8
MODEL = "test-model"
START = 1_760_000_000_000
"""Milliseconds since the epoch at which the tests begin."""

ADA = Owner("project", "ada")
BOB = Owner("project", "bob")

NO_TERMS = SparseVector((), ())


def towards(axis: int, lean: float = 0.0) -> Vector:
    """A unit vector along an axis, leaning towards the next one: its cosine with the axis falls as it leans."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[axis % DIMENSION] = 1.0
    vector[(axis + 1) % DIMENSION] = lean
    return vector / np.linalg.norm(vector)


def terms(*indices: int) -> SparseVector:
    return SparseVector(indices, (1.0,) * len(indices))


def passage(text: str, axis: int = 0, *, lean: float = 0.0, sparse: SparseVector = NO_TERMS) -> Passage:
    return Passage(text, towards(axis, lean), sparse)


def stored(
    position: int, text: str = "hello", *, role: Role = "user", at: int | None = None, id: str | None = None
) -> StoredMessage:
    return StoredMessage(
        id=id or f"m{position}",
        exchange="exchange",
        position=position,
        at=START + position if at is None else at,
        message=Message(role=role, text=text),
    )


def turn(message: StoredMessage, *passages: Passage) -> Turn:
    return Turn(message, passages)


def session(id: str = "s1", *, messages: int = 1, summary: str = "", last_at: int = START) -> Session:
    return Session(
        id=id, created_at=START, last_at=last_at, timeout_seconds=600, message_count=messages, summary=summary
    )


async def count(engine: Engine, owner: Owner, kind: Kind) -> int:
    """Number of points that the engine holds, as opposed to what the store makes of them."""
    found: list[object] = []
    page, after = await engine.scroll(Where(owner, kind), 100, fields=[SCOPE])
    found += page
    while after is not None:
        page, after = await engine.scroll(Where(owner, kind), 100, fields=[SCOPE], after=after)
        found += page
    return len(found)


def texts(messages: Sequence[StoredMessage]) -> list[str]:
    return [message.message.text for message in messages]
