"""Values of headers and metadata: booleans as clients write them, and what is wrong with a value in plain words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


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


def describe(message: str) -> str:
    """What pydantic says of a value, in the words of the other messages."""
    return message.removeprefix("Value error, ").replace("Input should", "must")
