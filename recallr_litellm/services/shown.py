"""What a memory block shows, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from recallr_litellm.core.context import MemoryBlock
from recallr_litellm.core.laid import memory_key, passage_key
from recallr_litellm.core.recalled import OngoingSession, Recalled, RecalledMemory

PieceKind = Literal[
    "open session", "passage", "profile", "memory", "summary", "recent message", "recent summary", "finding"
]


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that a block shows."""

    kind: PieceKind
    id: str
    """Of the message, the memory, or the session that is summarised; of a finding its text."""
    sessions: tuple[str, ...]
    """That it is from; of a finding, those that it rests on."""
    text: str
    at: int | None = None
    """When it was said, milliseconds since the epoch, UTC."""
    relevance: float | None = None
    """0–1; None where it was not chosen by relevance."""
    part: int = 0
    """Of a passage: its number in its message."""


def pieces(block: MemoryBlock, recalled: Recalled, ongoing: Iterable[OngoingSession]) -> Iterator[Piece]:
    """What the block shows of what was to be shown, of each kind the most relevant first."""
    for session in ongoing:
        for stored in session.messages:
            if stored.id in block.shown:
                yield Piece("open session", stored.id, (session.id,), stored.message.text, stored.at)
    for passage in recalled.passages:
        if passage.message in block.shown or passage_key(passage) in block.shown:
            said = (passage.session,), passage.text, passage.at, passage.relevance
            yield Piece("passage", passage.message, *said, part=passage.part)
    yield from _of_memories("profile", block, recalled.profile)
    yield from _of_memories("memory", block, recalled.memories)
    for summary in recalled.summaries:
        if summary.session in block.shown:
            said = (summary.session,), summary.summary, summary.created_at, summary.relevance
            yield Piece("summary", summary.session, *said)
    for of_session, stored in recalled.last_messages:
        if stored.id in block.shown:
            yield Piece("recent message", stored.id, (of_session,), stored.message.text, stored.at)
    for record in recalled.last_summaries:
        if record.id in block.shown:
            yield Piece("recent summary", record.id, (record.id,), record.summary, record.created_at)
    for finding in recalled.findings:
        if finding.text in block.shown:
            yield Piece("finding", finding.text, finding.sessions, finding.text)


def _of_memories(
    kind: Literal["profile", "memory"], block: MemoryBlock, memories: Iterable[RecalledMemory]
) -> Iterator[Piece]:
    for memory in memories:
        if memory_key(memory) in block.shown:
            relevance = memory.relevance if kind == "memory" else None
            yield Piece(kind, memory.id, (memory.session,), memory.text, memory.at, relevance)
        yield from _of_memories(kind, block, memory.connected)
