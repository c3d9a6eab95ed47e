"""What others wrote cannot speak to the operator's terminal."""

from __future__ import annotations

import io

from rich.console import Console

from recallr_litellm.cli.table import print_table
from recallr_litellm.printable import printable


def test_control_and_invisible_characters_become_spaces_and_lines_stay() -> None:
    assert printable("a\x1b[31mb\x9b1mc\x07\u202ed\u200be\ud83d\r\nGrüße 🦊") == "a [31mb 1mc  d e  \nGrüße 🦊"


def test_a_table_is_a_line_for_each_row_whatever_its_cells_hold() -> None:
    written = io.StringIO()
    print_table(Console(file=written, soft_wrap=True), [("A", "REASON"), ("x\ny", "\x1b]0;title\x07 [bold]b[/bold]")])
    assert written.getvalue() == "A    REASON\nx y  ]0;title [bold]b[/bold]\n"
