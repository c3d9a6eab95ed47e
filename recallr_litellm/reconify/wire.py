"""How a payload is written, so that the keys can be put into it when it is sent."""

from __future__ import annotations

from typing import Any, Final

from recallr_litellm.json_text import written

VERSION: Final = "1.0.0"
"""Of the REST API."""

OPENING: Final = '{"reconify":{'
"""How the JSON of every payload begins: the keys have their place behind it."""


def encoded(payload: dict[str, Any]) -> bytes:
    """The JSON of a payload, which begins with `OPENING`.

    Raises:
        TypeError, ValueError, RecursionError: something in it is no JSON.
    """
    return written({"reconify": payload["reconify"], **payload})
