"""What a wire format of the stand-in provider has to be able to do, and what they share."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.script import Answer


@dataclass(frozen=True)
class Event:
    """A piece of a streamed answer."""

    data: bytes
    """As it goes over the wire."""
    content: bool = False
    """It brings content (text or a tool call): what `Answer.hang_after` counts."""


class Wire(ABC):
    """One API of the provider, with the answers of a script in its own shapes; by default as OpenAI's are."""

    paths: tuple[str, ...]
    """Starlette routes, for POST."""

    def streamed(self, path: str, body: dict[str, Any]) -> bool:
        """Whether the request asks for a stream."""
        return bool(body.get("stream"))

    def model(self, path: str, body: dict[str, Any]) -> str:
        """The model asked for."""
        return str(body.get("model"))

    @abstractmethod
    def user_text(self, body: dict[str, Any]) -> str:
        """Text of the last user message, injected memory included; "" if there is none."""

    def error(self, answer: Answer) -> dict[str, Any]:
        """The error object for `answer.status`."""
        return error(answer)

    @abstractmethod
    def whole(self, answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
        """A whole answer; `number` makes the id."""

    @abstractmethod
    def events(self, answer: Answer, body: dict[str, Any], number: int) -> Iterator[Event]:
        """A streamed answer, to its very end."""


def data_event(data: Any, *, content: bool = False, name: str | None = None) -> Event:
    """A server-sent event; `data` is JSON, or text that stands as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    head = f"event: {name}\n" if name else ""
    return Event(f"{head}data: {text}\n\n".encode(), content)


def said_back(user_text: str) -> str:
    """The answer where the script gives none: only the last line, so that a memory block is not said back."""
    lines = user_text.strip().splitlines() or [""]
    return f'You said: "{lines[-1][:200]}".'


_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def error(answer: Answer) -> dict[str, Any]:
    """OpenAI's error object for `answer.status`."""
    kind, code = _ERRORS.get(answer.status, ("server_error", None))
    return {"error": {"message": answer.message, "type": kind, "param": None, "code": code}}


def pieces_of(text: str, count: int | None) -> Iterator[str]:
    """The text in `count` pieces, or word by word; never an empty piece."""
    if count is None:
        yield from re.findall(r"\s*\S+|\s+$", text)
        return
    for number in range(count):
        piece = text[len(text) * number // count : len(text) * (number + 1) // count]
        if piece:
            yield piece
