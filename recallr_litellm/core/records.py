"""What is remembered: the records of the vector store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from recallr_litellm.core.knowledge import USER, Attribute, EntityName, Kind, Origin, Reason
from recallr_litellm.core.messages import Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.traits import Traits

Vector = NDArray[np.float32]
"""Dense embedding, shape (dimension,), unit length."""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights of a text; indices are unique."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class FormerName(NamedTuple):
    """A name that a user had."""

    user: str
    until: int
    """Milliseconds since the epoch, UTC."""


class User(BaseModel):
    """A user of a project."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    project: str
    user: str
    """Its name now."""
    id: str = ""
    """Its internal id; empty where that is the one of its name, as in records of earlier versions."""
    created_at: int
    """Milliseconds since the epoch, UTC."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    merge_conflict_enabled: bool | None = None
    """Whether contradicting memories become conflicts that the user is asked about; None: as its project has it."""
    former_names: tuple[FormerName, ...] = ()

    @property
    def owner(self) -> Owner:
        """Whose this record is."""
        return Owner(self.project, self.user, self.id)


class Session(BaseModel):
    """A processed session."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    created_at: int
    """Milliseconds since the epoch, UTC, as is `last_at`."""
    last_at: int
    timeout_seconds: int
    message_count: int
    summary: str = ""
    """Empty when nothing in the session could be summarised."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """What the application that made it notes about it."""


class Memory(BaseModel):
    """Something known of a user: a fact in a sentence or two that can be understood by itself."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(pattern="^[0-9a-f]{32}$")
    """Unique within its owner."""
    content: str
    categories: tuple[str, ...] = ()
    event_start: int | None = None
    """When what it says happened, or will: milliseconds since the epoch, UTC, as are all its times. None where it
    is tied to no time."""
    event_end: int | None = None
    """The last instant of it; None where it has no length."""
    created_at: int
    """When it was told: that of the last message it rests on, not when it was extracted, so that processing a
    session twice gives the same memory."""
    session: str
    """Id of the session that it came from."""
    sources: tuple[str, ...] = ()
    """Ids of the messages that it rests on."""
    connected: tuple[str, ...] = ()
    """Ids of the owner's memories that it is connected with, the nearest first."""
    chain: str = ""
    """On an earlier version: id of the current one, which stays the same through all versions."""
    fact: str = ""
    """Id of the extracted fact that made this version; "" for one that a person made."""
    reason: Reason = Reason.INITIAL
    """Why there is this version: what it did to the one before."""
    expired_at: int | None = None
    """From when on it is no longer true, or no longer held to be; None as long as it is."""
    expiration_reason: Reason | None = None
    conflict: str | None = None
    """Id of the conflict that it is in, or that has ended it."""
    subject: str = USER
    """Whom it is about: `user`, or a name."""
    attribute: Attribute = Attribute.OTHER
    kind: Kind = Kind.FACT
    negated: bool = False
    confidence: float = 1.0
    """0–1, as the model that extracted it says."""
    entities: tuple[EntityName, ...] = ()
    """Who and what it speaks of, the subject excluded."""
    questions: tuple[str, ...] = ()
    """Questions that it answers; it is found by them too."""
    origin: Origin = Origin.LEARNED
    pinned: bool = False
    """Shown in the profile whatever else there is."""

    @property
    def indexed_text(self) -> str:
        """What its vectors are made from: itself, and the questions that it answers."""
        return "\n".join((self.content, *self.questions))


@dataclass(frozen=True, slots=True)
class Turn:
    """A message with the passages it is indexed in. `passages` is empty for a message that is kept but not searched."""

    stored: StoredMessage
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a message, whole sentences, with its embeddings."""

    text: str
    dense: Vector
    sparse: SparseVector
    tokens: int | None = None
    """What it costs to show (`core.tokens.tokens_shown`); None where nobody counted."""


class Span(NamedTuple):
    """A time from `since` to `until`, both included: milliseconds since the epoch, UTC."""

    since: int
    until: int


class PassageHit(NamedTuple):
    """A passage found by a search."""

    session: str
    message: str
    position: int
    part: int
    """Number of the passage within its message, from 0."""
    parts: int
    role: Role
    at: int
    text: str
    traits: Traits
    terms: NDArray[np.uint32]
    """Those of its sparse vector; unique."""
    dense: float
    """Cosine similarity to the query, −1..1."""
    bm25: float
    """BM25 score with the owner's own IDF; 0 when no term matched or the sparse search did not reach it."""
    id: UUID | str | int = ""
    """Names it in the vector store."""
    name: str = ""
    """Who of several people said it. The text then begins with it, as in `Ana: text`."""
    times: tuple[int, ...] = ()
    """Those that it names (`core/times.py`); where the search was for no time, maybe none."""
    states_nothing: bool = False
    """It is a whole message that only asks, or only says that it does not know."""
    tokens: int | None = None
    """As in `Passage`."""


class SummaryHit(NamedTuple):
    """A session summary found by a search."""

    session: str
    created_at: int
    last_at: int
    summary: str
    gist: str
    """See `core/traits.py`."""
    dense: float
    bm25: float


class MemoryHit(NamedTuple):
    """A memory found by a search; all but the scores as in `Memory`."""

    id: str
    session: str
    created_at: int
    event_start: int | None
    event_end: int | None
    sources: tuple[str, ...]
    connected: tuple[str, ...]
    content: str
    dense: float
    bm25: float
    chain: str = ""
    reason: Reason = Reason.INITIAL
    expired_at: int | None = None
    expiration_reason: Reason | None = None
    conflict: str | None = None


class Hits(NamedTuple):
    """What a search found, in no order."""

    passages: list[PassageHit]
    """Statements and questions."""
    summaries: list[SummaryHit]
    memories: list[MemoryHit]
    changes: frozenset[UUID | str | int] = frozenset()
    """Ids of those passages that say that something is no longer as it was."""
    all_words: bool = False
    """All passages that have a word of the query are among these."""
