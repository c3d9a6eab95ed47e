"""What applications note about users and sessions."""

from __future__ import annotations

import json
from typing import Final

from pydantic import JsonValue

MOST_BYTES: Final = 16_384
"""Of what is noted about one, as JSON."""


def check_metadata(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The rule for metadata, wherever it comes from. Raises ValueError."""
    try:
        size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise ValueError("must be JSON: no NaN, no infinity, no half characters, not nested too deep") from None
    if size > MOST_BYTES:
        raise ValueError(f"must take at most {MOST_BYTES} bytes as JSON")
    return metadata
