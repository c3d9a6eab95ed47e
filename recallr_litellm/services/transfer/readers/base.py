"""What the readers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recallr_litellm.errors import InvalidImport
from recallr_litellm.services.transfer.document import MessageItem, SessionItem, milliseconds, read_item


class Conversation(NamedTuple):
    """A conversation as a session."""

    user: str | None
    """Id of the user, where the file says it."""
    session: SessionItem


def an_object(value: Any, place: str) -> dict[str, Any]:
    """The value, which has to be an object.

    Raises:
        InvalidImport: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidImport(f"{place}: must be an object, not {type(value).__name__}")
    return value


def a_list(value: Any, place: str) -> list[Any]:
    """The value, which has to be a list.

    Raises:
        InvalidImport: it is none.
    """
    if not isinstance(value, list):
        raise InvalidImport(f"{place}: must be a list, not {type(value).__name__}")
    return value


def a_time(value: Any, place: str) -> int | None:
    """A moment, ms; None where nothing is said.

    Raises:
        InvalidImport: it is none.
    """
    if value is None or value == "":
        return None
    try:
        return milliseconds(value)
    except (ValueError, OverflowError) as error:
        raise InvalidImport(f"{place}: {error}") from None


def session(
    place: str,
    *,
    id: Any,
    created_at: int | None,
    messages: Sequence[MessageItem],
    metadata: dict[str, Any],
    last_at: int | None = None,
) -> SessionItem:
    """A session, its values checked."""
    fields = {"id": id, "created_at": created_at, "last_at": last_at, "metadata": metadata, "messages": messages}
    return read_item(SessionItem, fields, place)
