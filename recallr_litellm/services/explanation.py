"""What a request was given, and why: the records that are kept and shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from recallr_litellm.core.laid import Position
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.recall.trace import Trace
from recallr_litellm.request_headers import RecallrHeaders

Kind = Literal["passage", "memory", "summary"]
ConversationKind = Literal["this session", "open session", "recent messages", "recent summaries", "profile"]
Outcome = Literal[
    "shown", "shown_before", "no_room", "same_words", "told_by_memory", "below_threshold", "beyond_top_k", "left_out"
]
"""What became of a candidate: shown in the request's new block, or in one laid before; chosen, but without room in the
block; left out because another says the same words (`same_as`), because a memory tells it, because its relevance is
below the threshold, because better ones took the places of top-k, or because nothing was to be shown."""


@dataclass(slots=True)
class Request:
    """What is known of a request besides its trace."""

    id: str
    at: int
    """When it came, milliseconds since the epoch."""
    project: str
    trace: Trace
    owner: Owner | None = None
    """None where its user is not known to exist: then nothing that is about a user is kept."""
    kind: Literal["chat", "context"] = "chat"
    http_status: int | None = None
    status: str = "off"
    reason: str | None = None
    strategy: str | None = None
    session_id: str | None = None
    found_by: str | None = None
    """How the session was found (`OpenedSession.found_by`)."""
    options: RecallrHeaders | RecallOptions | None = None
    sent: Collection[str] = ()
    """Fields of `options` that the client sent."""
    defaults: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Where those come from that it did not send: source → fields. The first counts."""
    injected: bool = False
    spent: float = 0.0
    """Seconds that the plugin took."""


@dataclass(slots=True)
class Option:
    """A setting of a request."""

    value: str | int | float | bool | None
    source: str
    """`header`, `query` (of the API), `binding` (of the LiteLLM key or team), `project`, or `default`."""


@dataclass(slots=True)
class Period:
    """A time that a question names."""

    start: datetime
    end: datetime


@dataclass(slots=True)
class Question:
    """What was searched for."""

    text: str
    """With what went before it, where it leans on that; "" where there was nothing to search for."""
    embedded: str
    """What of it was embedded: names that tell nothing are left out."""
    names: list[str]
    """Of speakers, that it names."""
    periods: list[Period]
    asks: list[str]
    """`when`, `now`, `what_assistant_said`, `what_was_asked`."""


@dataclass(slots=True)
class Candidate:
    """Something that was found."""

    kind: Kind
    id: str
    """Of the message, the memory, or the session that is summarised."""
    session_id: str
    at: datetime
    text: str
    """Its beginning."""
    outcome: Outcome
    part: int = 0
    """Number of the passage in its message, from 0."""
    role: str | None = None
    cosine: float | None = None
    """Similarity of the embeddings, as the model has it; None for what the search itself did not find."""
    bm25: float | None = None
    signs: dict[str, float] = field(default_factory=dict)
    """Sign of relevance → its points. The score is their sum."""
    score: float | None = None
    relevance: float | None = None
    """The score calibrated to 0–1; None where it was not ranked."""
    same_as: str | None = None
    """Id of what says the same words and stands for it."""
    replaced_by: str | None = None
    """Id of the message that said last what is so; it is shown before this one."""


@dataclass(slots=True)
class Conversation:
    """Messages that are shown verbatim."""

    kind: ConversationKind
    session_id: str | None
    """None where they are of several."""
    found: int
    shown: int


@dataclass(slots=True)
class Finding:
    """What a model concluded from memory (strategy `agentic`)."""

    text: str
    messages: list[str]
    memories: list[str]
    outcome: Outcome


@dataclass(slots=True)
class Block:
    """A memory block as the model saw it."""

    text: str
    tokens: int
    laid_by: str
    """Id of the request that was the first to hold it."""
    new: bool
    place: str
    """Where it stood."""
    exchange: str = ""
    """That stored the message at which it stood; "" where it stood at none."""
    position: Position = "front"
    """At that message."""


@dataclass(slots=True)
class Part:
    """A part of the work."""

    name: str
    start_ms: float
    """From the beginning of the plugin's work. Some parts go on beside others."""
    ms: float


@dataclass(slots=True)
class Summary:
    """A request in short."""

    request_id: str
    at: datetime
    kind: Literal["chat", "context"]
    user_id: str | None
    session_id: str | None
    model: str | None
    strategy: str | None
    status: str
    reason: str | None
    http_status: int | None
    shown: int
    """Passages, memories and summaries in its new block."""
    tokens: int
    """Of all blocks."""
    added_ms: float


@dataclass(slots=True)
class Explanation:
    """What a request was given, and why."""

    request: Summary
    api: str | None = None
    found_by: str | None = None
    """How its session was found: `header`, `client` (an id that the client sends), `history`, `current` or `new`."""
    options: dict[str, Option] = field(default_factory=dict)
    question: Question | None = None
    """None where nothing was searched."""
    candidates: list[Candidate] = field(default_factory=list)
    """Of each kind the best first."""
    left_out: int = 0
    """Candidates that are not listed."""
    conversations: list[Conversation] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    """The last one first."""
    room: int | None = None
    """Most tokens of all blocks by the model's window; None where that was no bound."""
    instructions: bool = False
    """The instructions for using memory went along."""
    injected: bool = False
    parts: list[Part] = field(default_factory=list)
