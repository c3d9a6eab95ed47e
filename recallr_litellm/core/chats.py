"""Which chat of a user a request belongs to, as far as the request and the user's open sessions show it.

1. `X-Recallr-Conversation-Id`, or an id that the client sends anyway (`core/chat_ids.py`).
2. The history: it belongs to the open session that holds it. One that begins with a summary of the conversation
   belongs to the user's current session. One that no session holds opens another session, which is found again by the
   history's first messages: so a client that puts the same examples in front of each request stays in one session.
3. A message without a history goes on with the user's current session.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Final, Literal

from recallr_litellm.core.bounds import for_showing
from recallr_litellm.core.chat_ids import ChatId, chat_id
from recallr_litellm.core.client_marks import is_compaction
from recallr_litellm.core.messages import Message, MessageEntry

_COMPARED: Final = 8
"""Messages at the end of a history that are looked for in sessions."""
_OPENING: Final = 4
"""Messages at the beginning of a history by which a session that does not hold them is found again."""
_TELLING: Final = 16
"""Characters of a first message that is hardly said in two chats."""

Otherwise = Literal["current", "opening", "new"]


@dataclass(frozen=True, slots=True)
class Chat:
    """What a request shows of its chat."""

    key: str | None = None
    """Digest of the chat's id."""
    named_by: Literal["header", "client"] | None = None
    part: bool = False
    """The id names a part of the chat (see `ChatId`)."""
    history: tuple[Message, ...] = ()
    """The end of the history, texts shortened."""
    opening: str | None = None
    """Digest of the history's first messages."""
    otherwise: Otherwise = "current"
    """The session of a request whose chat is not known."""


def digest(id: ChatId) -> str:
    """Names a chat in Redis."""
    return _digest("part" if id.part else "chat", id.value)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def chat_of(
    messages: Sequence[Message],
    *,
    as_sent: Sequence[Message],
    header: str | None,
    client_headers: Mapping[str, str],
    body: Mapping[str, Any],
    litellm_session: str | None,
) -> Chat:
    """What a request shows of its chat.

    Args:
        messages: with the user's own words only.
        as_sent: the same with all that the client sent.
        header: `X-Recallr-Conversation-Id`.
        client_headers, body, litellm_session: as for `chat_id`.
    """
    id = ChatId(header) if header else chat_id(client_headers, body, litellm_session=litellm_session)
    history = _history(messages)
    compacted = any(is_compaction(message.text) for message in as_sent[:2])
    # The steps of a first turn are no history: an agent that sends each turn alone sends them too.
    earlier = any(message.role == "assistant" for message in messages[: _turn(messages)])
    otherwise: Otherwise = "opening" if earlier and not compacted else "current"
    if id is not None and id.opens_chat and not history:
        otherwise = "new"
    if not history and messages and messages[-1].role == "assistant":
        history = (
            messages  # the client lets the model go on with its answer, or puts the beginning of one into its mouth
        )
    return Chat(
        key=digest(id) if id else None,
        named_by=("header" if header else "client") if id else None,
        part=id.part if id else False,
        history=tuple(map(for_showing, history[-_COMPARED:])),
        opening=_digest("opening", *(message.fingerprint for message in history[:_OPENING])) if history else None,
        otherwise=otherwise,
    )


def _history(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages up to the last answer before the turn."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1
    while end and messages[end - 1].role != "assistant":
        end -= 1
    return messages[:end]


def _turn(messages: Sequence[Message]) -> int:
    """Index of the message that opened the turn."""
    said = [index for index, message in enumerate(messages) if message.role == "user"]
    return said[-1] if said else 0


def holds(history: Sequence[Message], stored: Sequence[MessageEntry]) -> bool:
    """Whether a session surely holds a history: two messages that follow each other in both, or two of the user's.

    Args:
        history: of `Chat`.
        stored: the session's messages.
    """
    if len(history) > 1 and _neighbours(history[-2:], stored[-2:]):  # nearly always, it ends where the session does
        return True
    prints = {print for entry in stored for print in _prints(entry)}
    held = [not prints.isdisjoint(_prints(message)) for message in history]
    if _neighbours(history, stored):
        return 2 * sum(held) >= len(held) or all(held[-2:])
    found = [message for message, is_held in zip(history, held, strict=True) if is_held]
    if any(message.role != "user" for message in found):
        return False
    first = next((message for message in history if message.role == "user"), history[0])  # behind a fixed greeting
    roots = {entry.fingerprint for entry in stored if entry.parent is None}
    return len(found) >= 2 or (first.role == "user" and first.fingerprint in roots and len(first.text) >= _TELLING)


def goes_on_otherwise(history: Sequence[Message], stored: Sequence[MessageEntry]) -> bool:
    """Whether both go on from the last message that both hold, each with a question and an answer of its own: two chats
    with the same beginning.

    Args:
        history: of `Chat`.
        stored: the session's messages.
    """
    places: dict[str, set[str]] = {}
    for entry in stored:
        for print in _prints(entry):
            places.setdefault(print, set()).add(entry.id)
    for index in range(len(history) - 1, -1, -1):
        ends = {id for print in _prints(history[index]) for id in places.get(print, ())}
        if ends:
            break
    else:
        return False
    if {"user", "assistant"} - {message.role for message in history[index + 1 :]}:
        return False
    asked = {entry.id for entry in stored if entry.role == "user" and entry.parent in ends}
    return any(entry.role == "assistant" and entry.parent in asked for entry in stored)


def _neighbours(history: Sequence[Message], stored: Sequence[MessageEntry]) -> bool:
    """Whether two messages follow each other in both."""
    pairs = {pair for before, after in pairwise(history) for pair in product(_prints(before), _prints(after))}
    by_id = {entry.id: entry for entry in stored}
    return any(
        not pairs.isdisjoint(product(_prints(by_id[entry.parent]), _prints(entry)))
        for entry in stored
        if entry.parent in by_id
    )


def _prints(message: Message | MessageEntry) -> set[str]:
    """By which a message is known, as it was sent or rewritten."""
    return {message.fingerprint, message.likeness} - {""}


def in_doubt(history: Sequence[Message], stored: Sequence[MessageEntry]) -> Iterator[tuple[Message | None, str | None]]:
    """For each answer that both hold: the user's message before it in the history, None where the history begins with
    the answer, and the id of the user's message before it in the session. Two chats may have one answer ("Done."): only
    these messages tell whether it is one chat, whose client writes its messages anew. The latest first."""
    by_id = {entry.id: entry for entry in stored}
    answers = {print: entry for entry in stored if entry.role == "assistant" for print in _prints(entry)}
    for index in range(len(history) - 1, -1, -1):
        answer = next((answers[print] for print in _prints(history[index]) if print in answers), None)
        if answer is None:
            continue
        said = next((message for message in reversed(history[:index]) if message.role == "user"), None)
        above = by_id.get(answer.parent or "")
        while above is not None and above.role != "user":
            above = by_id.get(above.parent or "")
        yield said, above.id if above else None


def says_the_same(sent: str, stored: str) -> bool:
    """Whether a user's message is the same but for what a client puts around it."""
    shorter, longer = sorted((" ".join(text.split()).casefold() for text in (sent, stored)), key=len)
    if not shorter:
        return not longer
    return re.search(rf"(?<!\w){re.escape(shorter)}(?!\w)", longer) is not None


@dataclass(frozen=True, slots=True)
class Parting:
    """Messages of a session that turn out to be of two chats."""

    leaving: frozenset[str]
    """Ids of the messages that go to a session of their own."""
    with_request: bool
    """They are those of the request's chat."""


def parting(stored: Sequence[MessageEntry], *, parent: str | None, unseen: Sequence[MessageEntry]) -> Parting | None:
    """How the chats of a session part, once a client shows by its history that they are not one.

    The first message of a chat has no history, so it goes on with the user's current session, whichever chat that is
    of. When the next one brings the history from this first message on, what else the session holds is another chat.
    The chat that was there first keeps the session.

    Args:
        stored: the session's messages, by position.
        parent: the stored message that the request goes on from.
        unseen: the stored messages that the client did not send.
    """
    root_of: dict[str, str] = {}
    for entry in stored:
        root_of[entry.id] = root_of.get(entry.parent or "", entry.id)
    root = root_of.get(parent or "")
    not_sent = {entry.id for entry in unseen}
    if root is None or root in not_sent:
        return None
    sent = {root_of[entry.id] for entry in stored if entry.id not in not_sent}
    others = frozenset(id for id, own_root in root_of.items() if own_root not in sent)
    if not others:
        return None
    if root_of[stored[0].id] not in sent:
        return Parting(frozenset(root_of) - others, with_request=True)
    return Parting(others, with_request=False)
