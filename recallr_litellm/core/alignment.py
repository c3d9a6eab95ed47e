"""Where the messages of a request stand in its session, though clients rewrite what they send again.

A session is a forest: every stored message knows the one that stood before it in the client's own history. A request is
aligned with a path of it:

- Messages are *equal* by fingerprint, or, before the last turn, by what a rewritten copy keeps (`Message.likeness`).
- What lies between two matched messages counts as sent, whatever became of it: answers without the steps before them,
  exchanges that the client left out, messages that it wrote anew.
- A user message right before a matched answer is the stored one before that answer, whatever its text: clients put what
  they retrieved around the newest message only, and leave pictures out later.
- The last turn is what the user says now. A gap never leads there, or "yes" would be the "yes" of another question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from recallr_litellm.core.messages import Message, MessageEntry, Role

_MOST_PAIRS = 20_000
"""Pairs of equal messages, one of the request and one of the session, that are looked at."""
_MOST_STEPS = 50_000
"""Stored messages that are passed in search of what a match behind a gap goes on from."""
_MOST_LIKENED = 200
"""Messages of a request, the newest, for which rewritten copies are looked for."""
_CANDIDATES = 8
"""Matches that one behind a gap may go on from: the nearest."""
_DISTINCTIVE = 40
"""Bytes of an answer that hardly two messages share by coincidence."""


class Match(NamedTuple):
    """A message of the request on a stored one, and what was matched before it."""

    place: int
    """Index of the request's message."""
    entry: MessageEntry
    before: Match | None
    length: int
    """Equal messages up to here."""
    equal: bool
    """False for a user message that is only known by the answer after it."""
    linked: bool
    """Some two of the run stand next to each other on both sides."""
    gaps: int
    from_start: bool
    """The run begins with the request's first message."""
    from_root: bool
    """The run begins with a stored message that has no parent."""
    newest: bool
    """The stored message is of the session's last exchange, the request's the last before its last turn."""

    @property
    def anchored(self) -> bool:
        return self.from_start or self.from_root

    @property
    def certain(self) -> bool:
        """No coincidence, so that what was stored after it may be replaced."""
        if self.length == 1:
            return self.place == 0
        return self.linked or (self.anchored and next(step for step in self.run if step.before is None).equal)

    @property
    def rank(self) -> tuple[int, int, bool, bool, int, bool, int]:
        # Of runs as long as each other, one without gaps, then the one after which nothing was said yet, then one that
        # begins where the request or a thread of the session begins, is no coincidence; of those the later leaves less
        # that would be stored again. A single message says too little for that: there the beginning of the request
        # counts first.
        end = self.place if self.length > 1 else 0
        return self.length, -self.gaps, self.newest, self.anchored, end, self.from_start, self.place

    @property
    def run(self) -> Iterator[Match]:
        """The matches, last first."""
        match: Match | None = self
        while match is not None:
            yield match
            match = match.before


class Forest:
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

    @cached_property
    def by_likeness(self) -> dict[str, list[MessageEntry]]:
        found: dict[str, list[MessageEntry]] = defaultdict(list)
        for message in self.messages:
            if message.likeness:
                found[message.likeness].append(message)
        return found

    def parent(self, message: MessageEntry) -> MessageEntry | None:
        return self.by_id.get(message.parent) if message.parent else None

    def before(self, message: MessageEntry, role: Role) -> MessageEntry | None:
        """What a request's message of this role, standing before `message`, can be: the parent, or, since some
        clients leave answers out of their history, the user message above."""
        return self._user_above[message.id] if role == "user" else self.parent(message)

    def above(self, message: MessageEntry) -> Iterator[MessageEntry]:
        """The stored messages before this one in its thread, nearest first."""
        while (parent := self.parent(message)) is not None:
            yield parent
            message = parent

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


@dataclass(frozen=True, slots=True)
class Alignment:
    """What a request shows of its session."""

    match: Match | None
    """The end of the run that the request goes on from; None where the session does not hold its history."""
    sent: frozenset[str]
    """Ids of the stored messages that the client sent in some form."""
    rewritten: tuple[tuple[MessageEntry, Message], ...]
    """User messages that the client sent with another text, the newest first."""


def last_turn(incoming: Sequence[Message]) -> int:
    """Index of the first message after the last answer. The beginning of an answer that the client puts into the
    model's mouth is part of the turn."""
    turn = len(incoming)
    while turn and incoming[turn - 1].role == "assistant":
        turn -= 1
    while turn and incoming[turn - 1].role != "assistant":
        turn -= 1
    return turn


def align(forest: Forest, incoming: Sequence[Message]) -> Alignment:
    """Find the messages of a request in its session."""
    search = _Search(forest, incoming)
    match = search.best()
    sent: set[str] = set()
    rewritten: list[tuple[MessageEntry, Message]] = []
    matched: set[int] = set()
    for step in match.run if match is not None else ():
        matched.add(step.place)
        sent.add(step.entry.id)
        if not step.equal:
            rewritten.append((step.entry, incoming[step.place]))
        if step.before is None:
            sent.update(_in_front(forest, step, incoming))
        elif search.turn:  # of a client that sends no answers at all the model is to be shown them
            sent.update(_between(forest, step.before.entry, step.entry))
    others = [index for index in range(search.turn) if index not in matched]
    sent |= _elsewhere(forest, incoming, others, sent)
    return Alignment(match, frozenset(sent), tuple(rewritten))


def _elsewhere(
    forest: Forest, incoming: Sequence[Message], others: Sequence[int], sent: Collection[str]
) -> frozenset[str]:
    """Ids of what the session holds of the other messages of the request, in whatever place."""
    found: set[str] = set()
    copies: dict[str, Iterator[MessageEntry]] = {}
    for index in reversed(others):
        fingerprint = incoming[index].fingerprint
        left = copies.setdefault(fingerprint, reversed(forest.by_fingerprint.get(fingerprint, ())))
        copy = next((entry for entry in left if entry.id not in sent), None)
        if copy is None:
            continue
        found.add(copy.id)
        asked = forest.before(copy, "user")
        if asked is not None and index and incoming[index - 1].role == "user" and _distinctive(copy):
            found.add(asked.id)
    return frozenset(found)


class _Search:
    """The best run, found in one pass: what is matched goes on from what was matched before it."""

    def __init__(self, forest: Forest, incoming: Sequence[Message]) -> None:
        self._forest = forest
        self._incoming = incoming
        self.turn = last_turn(incoming)
        self._at: dict[tuple[int, str], Match] = {}
        self._latest: dict[str, Match] = {}
        self._steps = _MOST_STEPS

    def best(self) -> Match | None:
        """The run that a request goes on from; None where the session does not hold its history."""
        if (whole := self._whole_session()) is not None:
            return whole
        best: Match | None = None
        for index, equal in reversed(list(self._find_equal())):
            for entry in equal:
                match = self._match(index, entry, equal=True)
                self._at[index, entry.id] = match
                if self._better(match, best) and self._counts(match):
                    best = match
            for entry in equal:
                self._latest[entry.id] = self._at[index, entry.id]
        return best

    def _whole_session(self) -> Match | None:
        """The run of a request that brings the whole session, a thread without branches, and goes on from its end: no
        other can be as long. Most requests of most clients do."""
        stored, incoming, turn = self._forest.messages, self._incoming, self.turn
        if not 1 < turn == len(stored) or any(message.role == "assistant" for message in incoming[turn:]):
            return None
        run: Match | None = None
        for index, (entry, message) in enumerate(zip(stored, incoming, strict=False)):
            if entry.parent != (run.entry.id if run else None) or entry.fingerprint != message.fingerprint:
                return None
            run = Match(
                place=index,
                entry=entry,
                before=run,
                length=index + 1,
                equal=True,
                linked=run is not None,
                gaps=0,
                from_start=True,
                from_root=True,
                newest=index == turn - 1,
            )
        return run

    @staticmethod
    def _better(match: Match, best: Match | None) -> bool:
        """Of equal ones the newest is better: the client goes on from there."""
        if best is None or match.length > best.length:
            return True
        return match.length == best.length and match.rank >= best.rank

    def _counts(self, match: Match) -> bool:
        """Whether a run is no coincidence."""
        if match.certain:
            return len(self._incoming) > 1
        # The last answer alone, behind a user message of another text: the newest, or all there is.
        ends_thread = match.from_start and match.from_root and not self._forest.children[match.entry.id]
        return match.before is not None and match.place == self.turn - 1 and (match.newest or ends_thread)

    def _find_equal(self) -> Iterator[tuple[int, Sequence[MessageEntry]]]:
        """The stored copies of each message that has some, from the last message on: by fingerprint, or before the
        last turn by what is left of it in another form. Thousands of equal messages on both sides must not hold up the
        gateway: of such a request only the end is matched."""
        pairs = 0
        likened = 0
        for index in range(len(self._incoming) - 1, -1, -1):
            message = self._incoming[index]
            found: Sequence[MessageEntry] = self._forest.by_fingerprint.get(message.fingerprint, ())
            if not found and index < self.turn and likened < _MOST_LIKENED:
                likened += 1
                found = self._forest.by_likeness.get(message.likeness, ())
            pairs += len(found)
            if pairs > _MOST_PAIRS:
                return
            if found:
                yield index, found

    def _match(self, index: int, entry: MessageEntry, *, equal: bool) -> Match:
        above = self._above(index, entry)
        before = self._at.get((index - 1, above.id)) if above is not None else None
        linked = before is not None
        if before is None and equal and self._answers_user(index, entry, above):
            assert above is not None
            before = self._match(index - 1, above, equal=False)
        behind_gap = before is None and index < self.turn
        if behind_gap:
            before = self._behind_gap(index, entry)
        return Match(
            place=index,
            entry=entry,
            before=before,
            length=(before.length if before else 0) + equal,
            equal=equal,
            linked=linked or (before is not None and before.linked),
            gaps=(before.gaps + behind_gap) if before else 0,
            from_start=before.from_start if before else index == 0,
            from_root=before.from_root if before else above is None,
            newest=index == self.turn - 1 and entry.exchange == self._forest.messages[-1].exchange,
        )

    def _above(self, index: int, entry: MessageEntry) -> MessageEntry | None:
        return self._forest.before(entry, self._incoming[index - 1].role) if index else self._forest.parent(entry)

    def _answers_user(self, index: int, entry: MessageEntry, above: MessageEntry | None) -> bool:
        """A matched answer stands right behind a user message on both sides."""
        return (
            entry.role == "assistant"
            and 0 < index < self.turn
            and self._incoming[index - 1].role == "user"
            and above is not None
            and above.role == "user"
        )

    def _behind_gap(self, index: int, entry: MessageEntry) -> Match | None:
        matches = islice(self._matched_above(index, entry), _CANDIDATES)
        return max(matches, key=lambda match: match.length, default=None)

    def _matched_above(self, index: int, entry: MessageEntry) -> Iterator[Match]:
        for above in self._forest.above(entry):
            self._steps -= 1
            if self._steps < 0:
                return
            match = self._latest.get(above.id)
            if match is not None and match.place < index:
                yield match


def _distinctive(entry: MessageEntry) -> bool:
    return entry.role == "assistant" and entry.content_bytes >= _DISTINCTIVE


def _between(forest: Forest, first: MessageEntry, last: MessageEntry) -> Iterator[str]:
    """Ids of the messages between two of a thread."""
    if last.parent == first.id:
        return
    for above in forest.above(last):
        if above.id == first.id:
            return
        yield above.id


def _in_front(forest: Forest, first: Match, incoming: Sequence[Message]) -> Iterable[str]:
    """Ids of the messages before the first matched one, where the request has as many of the same roles there."""
    above = list(forest.above(first.entry))
    sent = incoming[: first.place][::-1][: len(above)]
    return [entry.id for entry in above] if [e.role for e in above] == [m.role for m in sent] else ()
