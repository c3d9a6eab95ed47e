"""Values of headers and metadata: how they are taken and checked, and what is wrong with a value in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

Pairs = tuple[tuple[str, str], ...]
MAX_LENGTH = 256


def say(text: str) -> PydanticCustomError:
    """An error whose message is this text."""
    return PydanticCustomError("header", "{text}", {"text": text})


def _boolean(value: Any) -> Any:
    match str(value).lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise say("must be true, false, 1 or 0")


Boolean = Annotated[bool, BeforeValidator(_boolean)]


def take(prefix: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[Pairs, list[tuple[bytes, bytes]]]:
    """Split ASGI headers into those that begin with the prefix, names in lower case, and the rest.

    Values are UTF-8 and nothing else. Were Latin-1 read too, `José` from one client and `JosÃ©` from another could be
    the same id. What is not UTF-8 becomes half surrogates, which `check_text` refuses.
    """
    ours: list[tuple[str, str]] = []
    rest: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name.lower().startswith(prefix.encode()):
            ours.append((name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")))
        else:
            rest.append((name, value))
    return tuple(ours), rest


def check_text(value: str, *, not_utf8: str = "must be UTF-8") -> str:
    """A text that can be an id or a name. Raises ValueError where it is empty, too long or has odd characters in it."""
    if not 1 <= len(value) <= MAX_LENGTH:
        raise ValueError(f"must have 1 to {MAX_LENGTH} characters")
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
        raise ValueError("must not contain control characters")
    if any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise ValueError(not_utf8)
    return value


def describe(message: str) -> str:
    """What pydantic says of a value, in the words of the other messages."""
    return message.removeprefix("Value error, ").replace("Input should", "must")
