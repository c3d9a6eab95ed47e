"""How much is kept of a message, an exchange and a session, and how much of it one request reads.

- *Tool results* are cut first: what tools returned is kept, but not searched.
- *An answer* and *an exchange* past their bounds keep the beginning and the end of their longest texts. No person says
  that much in one turn: such a text is pasted or generated, and only its first 256,000 characters are searched anyway.
- *A session* past its bound gives its oldest messages to a session of its own that is processed at once
  (`overflow`). Nothing is dropped: those messages become memory early.
- *A request* reads one entry per message (`MessageEntry`) and the texts that it shows, shortened and within a budget.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final

from recallr_litellm.core.messages import Message, MessageEntry, ToolCall

_log = logging.getLogger(__name__)

TOOL_RESULT_CHARACTERS: Final = 16_000
"""Kept of a tool result, and of the arguments of each tool call."""

ANSWER_CHARACTERS: Final = 1_000_000
"""Kept of an answer."""

EXCHANGE_CHARACTERS: Final = 8_000_000
"""Kept of all texts of an exchange together."""

EXCHANGE_MESSAGES: Final = 5_000
"""Messages kept of an exchange; the newest."""

SESSION_BYTES: Final = 4_000_000
SESSION_MESSAGES: Final = 1_000
"""A session that holds more is halved: its older part becomes memory early."""

PART_BYTES: Final = 2 * EXCHANGE_CHARACTERS
"""Most bytes that leave a session at once, so that no script holds Redis up for long."""

MATCHED_CHARACTERS: Final = 16_000_000
MATCHED_MESSAGES: Final = 10_000
"""Of a request's history, the newest part that is matched against the session."""

SHOWN_CHARACTERS: Final = 16_000
SHOWN_TOOL_CHARACTERS: Final = 600
SHOWN_ARGUMENTS_CHARACTERS: Final = 120
"""What a request reads of a text, a tool result, and the arguments of a tool call. The memory block shows no more."""

SHOWN_BYTES_PER_TOKEN: Final = 40
"""Bytes that a request reads for each token of its memory block, of its session and again of the user's others. The
shortest messages take that much: their lines have about eight tokens."""

_MARK = re.compile(r"\[… ([0-9]{1,9}) characters left out …\]")


def cut(text: str, width: int) -> str:
    """The text; one longer than `width` characters keeps its beginning and its end, with a mark between them."""
    if len(text) <= width:
        return text
    room = max(width - 50, 0)
    head, tail = room - room // 3, room // 3
    left_out = text[head : len(text) - tail]
    count = len(left_out) + sum(int(earlier) for earlier in _MARK.findall(left_out))
    return f"{text[:head]} [… {count} characters left out …] {text[len(text) - tail :]}"


def bounded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What is kept of the messages of an exchange. Fingerprints stay those of the whole messages."""
    if len(messages) > EXCHANGE_MESSAGES:
        _log.warning("Only the newest %d of the %d messages of an exchange are kept", EXCHANGE_MESSAGES, len(messages))
        messages = messages[-EXCHANGE_MESSAGES:]
    widths = {"tool": TOOL_RESULT_CHARACTERS, "assistant": ANSWER_CHARACTERS, "user": EXCHANGE_CHARACTERS}
    kept = [_shortened(message, widths[message.role], TOOL_RESULT_CHARACTERS) for message in messages]
    if sum(map(_characters, kept)) > EXCHANGE_CHARACTERS:
        width = _common_width([_characters(message) for message in kept], EXCHANGE_CHARACTERS)
        _log.warning("An exchange is too large to be kept whole: texts are cut to %d characters", width)
        kept = [_shortened(message, width, min(width, TOOL_RESULT_CHARACTERS)) for message in kept]
    return tuple(kept)


def for_showing(message: Message) -> Message:
    """What a request reads of a stored message."""
    return _shortened(
        message,
        SHOWN_TOOL_CHARACTERS if message.role == "tool" else SHOWN_CHARACTERS,
        SHOWN_ARGUMENTS_CHARACTERS,
    )


def overflow(entries: Sequence[MessageEntry]) -> tuple[MessageEntry, ...]:
    """The oldest messages of a session past its bound: about half of it. Empty for any other.

    Args:
        entries: by position.
    """
    size = sum(entry.size for entry in entries)
    count = len(entries)
    if size <= SESSION_BYTES and count <= SESSION_MESSAGES:
        return ()
    taken = 0
    for index, entry in enumerate(entries):
        within = size - taken <= SESSION_BYTES // 2 and count - index <= SESSION_MESSAGES // 2
        if within or (index and taken + entry.size > PART_BYTES):
            return tuple(entries[:index])
        taken += entry.size
    return tuple(entries)


def newest(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The end of a request's history that is matched against the session."""
    left = MATCHED_CHARACTERS
    for index in range(len(messages) - 1, max(len(messages) - MATCHED_MESSAGES, 0) - 1, -1):
        left -= messages[index].hashed_characters
        if left < 0:
            return tuple(messages[min(index + 1, len(messages) - 1) :])
    return tuple(messages[-MATCHED_MESSAGES:])


def _characters(message: Message) -> int:
    return len(message.text) + sum(len(call.arguments) for call in message.tool_calls)


def _shortened(message: Message, width: int, arguments_width: int) -> Message:
    calls = message.tool_calls
    if len(message.text) <= width and all(len(call.arguments) <= arguments_width for call in calls):
        return message
    _ = message.fingerprint  # computed before the copy, which takes it over: clients send the whole message again
    return message.model_copy(
        update={
            "text": cut(message.text, width),
            "tool_calls": tuple(
                ToolCall(id=call.id, name=call.name, arguments=cut(call.arguments, arguments_width)) for call in calls
            ),
        }
    )


def _common_width(lengths: Sequence[int], total: int) -> int:
    """The width that all lengths must be cut to so that together they are at most `total`."""
    left, width = total, 0
    shortest_first = sorted(lengths)
    for index, length in enumerate(shortest_first):
        width = left // (len(shortest_first) - index)
        if length > width:
            break
        left -= length
    return width
