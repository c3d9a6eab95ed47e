"""Cutting a session into the windows that a model extracts facts from."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.passages import estimate_tokens
from recallr_litellm.core.tokens import shorten

WINDOW_TOKENS = 3_000
"""Of the messages of a window together, about. Facts get lost in longer ones."""
CONTEXT_TOKENS = 600
"""Of the messages before the targets, which show what "it" and "there" are."""
CONTEXT_MESSAGES = 6
MESSAGE_TOKENS = 1_500
"""Of one message; of a longer one the model sees the beginning and the end. Its passages hold the rest."""
_CHARACTERS = 4 * MESSAGE_TOKENS


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive messages of a session. Each message is a target of one window only."""

    id: str
    """32 hex characters, derived from the targets: a repeated session is cut into the same windows."""
    context: tuple[StoredMessage, ...]
    """What was said just before; nothing is to be learned from it."""
    targets: tuple[StoredMessage, ...]

    @property
    def messages(self) -> tuple[StoredMessage, ...]:
        """All of it, in order."""
        return (*self.context, *self.targets)


def readable(message: StoredMessage) -> str:
    """The text of a message as the model sees it."""
    return shorten(message.message.text, _CHARACTERS)


def windows(
    messages: Sequence[StoredMessage], *, known: Collection[str] = (), tokens: int = WINDOW_TOKENS
) -> Iterator[Window]:
    """The windows of a session.

    Args:
        messages: all of it, by position.
        known: ids of messages that were targets already, before the session was reopened.
        tokens: most that the targets of a window take, unless there is only one.
    """
    said = [stored for stored in messages if stored.message.role != "tool" and stored.message.text.strip()]
    targets: list[int] = []
    taken = 0
    for number, stored in enumerate(said):
        cost = min(MESSAGE_TOKENS, estimate_tokens(stored.message.text))
        full = taken > 0 and taken + cost > tokens
        if targets and (full or stored.id in known):
            yield _window(said, targets)
            targets = []
        taken = cost if full else taken + cost  # with known ones: so it is cut where it was before it broke off
        if stored.id not in known:
            targets.append(number)
    if targets:
        yield _window(said, targets)


def halves(window: Window) -> tuple[Window, ...]:
    """The window in two, where the model's answer was too long for one; itself where it has one target only."""
    middle = len(window.targets) // 2
    if not middle:
        return (window,)
    first, second = window.targets[:middle], window.targets[middle:]
    return (
        Window(_id(first), window.context, first),
        Window(_id(second), _context([*window.context, *first]), second),
    )


def _window(said: Sequence[StoredMessage], targets: Sequence[int]) -> Window:
    chosen = tuple(said[number] for number in targets)
    return Window(_id(chosen), _context(said[: targets[0]]), chosen)


def _context(before: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    chosen: list[StoredMessage] = []
    left = CONTEXT_TOKENS
    for stored in reversed(before[-CONTEXT_MESSAGES:]):
        left -= estimate_tokens(readable(stored))
        if left < 0:
            break
        chosen.append(stored)
    return tuple(reversed(chosen))


def _id(targets: Sequence[StoredMessage]) -> str:
    return hashlib.sha256(" ".join(stored.id for stored in targets).encode()).hexdigest()[:32]
