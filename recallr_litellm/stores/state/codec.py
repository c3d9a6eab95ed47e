"""Domain records as Redis values: JSON.

Half of a surrogate pair, which clients can send and UTF-8 cannot say, survives as an escape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

from recallr_litellm.core.bounds import for_showing
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import MessageEntry, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.json_text import parsed, written


def dump_owner(owner: Owner) -> str:
    return json.dumps([owner.project, owner.user])


def load_owner(text: str, member: str) -> Owner:
    """Of a member of a queue. The user may have another name since."""
    project, user = json.loads(text)
    return Owner(project, user, member.partition(":")[0])


def dump_metadata(metadata: Mapping[str, JsonValue]) -> bytes:
    return written(dict(metadata))


def load_metadata(text: str | None) -> dict[str, JsonValue]:
    return parsed(text) if text else {}


def dump_messages(messages: Iterable[StoredMessage]) -> Iterator[str | int | bytes]:
    """The five arguments that scripts take for each message: id, position, its entry, the message as a request reads
    it, and the whole message; "" where that is the same."""
    for stored in messages:
        shown = for_showing(stored.message)
        whole = written(stored.model_dump())
        yield stored.id
        yield stored.position
        yield written(stored.entry)
        if shown is stored.message:
            yield whole
            yield ""
        else:
            yield written(stored.model_copy(update={"message": shown}).model_dump())
            yield whole


def load_message(text: str) -> StoredMessage:
    return StoredMessage.model_validate(parsed(text))


def load_messages(texts: Iterable[str]) -> tuple[StoredMessage, ...]:
    """By position."""
    return tuple(sorted(map(load_message, texts), key=lambda stored: stored.position))


def load_entries(texts: Iterable[str]) -> tuple[MessageEntry, ...]:
    """By position."""
    rows = parsed(f"[{','.join(texts)}]")
    return tuple(sorted((MessageEntry(*row) for row in rows), key=lambda entry: entry.position))


def dump_block(block: LaidBlock) -> bytes:
    return written(block)


def load_blocks(texts: Iterable[str]) -> tuple[LaidBlock, ...]:
    """Without those of version 0.2.0 or earlier, which are texts alone."""
    rows = (parsed(text) for text in texts if text.startswith("["))
    return tuple(LaidBlock(*row)._replace(shown=tuple(row[-1])) for row in rows)
