"""Rows for people and for programs that search them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from recallr_litellm.printable import printable


def print_table(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Print a line for each row, in columns, however long: to be read, searched and copied from."""
    cells = [[" ".join(printable(cell).split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(Text(line.rstrip()))
