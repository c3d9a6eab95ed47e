"""What a recall found: the material of the memory block, before it is fitted into its budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

from recallr_litellm.core.messages import Role, StoredMessage
from recallr_litellm.core.records import Session


class RecalledPassage(NamedTuple):
    """A passage of an earlier session's message."""

    session: str
    message: str
    position: int
    """Order of the message within its session."""
    part: int
    """Number of the passage within its message, from 0; neighbours differ by 1."""
    role: Role
    at: int
    """When it was said, milliseconds since the epoch, UTC."""
    text: str
    relevance: float
    """Calibrated, 0–1 (`recall/calibration.py`); 0 for a passage that is there only for the one that answers it."""
    gist: str = ""
    """Equal for passages of the same words (`core/traits.py`); "" for one that is compared with none."""
    parts: int = 1
    """Passages of its message in all."""
    name: str = ""
    """Who of several people said it."""
    states_nothing: bool = False
    """It is a whole message that only asks, or only says that it does not know."""
    beside: RecalledPassage | None = None
    """Not recalled itself, but shown with it: the question that it answers, where it says little without, or the
    answer to it, where it asks."""
    newest: bool = False
    """Of what was said about one thing at different times, this was said last."""
    tokens: int | None = None
    """What it costs to show (`core.tokens.tokens_shown`), where that was counted when it was stored."""


class RecalledMemory(NamedTuple):
    """A memory: a fact learned from earlier sessions."""

    id: str
    session: str
    sources: tuple[str, ...]
    """Ids of the messages that it rests on."""
    at: int
    """When it was told, milliseconds since the epoch, UTC, as are the next two."""
    event_start: int | None
    """When what it says happened; None where it is tied to no time."""
    event_end: int | None
    """None where the event has no length."""
    text: str
    relevance: float
    """Calibrated, 0–1; 0 for a memory that is there only for what it is connected with."""
    connected: tuple[RecalledMemory, ...] = ()
    """Memories that it is connected with, none of which was recalled itself."""
    until: int | None = None
    """From when on it is no longer true; None as long as it is."""
    was: tuple[tuple[int, str], ...] = ()
    """What was true before it: until when, and what; newest first."""
    disputed: str = ""
    """What else was said that cannot be true as well, and what to ask the user about it."""
    tells_more: bool = False
    """What was before it, or a dispute, is shown with it: the messages that it rests on do not stand in for it."""


Remembered = RecalledPassage | RecalledMemory
"""What competes for the places of the top-k."""


def ranked(memories: Iterable[RecalledMemory], passages: Iterable[RecalledPassage]) -> Iterator[Remembered]:
    """Two rankings as one: the more relevant first, each kind in its own order; of equals, the memory."""
    kinds: tuple[Iterable[Remembered], ...] = (memories, passages)
    return merge(*kinds, key=lambda one: -one.relevance)


def by_kind(of_both: Iterable[Remembered]) -> tuple[tuple[RecalledPassage, ...], tuple[RecalledMemory, ...]]:
    """The passages and the memories, each in the order of what they are among."""
    of_both = tuple(of_both)
    passages = tuple(one for one in of_both if isinstance(one, RecalledPassage))
    return passages, tuple(one for one in of_both if isinstance(one, RecalledMemory))


class RecalledSummary(NamedTuple):
    """The summary of an earlier session that is related to the question."""

    session: str
    created_at: int
    """Milliseconds since the epoch, UTC, as is `last_at`."""
    last_at: int
    summary: str
    relevance: float
    """Calibrated, 0–1 (`recall/calibration.py`)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a model concluded from what is remembered, with what it rests on. Never without the latter."""

    text: str
    """The model's words; no more to be trusted than what was said."""
    messages: tuple[str, ...]
    """Ids of messages that it rests on."""
    sessions: tuple[str, ...]
    """Ids of the sessions that it rests on, those of its messages and memories among them; at least one."""
    at: tuple[int, int]
    """When the first and the last of it was said, milliseconds since the epoch, UTC."""
    memories: tuple[str, ...] = ()
    """Ids of memories that it rests on."""


@dataclass(frozen=True, slots=True)
class OngoingSession:
    """Another session of the same user that is not yet processed, verbatim."""

    id: str
    messages: tuple[StoredMessage, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Everything that one recall found."""

    passages: tuple[RecalledPassage, ...] = ()
    """Most relevant first."""
    memories: tuple[RecalledMemory, ...] = ()
    """Most relevant first; ranked together with the passages."""
    summaries: tuple[RecalledSummary, ...] = ()
    """Most relevant first."""
    last_messages: tuple[tuple[str, StoredMessage], ...] = ()
    """(session id, message), oldest first; only when asked for."""
    last_summaries: tuple[Session, ...] = ()
    """Oldest first; only when asked for."""
    searched: frozenset[str] = frozenset()
    """Ids of the sessions that anything came from which was looked at: to leave out any others changes nothing."""
    findings: tuple[Finding, ...] = ()
    """In the order of the model that found them; only of the agentic strategy."""
    profile: tuple[RecalledMemory, ...] = ()
    """What is always worth knowing of the user, the most important first; not chosen by the question."""

    @property
    def asked_for(self) -> bool:
        """Something of it was not chosen by relevance."""
        return bool(self.last_messages or self.last_summaries or self.findings)
