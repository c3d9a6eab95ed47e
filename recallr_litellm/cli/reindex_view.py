"""What `recallr reindex` shows while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_LINES = 10
"""Lines that are printed in all where there is no terminal."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


@contextmanager
def progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, now and then a line elsewhere, shown by the function that it gives."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    printed = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("embedding", total=None)

        def show(compared: int, total: int) -> None:
            nonlocal printed
            bar.update(task, completed=compared, total=total)
            step = compared * _LINES // total if total else 0
            if bar.disable and step > printed:
                printed = step
                console.print(Text(f"{compared} of {total} points"))

        yield show
