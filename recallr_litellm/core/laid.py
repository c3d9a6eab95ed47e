"""Memory blocks that stay where they were laid, so that the provider's prompt cache keeps working.

A block stands before the same user message, byte for byte, in every later request of its session that still sends this
message. A new block holds only what no earlier block of the request shows, and no summary of a conversation of which
passages are shown: what lies there is paid for in every request to come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from recallr_litellm.core.messages import MessageEntry, StoredMessage
from recallr_litellm.core.recalled import OngoingSession, Recalled, RecalledMemory, RecalledPassage

Position = Literal["front", "end", "behind"]
"""Where a block stands: in front of the user's words, at the end of their message, or in a message of its own behind it
and the system messages that follow it."""


class LaidBlock(NamedTuple):
    """A memory block and the user message that it belongs to."""

    id: str
    """Id of the request that was the first to hold it."""
    exchange: str
    """Id of the exchange that stored the user message."""
    turn: str
    """Fingerprint of the user message."""
    text: str
    """"" where there was nothing to show: the turn goes on without a block."""
    tokens: int = 0
    position: Position = "front"
    shown: tuple[str, ...] = ()
    """Keys of what it shows."""


def anchored(kept: Iterable[LaidBlock], held: Mapping[int, MessageEntry]) -> dict[int, LaidBlock]:
    """The blocks whose user messages are in a request, by the number of user messages behind theirs.

    Args:
        kept: newest first.
        held: the user messages of the request that the session holds, likewise.
    """
    found: dict[int, LaidBlock] = {}
    for block in kept:
        of_exchange = [behind for behind, entry in held.items() if entry.exchange == block.exchange]
        of_turn = [behind for behind in of_exchange if held[behind].fingerprint == block.turn]
        if of_exchange:  # the text of the message may have changed since, and several may have come in one exchange
            found.setdefault(min(of_turn or of_exchange), block)
    return found


def passage_key(passage: RecalledPassage) -> str:
    """Names a passage among all that blocks show."""
    return f"{passage.message}#{passage.part}"


def memory_key(memory: RecalledMemory) -> str:
    """Names what a block shows of a memory: a later version of it, its end or a dispute about it is something new."""
    said = f"{memory.text}\n{memory.until}\n{memory.disputed}"
    return f"{memory.id}#{hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def not_shown(recalled: Recalled, shown: Collection[str]) -> Recalled:
    """What was recalled without what earlier blocks show."""
    if not shown:
        return recalled
    of_passages = {passage.session for passage in recalled.passages}

    def unseen(passage: RecalledPassage) -> bool:
        return passage.message not in shown and passage_key(passage) not in shown

    return replace(
        recalled,
        passages=tuple(
            passage._replace(beside=passage.beside if passage.beside and unseen(passage.beside) else None)
            for passage in recalled.passages
            if unseen(passage)
        ),
        memories=_memories_not_shown(recalled.memories, shown),
        profile=_memories_not_shown(recalled.profile, shown),
        summaries=tuple(
            summary
            for summary in recalled.summaries
            if summary.session not in shown and summary.session not in of_passages
        ),
        last_messages=tuple((id, stored) for id, stored in recalled.last_messages if stored.id not in shown),
        last_summaries=tuple(session for session in recalled.last_summaries if session.id not in shown),
        findings=tuple(finding for finding in recalled.findings if finding.text not in shown),
    )


def _memories_not_shown(memories: Iterable[RecalledMemory], shown: Collection[str]) -> tuple[RecalledMemory, ...]:
    return tuple(
        memory._replace(connected=_memories_not_shown(memory.connected, shown))
        for memory in memories
        if memory_key(memory) not in shown
    )


def messages_not_shown(messages: Iterable[StoredMessage], shown: Collection[str]) -> tuple[StoredMessage, ...]:
    """The messages without those that earlier blocks show."""
    return tuple(stored for stored in messages if stored.id not in shown)


def ongoing_not_shown(sessions: Iterable[OngoingSession], shown: Collection[str]) -> tuple[OngoingSession, ...]:
    """The sessions without the messages that earlier blocks show."""
    return tuple(OngoingSession(one.id, messages_not_shown(one.messages, shown)) for one in sessions)


def give_way(
    blocks: Mapping[int, LaidBlock], limit: int, *, newest: int
) -> tuple[dict[int, LaidBlock], tuple[LaidBlock, ...]]:
    """The blocks of a request that stay, and the oldest, which give way until the others take at most `limit` tokens.

    Args:
        blocks: by the number of user messages behind them.
        newest: tokens; the last block stays as long as it takes no more.
    """
    left = dict(blocks)
    gone: list[LaidBlock] = []
    tokens = sum(block.tokens for block in left.values())
    for behind in sorted(blocks, reverse=True):
        if tokens <= limit or (len(left) == 1 and tokens <= newest):
            break
        gone.append(left.pop(behind))
        tokens -= gone[-1].tokens
    return left, tuple(gone)
