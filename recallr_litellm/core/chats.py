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
from typing import Any, Final, Literal

from recallr_litellm.core.bounds import for_showing
from recallr_litellm.core.chat_ids import ChatId, chat_id
from recallr_litellm.core.client_marks import is_compaction
from recallr_litellm.core.history import overlap
from recallr_litellm.core.messages import Message, MessageEntry

_COMPARED: Final = 12
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
    otherwise: Otherwise = "opening" if history and not compacted else "current"
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


def holds(history: Sequence[Message], stored: Sequence[MessageEntry]) -> bool:
    """Whether a session surely holds a history: two messages that follow each other in both, or two of the user's.

    Args:
        history: of `Chat`.
        stored: the session's messages.
    """
    prints = {entry.fingerprint for entry in stored}
    held = [message.fingerprint in prints for message in history]
    if overlap(history, stored) >= 2:
        return 2 * sum(held) >= len(held) or all(held[-2:])
    said = [message for message, is_held in zip(history, held, strict=True) if is_held]
    if any(message.role != "user" for message in said):
        return False
    roots = {entry.fingerprint for entry in stored if entry.parent is None}
    first = history[0]
    return len(said) >= 2 or (first.role == "user" and first.fingerprint in roots and len(first.text) >= _TELLING)


def in_doubt(history: Sequence[Message], stored: Sequence[MessageEntry]) -> Iterator[tuple[Message | None, str | None]]:
    """For each answer that both hold: the user's message before it in the history, None where the history begins with
    the answer, and the id of the user's message before it in the session. Two chats may have one answer ("Done."): only
    these messages tell whether it is one chat, whose client writes its messages anew. The latest first."""
    by_id = {entry.id: entry for entry in stored}
    by_print = {entry.fingerprint: entry for entry in stored if entry.role == "assistant"}
    for index in range(len(history) - 1, -1, -1):
        answer = by_print.get(history[index].fingerprint)
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
