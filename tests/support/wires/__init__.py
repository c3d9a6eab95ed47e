"""The APIs that the stand-in provider speaks: one module each. A new one is one new file, and a line here."""

from tests.support.wires.base import Event, Wire
from tests.support.wires.chat import Chat

WIRES: tuple[Wire, ...] = (Chat(),)

__all__ = ["WIRES", "Event", "Wire"]
