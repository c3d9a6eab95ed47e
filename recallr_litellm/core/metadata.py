"""What applications note about users and sessions."""

from __future__ import annotations

import json
from typing import Final

from pydantic import JsonValue

MOST_BYTES: Final = 16_384
"""Of what is noted about one, as JSON."""
DEEPEST: Final = 32
"""Objects and lists within each other. Records with some 200 could be written and not read again."""


def check_metadata(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The rule for metadata, wherever it comes from. Raises ValueError."""
    wrong = ValueError("must be JSON: no NaN, no infinity, no half characters, not nested too deep")
    if _is_deeper(metadata, DEEPEST):
        raise wrong
    try:
        size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise wrong from None
    if size > MOST_BYTES:
        raise ValueError(f"must take at most {MOST_BYTES} bytes as JSON")
    return metadata


def _is_deeper(value: JsonValue, levels: int) -> bool:
    """Whether more than so many objects and lists are within each other."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
