"""The APIs that the stand-in provider speaks: one module each. A new one is one new file, and a line here."""

from tests.support.wires.anthropic import Anthropic
from tests.support.wires.base import Event, Wire
from tests.support.wires.chat import Chat
from tests.support.wires.completions import Completions
from tests.support.wires.gemini import Gemini
from tests.support.wires.responses import Responses

WIRES: tuple[Wire, ...] = (Chat(), Anthropic(), Completions(), Gemini(), Responses())

__all__ = ["WIRES", "Event", "Wire"]
