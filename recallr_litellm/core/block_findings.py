"""The section of the memory block that shows what a search by a model has found."""

from __future__ import annotations

from collections.abc import Sequence

from recallr_litellm.core.block_writer import BlockWriter, Filled
from recallr_litellm.core.escaping import escape
from recallr_litellm.core.markup import mark
from recallr_litellm.core.recalled import Finding
from recallr_litellm.core.tokens import too_long

_FINDINGS = mark("findings") + "\n"


def findings(writer: BlockWriter, items: Sequence[Finding], room: int) -> Filled:
    """Findings in their order, as many as fit, each whole, with the dates of what they rest on."""
    left = room - writer.meter.cost(_FINDINGS)
    lines: dict[str, str] = {}
    for item in items:
        if too_long(item.text, left):
            continue
        dates = dict.fromkeys(map(writer.clock.date, item.at))
        line = f"{mark('from', ' – '.join(dates))} {' '.join(escape(item.text).split())}\n"
        if writer.meter.fits(line, left):
            left -= writer.meter.cost(line)
            lines[item.text] = line
    complete = len(lines) == len(items)
    if not lines:
        return Filled(complete=complete)
    return Filled(_FINDINGS + "".join(lines.values()), room - left, told=frozenset(lines), complete=complete)
