"""Times of the API: ISO 8601, UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(milliseconds: int) -> datetime:
    """A time of the stores."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
