"""What `recallr reindex` shows while it goes on."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from recallr_litellm.stores.state import board
from recallr_litellm.stores.state.board import Phase

_LINE_EVERY = 0.1
"""Share of the points after which a line is printed where there is no terminal."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


class ReindexView:
    """A progress bar on a terminal, now and then a line elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("beginning", total=None)
        self._printed: tuple[Phase, int] | None = None

    def show(self, progress: board.Progress) -> None:
        """How far it has come now."""
        if self._bar.disable:
            self._print(progress)
            return
        total = progress.total or None
        self._bar.update(self._task, description=progress.phase.value, completed=progress.done, total=total)

    def _print(self, progress: board.Progress) -> None:
        step = int(progress.done / progress.total / _LINE_EVERY) if progress.total else 0
        if progress.total and not progress.phase.is_last and self._printed != (progress.phase, step):
            self._printed = (progress.phase, step)
            self._console.print(Text(f"{progress.phase.value}: {progress.done} of {progress.total}"))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
