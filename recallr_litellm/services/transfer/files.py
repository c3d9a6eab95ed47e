"""Reads the conversations of a file, whatever its size: in memory for one conversation of it.

A file is a JSON list of conversations, JSON lines (one conversation each), or one conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from recallr_litellm.errors import InvalidImport
from recallr_litellm.json_text import parsed
from recallr_litellm.services.transfer.document import FORMAT, LISTS, SessionItem, id_of
from recallr_litellm.services.transfer.json_items import MOST_BYTES, JsonItems
from recallr_litellm.services.transfer.readers import FORMATS, Conversation, Format

_AT_ONCE: Final = 64 * 1024
_DOCUMENT = re.compile(rb'\A\s*\{\s*"format"\s*:\s*"%s"' % FORMAT.encode())


class Read(NamedTuple):
    """A conversation of a file, or what is wrong with it."""

    conversation: Conversation | None
    fault: InvalidImport | None
    bytes: int
    """How much of the file was read by then."""


class _Piece(NamedTuple):
    value: Any
    place: str
    bytes: int
    fault: InvalidImport | None = None


def document_user(path: Path) -> str | None:
    """Of whom the file is an export; None for any other file.

    Raises:
        InvalidImport: it is one, but says of nobody.
    """
    with path.open("rb") as file:
        part = file.read(_AT_ONCE)
        if not _DOCUMENT.match(part.removeprefix(b"\xef\xbb\xbf")):
            return None
        items = JsonItems(lists=LISTS)
        while part:
            for item in items.feed(part):
                if item.field == "user" and isinstance(item.value, dict) and isinstance(item.value.get("id"), str):
                    return str(item.value["id"])
            part = file.read(_AT_ONCE)
    raise InvalidImport(f"{path}: does not say whose memory it is: name the user with --user")


def conversations(path: Path, format: str | None = None) -> Iterator[Read]:
    """The conversations of a file. One without any date is dated by the file.

    Args:
        format: one of `FORMATS`; None: recognised by what the file holds.

    Raises:
        InvalidImport: it cannot be read any further.
        OSError: it cannot be read at all.
    """
    modified = round(path.stat().st_mtime * 1000)
    with path.open("rb") as file:
        for piece in _pieces(file):
            if piece.fault is not None:
                yield Read(None, piece.fault, piece.bytes)
                continue
            try:
                for user, session in _format_of(piece, format).read(piece.value, piece.place):
                    yield Read(Conversation(user, _dated(session, modified)), None, piece.bytes)
            except InvalidImport as fault:
                yield Read(None, fault, piece.bytes)


def _format_of(piece: _Piece, name: str | None) -> Format:
    if name is not None:
        return FORMATS[name]
    found = next((one for one in FORMATS.values() if one.is_one(piece.value)), None)
    if found is None:
        known = "; ".join(f"{name} ({one.description})" for name, one in FORMATS.items())
        raise InvalidImport(f"{piece.place}: is no conversation in a form that is known: {known}")
    return found


def _dated(session: SessionItem, at: int) -> SessionItem:
    """The session; one without any date with this one. Its id does not depend on it."""
    if session.created_at is not None or any(message.at is not None for message in session.messages):
        return session
    return session.model_copy(update={"id": id_of(session), "created_at": at})


def _pieces(file: BinaryIO) -> Iterator[_Piece]:
    start = file.read(_AT_ONCE)
    begins = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(len(start) - len(start.removeprefix(b"\xef\xbb\xbf")))
    if start.startswith(b"PK\x03\x04"):
        raise InvalidImport("the file: is a ZIP archive; unpack it and import the conversations.json that is in it")
    if not begins:
        raise InvalidImport("the file: is empty" if not start else "the file: begins with nothing but white space")
    if begins.startswith(b"["):
        yield from _list(file)
    else:
        yield from _lines(file)


def _list(file: BinaryIO) -> Iterator[_Piece]:
    items = JsonItems()
    messages: list[Any] = []
    while part := file.read(_AT_ONCE):
        for item in items.feed(part):
            if messages or (item.number == 0 and isinstance(item.value, dict) and "role" in item.value):
                messages.append(item.value)  # the list is a conversation itself
                if file.tell() > MOST_BYTES:
                    raise InvalidImport(f"the file: a conversation may take {MOST_BYTES // 1024**2} MB at most")
            else:
                yield _Piece(item.value, f"item {(item.number or 0) + 1}", file.tell())
    items.close()
    if messages:
        yield _Piece(messages, "the file", file.tell())


def _lines(file: BinaryIO) -> Iterator[_Piece]:
    begun = file.tell()
    number, several = 0, False
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        place = f"line {number}"
        if len(line) > MOST_BYTES:
            raise InvalidImport(f"{place}: is longer than {MOST_BYTES // 1024**2} MB, the most that one may be")
        if not line.strip():
            continue
        try:
            value = parsed(line.decode())
        except (ValueError, RecursionError) as error:
            if not several:
                yield _whole(file, begun)
                return
            yield _Piece(None, place, file.tell(), InvalidImport(f"{place}: is not JSON ({error})"))
        else:
            several = True
            yield _Piece(value, place, file.tell())


def _whole(file: BinaryIO, begun: int) -> _Piece:
    """The file as one value: its first line is none."""
    file.seek(begun)
    text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise InvalidImport(f"the file: is one value of more than {MOST_BYTES // 1024**2} MB, the most that may be")
    try:
        return _Piece(parsed(text.decode()), "the file", file.tell())
    except (ValueError, RecursionError) as error:
        raise InvalidImport(f"the file: is not JSON ({error})") from None
