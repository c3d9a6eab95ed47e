"""Which messages of a request are new, which of a session the client did not send, which are replaced.

Clients differ: some send their whole history each time, some a window of it, some only the newest
message, and many rewrite what they send again. What they send is aligned with the session
(`core/alignment.py`), which yields a run of matched messages:

- The run counts when it has at least two messages, or begins with the request's first and something follows.
  Of a single answer, the user message before it must stand in the same place. A single user message is never taken
  for an old one ("yes" said twice is said twice), unless the client says that it retries, or the stored answer to it
  broke off.
- *New* is what follows the run. Without one, it is what follows the last answer in the request:
  the history before it was stored when it was said, in an earlier session.
- *Replaced* is what hangs below the end of the run: an answer that is generated again, or the old
  branch of an edited history. Of several answers (`n` > 1), those that the client did not go on with.
- *Unseen* is what the session holds and the request does not, in any form: the model is shown it as context.
- *Rewritten* is what the session holds with another text: where it holds more than the client sends now, the client
  had put it there for the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from recallr_litellm.core.alignment import Forest, Match, align, last_turn
from recallr_litellm.core.messages import Message, MessageEntry, StoredMessage, composed, utf8_bytes

_COMPARED, _COMPARED_BYTES = 4, 200_000
"""Most rewritten messages of a request, and most bytes of them, whose stored texts are read."""
_OPENS, _CLOSES = frozenset("\n:>\"'“„«([{") | {""}, frozenset("\n<\"'”“»)]}") | {""}
"""What may stand right before and right behind the user's words in a wrapper; "" where nothing does."""


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
    rewritten: tuple[tuple[MessageEntry, Message], ...] = ()
    """User messages that the client sent with another text than is stored, the newest first."""
    known: tuple[tuple[int, MessageEntry], ...] = ()
    """User messages of the request that the session holds: index among its messages, entry."""


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
    forest = Forest(stored)
    alignment = align(forest, incoming)
    match, sent = alignment.match, alignment.sent
    replaced: frozenset[str] = frozenset()
    known: tuple[tuple[int, MessageEntry], ...] = ()
    if match is not None:
        end, last = match.place, match.entry
        known = tuple((step.place, step.entry) for step in match.run if step.entry.role == "user")
        replaced = _answers_not_chosen(forest, match)
    elif (repeated := _repeated(forest, incoming, retry=retry)) is not None:
        end, last, known = 0, repeated, ((0, repeated),)
        sent |= {last.id}
    else:
        unseen = tuple(message for message in forest.messages if message.id not in sent)
        return Plan(tuple(incoming[last_turn(incoming) :]), None, frozenset(), unseen)

    new = tuple(incoming[end + 1 :])
    if new and new[0].role == "user" and last.role == "user":
        last = forest.last_answer_under(last)
    if match is None or (match.anchored and match.certain):  # nothing goes for what may be a coincidence
        replaced |= forest.below(forest.children[last.id])
    if replaceable is not None:
        replaced &= frozenset(replaceable)
    not_unseen = replaced | sent
    unseen = tuple(message for message in forest.messages if message.id not in not_unseen)
    return Plan(new, last.id, replaced, unseen, alignment.rewritten, known)


def _repeated(forest: Forest, incoming: Sequence[Message], *, retry: bool) -> MessageEntry | None:
    """The stored message that a single-message request says again, if it does."""
    if len(incoming) != 1:
        return None
    for candidate in reversed(forest.by_fingerprint[incoming[0].fingerprint]):
        if retry or any(answer.partial for answer in forest.children[candidate.id]):
            return candidate
    return None


def _answers_not_chosen(forest: Forest, match: Match) -> frozenset[str]:
    """Of several answers to one request, those beside the one that the client's history goes on with."""
    others: set[str] = set()
    for entry in (step.entry for step in match.run if step.entry.role == "assistant"):
        siblings = [
            sibling
            for sibling in forest.children[entry.parent]
            if sibling.exchange == entry.exchange and sibling.id != entry.id
        ]
        others |= forest.below(siblings)
    return frozenset(others)


def to_shorten(plan: Plan) -> dict[str, Message]:
    """Of the rewritten messages those whose texts may have to be read: id → what the client sends now.

    Few are: what is shortened once is equal from then on.
    """
    left = _COMPARED_BYTES
    found: dict[str, Message] = {}
    for entry, sent in plan.rewritten[:_COMPARED]:
        left -= entry.content_bytes
        if left >= 0 and sent.text.strip() and utf8_bytes(sent.text) < entry.content_bytes:
            found[entry.id] = sent
    return found


def shortened(stored: StoredMessage, sent: Message) -> StoredMessage | None:
    """The stored message with the text that the client sends now, where it holds that text in a place of its own.
    What stood around it was the client's. None where it does not: a text cut in the middle of a line is no wrapper's.
    """
    lines = "\n".join(" ".join(line.split()) for line in composed(stored.message.text).splitlines() if line.strip())
    words = " ".join(composed(sent.text).split())
    if len(words) == len(lines):
        return None
    start = lines.replace("\n", " ").rfind(words)
    end = start + len(words)
    if start < 0 or lines[:start].rstrip(" ")[-1:] not in _OPENS or lines[end:].lstrip(" ")[:1] not in _CLOSES:
        return None
    message = Message.model_validate({**stored.message.model_dump(), "text": sent.text})
    return stored.model_copy(update={"message": message})


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
    timezone: str = "",
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
            timezone=timezone,
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
