"""The section of the memory block that shows the user's profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recallr_litellm.core.block_memories import memory_line
from recallr_litellm.core.block_writer import BlockWriter, Filled
from recallr_litellm.core.laid import memory_key
from recallr_litellm.core.markup import mark
from recallr_litellm.core.recalled import RecalledMemory
from recallr_litellm.core.tokens import too_long

_PROFILE = mark("profile of the user") + "\n"


def profile(
    writer: BlockWriter, lines: Sequence[RecalledMemory], recalled: Iterable[RecalledMemory], room: int
) -> Filled:
    """The lines, in their order, whole, as many as fit.

    Args:
        recalled: memories that a search has found: a line that is among them is shown with what was before it.
    """
    found = {memory.id: memory for memory in recalled}
    shown: list[RecalledMemory] = []
    text, left, complete = "", room - writer.meter.cost(_PROFILE), True
    for line in lines:
        memory = found.get(line.id, line)
        written = "" if too_long(memory.text, left) else memory_line(writer, memory)
        if not written or not writer.meter.fits(written, left):
            complete = False
            continue
        left -= writer.meter.cost(written)
        text += written
        shown.append(memory)
    if not shown:
        return Filled(complete=complete)
    told = frozenset(map(memory_key, shown))
    return Filled(_PROFILE + text, room - left, frozenset(memory.id for memory in shown), told, complete)
