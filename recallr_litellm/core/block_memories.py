"""The sections of the memory block that show what was recalled: memories, and passages of conversations.

Both are of one ranking and share their room: the most relevant first, be it a memory or a passage, as long as it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from recallr_litellm.core.block_writer import IN_PERCENT, BlockWriter, Filled
from recallr_litellm.core.escaping import escape
from recallr_litellm.core.laid import memory_key, passage_key
from recallr_litellm.core.markup import attributed, mark, percent
from recallr_litellm.core.recalled import RecalledMemory, RecalledPassage, ranked
from recallr_litellm.core.tokens import too_long

_FACTS = mark(f"facts, {IN_PERCENT}") + "\n"
_MEMORIES = mark(f"memories, {IN_PERCENT}") + "\n"
_SKIPPED = f"\n{mark('…')}\n"
"""Stands between passages of one message when something between them is not shown."""


def remembered(
    writer: BlockWriter,
    passages: Sequence[RecalledPassage],
    memories: Sequence[RecalledMemory],
    room: int,
    hidden: frozenset[str],
) -> Filled:
    """Memories and passages, taken most relevant first as long as they fit, whole; each kind in a section of its own.

    What is connected with a memory that is shown comes last: it was not searched for.

    Args:
        passages: most relevant first.
        memories: likewise.
        hidden: ids of messages and memories that are shown elsewhere; what tells no more than these is left out.
    """
    told = _Memories(writer)
    said = _Passages(writer)
    wanted = {(p.message, p.part): p for p in passages if p.message not in hidden and p.text.strip()}
    wanted_memories = [
        m
        for m in memories
        if m.text.strip() and m.id not in hidden and (m.tells_more or not m.sources or not hidden.issuperset(m.sources))
    ]
    left, complete = room, True
    for item in ranked(wanted_memories, wanted.values()):
        taken = told.take(item, left) if isinstance(item, RecalledMemory) else said.take(item, left)
        left -= taken or 0
        complete &= taken is not None
        if taken is not None and isinstance(item, RecalledPassage):
            beside = item.beside
            if beside is not None and beside.message not in hidden:
                left -= said.take(beside, left) or 0
    for number, memory in list(told.shown):
        left, all_shown = told.take_connected(number, _without(memory.connected, hidden), left)
        complete &= all_shown
    return Filled(told.text + said.text, room - left, said.messages, frozenset(told.keys | said.keys), complete)


def _without(memories: Sequence[RecalledMemory], hidden: frozenset[str]) -> list[RecalledMemory]:
    return [one._replace(connected=tuple(_without(one.connected, hidden))) for one in memories if one.id not in hidden]


class _Memories:
    """The memories that are shown, numbered; those connected with one stand below it."""

    def __init__(self, writer: BlockWriter) -> None:
        self._writer = writer
        self._lines: dict[tuple[int, ...], str] = {}
        self.shown: list[tuple[tuple[int, ...], RecalledMemory]] = []
        """(number, memory) of those that were recalled."""
        self.keys: set[str] = set()
        """Of all that are shown."""

    @property
    def text(self) -> str:
        """Their section; "" if there are none."""
        return _FACTS + "".join(line for _, line in sorted(self._lines.items())) if self._lines else ""

    def take(self, memory: RecalledMemory, room: int) -> int | None:
        """Show a memory under the next number. Returns what it costs, or None when it does not fit."""
        number = (len(self.shown) + 1,)
        cost = self._write(number, memory, room)
        if cost is not None:
            self.shown.append((number, memory))
        return cost

    def take_connected(
        self, number: tuple[int, ...], connected: Sequence[RecalledMemory], room: int
    ) -> tuple[int, bool]:
        """Show what is connected with a memory, as much as fits. Returns the room that is left, and whether all fit."""
        complete = True
        place = 1
        for memory in connected:
            below = (*number, place)
            cost = self._write(below, memory, room)
            if cost is None:
                complete = False
                continue
            place += 1
            room, all_shown = self.take_connected(below, memory.connected, room - cost)
            complete &= all_shown
        return room, complete

    def _write(self, number: tuple[int, ...], memory: RecalledMemory, room: int) -> int | None:
        if too_long(memory.text, room):
            return None
        pieces = [memory_line(self._writer, memory, number)]
        if not self._lines:
            pieces.append(_FACTS)
        cost = sum(map(self._writer.meter.cost, pieces))
        if cost > room:
            return None
        self._lines[number] = pieces[0]
        self.keys.add(memory_key(memory))
        return cost


def memory_line(writer: BlockWriter, memory: RecalledMemory, number: Sequence[int] = ()) -> str:
    """A memory as a line: when it was told, or happened, what was before it and what disputes it.

    Args:
        number: where it stands in its section; its relevance is shown with the number of one that was recalled.
    """
    clock = writer.clock
    if memory.event_start is None:
        dates = clock.date(memory.at)
    else:
        dates = f"event {clock.event(memory.event_start, memory.event_end)}"
    relevance = percent(memory.relevance) if len(number) == 1 else ""
    over = f"until {clock.date(memory.until)}" if memory.until is not None else ""
    before = [attributed(mark("until", clock.date(until)), _one_line(text)).strip() for until, text in memory.was]
    disputed = attributed(mark("disputed, ask the user"), _one_line(memory.disputed)).strip()
    further = [*before, *([disputed] if memory.disputed else [])]
    words = filter(None, (".".join(map(str, number)), dates, over, relevance))
    return attributed(mark(*words), _one_line(memory.text), *further)


def _one_line(text: str) -> str:
    return " ".join(escape(text).split())


class _Passages:
    """The passages that are shown, by conversation.

    Conversations follow their best passage, messages within one follow each other as they were
    said, passages of one message are joined.
    """

    def __init__(self, writer: BlockWriter) -> None:
        self._writer = writer
        self._conversations: dict[str, _Conversation] = {}
        self.keys: set[str] = set()

    @property
    def text(self) -> str:
        """Their section; "" if there are none."""
        shown = "".join(conversation.text for conversation in self._conversations.values())
        return _MEMORIES + shown if shown else ""

    @property
    def messages(self) -> frozenset[str]:
        """Ids of the messages that are shown, whole or in passages."""
        return frozenset(message for c in self._conversations.values() for _, message in c.messages)

    def take(self, passage: RecalledPassage, room: int) -> int | None:
        """Show a passage. Returns what it costs, or None when it does not fit."""
        if too_long(passage.text, room):
            return None
        clock = self._writer.clock
        conversation = self._conversations.get(passage.session) or _Conversation(clock.date(passage.at))
        place = (passage.position, passage.message)
        message = conversation.messages.get(place)
        text = escape(passage.text)
        if message is None:
            time = clock.time(passage.at, on=conversation.date)
            relevance = percent(passage.relevance) if passage.relevance else ""
            newest = "newest" if passage.newest else ""
            message = _Remembered(mark(passage.role, passage.name, time, newest, relevance))
            pieces = [message.said if passage.tokens else attributed(message.said, text)]
        else:
            pieces = [_SKIPPED, *(() if passage.tokens else (text,))]
        if not conversation.messages:
            pieces.append(conversation.heading)
        if not self._conversations:
            pieces.append(_MEMORIES)
        cost = sum(map(self._writer.meter.cost, pieces)) + (passage.tokens or 0)
        if cost > room:
            return None
        message.parts[passage.part] = text
        conversation.messages[place] = message
        self._conversations[passage.session] = conversation
        self.keys.add(passage_key(passage))
        return cost


@dataclass(slots=True)
class _Remembered:
    """What is shown of one remembered message."""

    said: str
    """By whom and when; and the relevance of its best passage, which is the first to be shown."""
    parts: dict[int, str] = field(default_factory=dict)
    """Number of the passage → its text, escaped."""

    @property
    def line(self) -> str:
        [(last, text), *others] = sorted(self.parts.items())
        for part, more in others:
            text += ("\n" if part == last + 1 else _SKIPPED) + more
            last = part
        return attributed(self.said, text)


@dataclass(slots=True)
class _Conversation:
    """What is shown of one remembered conversation."""

    date: str
    messages: dict[tuple[int, str], _Remembered] = field(default_factory=dict)
    """(position, message id) → the message."""

    @property
    def heading(self) -> str:
        return mark("conversation", self.date) + "\n"

    @property
    def text(self) -> str:
        return self.heading + "".join(message.line for _, message in sorted(self.messages.items()))
