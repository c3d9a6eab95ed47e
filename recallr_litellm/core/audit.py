"""Who changed what."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AuditEntry(BaseModel):
    """A change that a person made. It names what was changed by its ids, and holds no text of a user's."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    at: int
    """Milliseconds since the epoch, UTC."""
    who: str
    """Name of the API key that the person came in with."""
    action: str
    """Such as `forget user`."""
    target: dict[str, str] = Field(default_factory=dict)
    """Kind → id, such as `user`, `memory`."""
    refused: bool = False
    """It was not made: what it was to change was gone, or no longer what it was."""
