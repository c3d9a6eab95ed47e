"""Which messages of a request are new, which of a session the client did not send, which are replaced.

Clients differ: some send their whole history each time, some a window of it, some only the newest
message. What they send is matched against the session, a forest in which every stored message knows
the one that stood before it in the client's own history:

- *Match*: the longest run of request messages that is also a path in the forest. It counts when it
  has at least two messages, or when it begins with the request's first message and something follows.
  A single message alone is never taken for an old one ("yes" said twice is said twice), unless the
  client says that it retries, or the stored answer to it broke off.
- *New* is what follows the match. Without a match, it is what follows the last answer in the request:
  the history before it was stored when it was said, in an earlier session.
- *Replaced* is what hangs below the end of the match: an answer that is generated again, or the old
  branch of an edited history. Of several answers (`n` > 1), those that the client did not go on with.
- *Unseen* is what the session holds and the request does not: the model is shown it as context.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recallr_litellm.core.messages import Message, MessageEntry, Role, StoredMessage

_MOST_PAIRS = 20_000
"""Pairs of equal messages, one of the request and one of the session, that are looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request means for its session."""

    new: tuple[Message, ...]
    """Messages of the request to be stored, in order."""
    parent: str | None
    """Id of the stored message after which the new ones come."""
    replaced: frozenset[str]
    """Ids of stored messages that the new exchange takes the place of."""
    unseen: tuple[MessageEntry, ...]
    """Stored messages that the client did not send, by position."""


class _Match(NamedTuple):
    """A run of request messages that is a path in the forest; built from its first message on."""

    end: int
    """Index of the last matched message of the request."""
    last: MessageEntry
    """What it matched."""
    before: _Match | None
    length: int
    from_start: bool
    """The run begins with the request's first message."""
    from_root: bool
    """The run begins with a stored message that has no parent."""

    @property
    def rank(self) -> tuple[int, bool, int, bool, int]:
        # Of runs as long as each other, one that begins where the request or a thread of the session begins is no
        # coincidence; of those the later leaves less that would be stored again. A single message says too little
        # for that: there the beginning of the request counts first.
        anchored = self.from_start or self.from_root
        return self.length, anchored, self.end if self.length > 1 else 0, self.from_start, self.end

    @property
    def path(self) -> Iterator[MessageEntry]:
        """The matched stored messages, last first."""
        match: _Match | None = self
        while match is not None:
            yield match.last
            match = match.before


class _Forest:
    """The stored messages of a session with their family relations."""

    def __init__(self, stored: Iterable[MessageEntry]) -> None:
        self.messages = sorted(stored, key=lambda message: message.position)
        self.by_id = {message.id: message for message in self.messages}
        self.children: dict[str | None, list[MessageEntry]] = defaultdict(list)
        self.by_fingerprint: dict[str, list[MessageEntry]] = defaultdict(list)
        self._user_above: dict[str, MessageEntry | None] = {}
        for message in self.messages:
            self.children[message.parent].append(message)
            self.by_fingerprint[message.fingerprint].append(message)
            above = self.parent(message)
            self._user_above[message.id] = (
                above if above is None or above.role == "user" else self._user_above.get(above.id)
            )

    def parent(self, message: MessageEntry) -> MessageEntry | None:
        return self.by_id.get(message.parent) if message.parent else None

    def before(self, message: MessageEntry, role: Role) -> MessageEntry | None:
        """What a request's message of this role, standing before `message`, can be: the parent, or, since some
        clients leave answers out of their history, the user message above."""
        return self._user_above[message.id] if role == "user" else self.parent(message)

    def below(self, roots: Iterable[MessageEntry]) -> frozenset[str]:
        """Ids of these messages and of everything under them."""
        found: set[str] = set()
        waiting = list(roots)
        while waiting:
            message = waiting.pop()
            found.add(message.id)
            waiting.extend(self.children[message.id])
        return frozenset(found)

    def last_answer_under(self, message: MessageEntry) -> MessageEntry:
        """Follow the answers (and tool results) below a message that a client has left out of its history."""
        while answers := [child for child in self.children[message.id] if child.role != "user"]:
            message = answers[-1]
        return message


def plan(
    stored: Iterable[MessageEntry],
    incoming: Sequence[Message],
    *,
    retry: bool = False,
    replaceable: Collection[str] | None = None,
) -> Plan:
    """Match a request's messages against its session.

    Args:
        stored: the session's messages, without those of this very exchange.
        incoming: the request's messages in order, without system messages and empty ones.
        retry: the client marks this request as a repetition of one it already sent.
        replaceable: if given, only these ids may be replaced. A request may not replace what was stored
            after it began: that belongs to a request running beside it.
    """
    forest = _Forest(stored)
    prints = [message.fingerprint for message in incoming]
    match = _best_match(forest, incoming, prints)
    if match is None or not _counts(match, len(incoming)):
        match = _repeated(forest, prints, retry=retry)
    if match is None:
        return Plan(_after_last_answer(incoming), None, frozenset(), tuple(forest.messages))

    new = tuple(incoming[match.end + 1 :])
    last = match.last
    if new and new[0].role == "user" and last.role == "user":
        last = forest.last_answer_under(last)
    replaced = _answers_not_chosen(forest, match)
    if match.from_start or match.from_root:  # a run that begins amid both may be a coincidence: nothing goes for it
        replaced |= forest.below(forest.children[last.id])
    if replaceable is not None:
        replaced &= frozenset(replaceable)
    not_unseen = replaced | {message.id for message in match.path}
    unseen = tuple(message for message in forest.messages if message.id not in not_unseen)
    return Plan(new, last.id, replaced, unseen)


def overlap(incoming: Sequence[Message], stored: Iterable[MessageEntry]) -> int:
    """How many messages of a request a session holds in the same order; 0 where it does not hold the request's history.

    A request may be compared with several sessions: it goes on with the one of the most.

    Args:
        incoming: as for `plan`.
        stored: the messages of one session.
    """
    match = _best_match(_Forest(stored), incoming, [message.fingerprint for message in incoming])
    return match.length if match is not None and _counts(match, len(incoming)) else 0


def _best_match(forest: _Forest, incoming: Sequence[Message], prints: Sequence[str]) -> _Match | None:
    """The longest run, found in one pass: what ends at a message goes on from what ended before it."""
    best: _Match | None = None
    ending: dict[str, _Match] = {}
    first = _affordable(forest, prints)
    for index in range(first, len(incoming)):
        ended, ending = ending, {}
        for stored in forest.by_fingerprint.get(prints[index], ()):
            above = forest.before(stored, incoming[index - 1].role) if index else forest.parent(stored)
            run = ended.get(above.id) if above else None
            match = _Match(
                end=index,
                last=stored,
                before=run,
                length=run.length + 1 if run else 1,
                from_start=run.from_start if run else index == 0,
                from_root=run.from_root if run else above is None,
            )
            ending[stored.id] = match
            # of equal ones the newest: the client goes on from there
            if best is None or (match.length >= best.length and match.rank >= best.rank):
                best = match
    return best


def _affordable(forest: _Forest, prints: Sequence[str]) -> int:
    """Where to begin matching. Thousands of equal messages on both sides must not hold up the gateway: of such a
    request only the end is matched."""
    pairs = 0
    for index in range(len(prints) - 1, -1, -1):
        pairs += len(forest.by_fingerprint.get(prints[index], ()))
        if pairs > _MOST_PAIRS:
            return index + 1
    return 0


def _counts(match: _Match, length: int) -> bool:
    return match.length >= 2 or (match.from_start and match.end < length - 1)


def _repeated(forest: _Forest, prints: Sequence[str], *, retry: bool) -> _Match | None:
    """The stored message that a single-message request says again, if it does."""
    if len(prints) != 1:
        return None
    for candidate in reversed(forest.by_fingerprint[prints[0]]):
        if retry or any(answer.partial for answer in forest.children[candidate.id]):
            return _Match(0, candidate, None, 1, from_start=True, from_root=candidate.parent is None)
    return None


def _after_last_answer(incoming: Sequence[Message]) -> tuple[Message, ...]:
    turn = len(incoming)
    while turn and incoming[turn - 1].role == "assistant":
        turn -= 1  # the beginning of the answer that the client puts into the model's mouth is part of the turn
    while turn and incoming[turn - 1].role != "assistant":
        turn -= 1
    return tuple(incoming[turn:])


def _answers_not_chosen(forest: _Forest, match: _Match) -> frozenset[str]:
    """Of several answers to one request, those beside the one that the client's history goes on with."""
    others: set[str] = set()
    for message in match.path:
        if message.role == "assistant":
            siblings = [
                sibling
                for sibling in forest.children[message.parent]
                if sibling.exchange == message.exchange and sibling.id != message.id
            ]
            others |= forest.below(siblings)
    return frozenset(others)


def place(
    plan: Plan,
    *,
    session_id: str,
    exchange: str,
    first_position: int,
    replies: Sequence[Message],
    asked_at: int,
    answered_at: int,
    partial: bool,
) -> tuple[StoredMessage, ...]:
    """The messages of an exchange in their places: the new ones in a row, then each reply below the last.

    Ids depend only on the session, the exchange and the order, so that storing an exchange again, or
    storing it whole after a part of it, writes the same messages.
    """

    def stored(index: int, message: Message, parent: str | None, at: int, *, broken: bool = False) -> StoredMessage:
        return StoredMessage(
            id=hashlib.sha256(f"{session_id}:{exchange}:{index}".encode()).hexdigest()[:32],
            exchange=exchange,
            position=first_position + index,
            parent=parent,
            at=at,
            partial=broken,
            message=message,
        )

    placed: list[StoredMessage] = []
    parent = plan.parent
    for message in plan.new:
        placed.append(stored(len(placed), message, parent, asked_at))
        parent = placed[-1].id
    for reply in replies:
        placed.append(stored(len(placed), reply, parent, answered_at, broken=partial))
    return tuple(placed)
