"""The sections of the memory block: each writes the best of its material that fits into a given room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from recallr_litellm.core.blobs import without_blobs
from recallr_litellm.core.escaping import escape
from recallr_litellm.core.markup import Clock, attributed, mark, percent
from recallr_litellm.core.messages import StoredMessage, ToolCall
from recallr_litellm.core.recalled import OngoingSession
from recallr_litellm.core.tokens import Meter, shorten, too_long

TOOL_RESULT_CHARACTERS = 600
"""Most of a tool's result that is shown: the assistant's words after it say what came of it."""
TOOL_ARGUMENTS_CHARACTERS = 120
SHOWN_TOOL_CALLS = 5
"""Most calls of one message that are shown; the rest is counted."""
SMALLEST_EXCERPT = 24
"""Tokens; a shorter excerpt tells nothing."""

IN_PERCENT = "relevance in %"


@dataclass(frozen=True, slots=True)
class Filled:
    """What a section shows."""

    text: str = ""
    """Lines, each ended; empty when nothing fits."""
    cost: int = 0
    """Tokens, never less than the sum over its pieces."""
    shown: frozenset[str] = frozenset()
    """Ids of the messages (whole or in passages) or sessions that need not be shown elsewhere."""
    told: frozenset[str] = frozenset()
    """Keys of all that is shown, in part or whole, which later blocks of the session leave out (`core/laid.py`)."""
    complete: bool = True
    """False when something was cut or left out for want of room."""


@dataclass(frozen=True, slots=True)
class BlockWriter:
    """What every section writes with."""

    meter: Meter
    clock: Clock
    _lines: dict[tuple[str, str], str] = field(default_factory=dict)
    """(message id, date of its heading) → the line. Sections are filled again and again, until all of them fit."""

    def conversation(
        self, heading: str, messages: Iterable[StoredMessage], room: int, hidden: frozenset[str] = frozenset()
    ) -> Filled:
        """Messages of one conversation, verbatim, oldest first; when room is short, the newest.

        A message too long for the room shows as an excerpt in half of it; what is older gets the rest.
        """
        wanted = [stored for stored in messages if stored.id not in hidden and not stored.message.empty]
        if not wanted:
            return Filled()
        date = self.clock.date(wanted[-1].at)
        heading = f"{heading}, {date}"
        # Not all of it may fit; then the heading must say so, which takes room itself.
        return self._all(mark(heading), wanted, date, room) or self._newest(
            mark(f"{heading}, in part"), wanted, date, room
        )

    def _all(self, heading: str, wanted: Sequence[StoredMessage], date: str, room: int) -> Filled | None:
        """Every message whole, or None when that does not fit."""
        lines = [heading + "\n"]
        left = room - self.meter.cost(lines[0])
        for stored in reversed(wanted):
            line = self._message(stored, date, left)
            if line is None:
                return None
            left -= self.meter.cost(line)
            lines.insert(1, line)
        shown = frozenset(stored.id for stored in wanted)
        return Filled("".join(lines), room - left, shown, shown) if left >= 0 else None

    def _newest(self, heading: str, wanted: Sequence[StoredMessage], date: str, room: int) -> Filled:
        """The newest messages, those too long as excerpts."""
        heading += "\n"
        left = room - self.meter.cost(heading)
        lines: list[str] = []
        whole: set[str] = set()
        for stored in reversed(wanted):
            line = self._message(stored, date, left)
            if line is not None:
                whole.add(stored.id)
            else:
                line = self._excerpt(stored, date, left if stored is wanted[0] else left // 2)
                if line is None:
                    break
            left -= self.meter.cost(line)
            lines.append(line)
        if not lines:
            return Filled(complete=False)
        told = frozenset(stored.id for stored in wanted[-len(lines) :])
        return Filled(heading + "".join(reversed(lines)), room - left, frozenset(whole), told, complete=False)

    def _message(self, stored: StoredMessage, date: str, room: int) -> str | None:
        """The message on a line of its own, or None when it does not fit."""
        line = self._lines.get((stored.id, date))
        if line is None:
            text = stored.message.text
            if stored.message.role != "tool":
                text = without_blobs(text)
                if too_long(text, room):
                    return None
            line = self._lines[stored.id, date] = self._line(stored, text, date)
        return line if self.meter.fits(line, room) else None

    def _line(self, stored: StoredMessage, text: str, date: str) -> str:
        message = stored.message
        text = shorten(text, TOOL_RESULT_CHARACTERS) if message.role == "tool" else escape(text)
        said = mark(
            message.role, message.name, "interrupted" if stored.partial else "", self.clock.time(stored.at, on=date)
        )
        return attributed(said, text, *_besides_text(stored))

    def _excerpt(self, stored: StoredMessage, date: str, room: int) -> str | None:
        said = mark(stored.message.role, stored.message.name, "excerpt", self.clock.time(stored.at, on=date))
        besides = tuple(_besides_text(stored))
        left = room - self.meter.cost(attributed(said, *besides))
        text = self.meter.excerpt(without_blobs(stored.message.text), left) if left >= SMALLEST_EXCERPT else None
        if text is None:
            return None
        line = attributed(said, text, *besides)
        return line if self.meter.fits(line, room) else None

    def ongoing(self, sessions: Sequence[OngoingSession], room: int, hidden: frozenset[str]) -> Filled:
        """Other open conversations, the one that was last spoken in first."""
        texts: list[str] = []
        shown: frozenset[str] = frozenset()
        told: frozenset[str] = frozenset()
        left, complete = room, True
        for session in sorted((s for s in sessions if s.messages), key=lambda s: s.messages[-1].at, reverse=True):
            filled = self.conversation("other open conversation", session.messages, left, hidden)
            texts.append(filled.text)
            left -= filled.cost
            shown |= filled.shown
            told |= filled.told
            complete &= filled.complete
        return Filled("".join(texts), room - left, shown, told, complete)

    def summaries(
        self,
        heading: str,
        items: Sequence[SummaryItem],
        room: int,
        hidden: frozenset[str],
        *,
        newest_last: bool = False,
    ) -> Filled:
        """Session summaries, best first in `items`: as many as fit, whole, in that order or the reverse."""
        heading = mark(heading) + "\n"
        left = room - self.meter.cost(heading)
        lines: dict[str, str] = {}
        complete = True
        for item in items:
            if item.session in hidden or item.session in lines or not item.summary.strip():
                continue
            if too_long(item.summary, left):
                complete = False
                continue
            relevance = "" if item.relevance is None else percent(item.relevance)
            line = attributed(mark("conversation", self.clock.time(item.at), relevance), escape(item.summary))
            if not self.meter.fits(line, left):
                complete = False
                continue
            left -= self.meter.cost(line)
            lines[item.session] = line
        if not lines:
            return Filled(complete=complete)
        ordered = reversed(lines.values()) if newest_last else lines.values()
        return Filled(heading + "".join(ordered), room - left, frozenset(lines), frozenset(lines), complete)


@dataclass(frozen=True, slots=True)
class SummaryItem:
    """A session summary to show."""

    session: str
    at: int
    """When the session began, milliseconds since the epoch, UTC."""
    summary: str
    relevance: float | None = None


def _besides_text(stored: StoredMessage) -> Iterator[str]:
    """What a message carries besides its text, in short."""
    message = stored.message
    yield from (_call(call) for call in message.tool_calls[:SHOWN_TOOL_CALLS])
    if (more := len(message.tool_calls) - SHOWN_TOOL_CALLS) > 0:
        yield mark(f"{more} more calls")
    for kind, count in Counter(message.attachments).most_common(SHOWN_TOOL_CALLS):
        yield mark("attached", str(count) if count > 1 else "", kind[:40])


def _call(call: ToolCall) -> str:
    return f"{mark('calls', call.name[:60])} {shorten(call.arguments, TOOL_ARGUMENTS_CHARACTERS)}".rstrip()
