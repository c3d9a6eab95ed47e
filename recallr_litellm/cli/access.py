"""How to talk to a gateway: its URL, where its keys are, a request to try. Never the keys themselves."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.environment import MASTER_KEY, MASTER_KEY_FILE
from recallr_litellm.projects import DEFAULT_PROJECT, KEY_FILE
from recallr_litellm.settings import Settings

_SOON_SECONDS = 5
"""A session timeout to try things with."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to talk to a gateway."""

    url: str
    model: str
    project: str
    master_key_file: Path | None
    """None: the key is in LITELLM_MASTER_KEY."""
    recallr_key_file: Path | None
    """None: the keys are in RECALLR_PROJECTS."""
    session_seconds: int
    """The shortest session timeout that a request may ask for."""
    console: bool
    """Whether it shows what is remembered in a browser."""

    @classmethod
    def of(cls, settings: Settings, *, url: str, model: str, master_key_generated: bool) -> Access:
        """Access to a gateway with these settings."""
        folder = settings.data_dir.resolve()
        return cls(
            url=url,
            model=model,
            project=next(iter(settings.projects), DEFAULT_PROJECT) if settings.projects else DEFAULT_PROJECT,
            master_key_file=folder / MASTER_KEY_FILE if master_key_generated else None,
            recallr_key_file=None if settings.projects else folder / KEY_FILE,
            session_seconds=settings.min_session_timeout_seconds,
            console=settings.console,
        )

    def curl(self) -> str:
        """A command for a POSIX shell, over several lines, that reads the keys from where they are."""
        master_key = _read(self.master_key_file) if self.master_key_file else f"${MASTER_KEY}"
        recallr_key = _read(self.recallr_key_file) if self.recallr_key_file else "<a key of the project>"
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "My name is Alice."}]})
        return " \\\n    ".join(
            [
                f"curl -i {self.url}/v1/chat/completions",
                f'-H "Authorization: Bearer {master_key}"',
                f'-H "X-Recallr-API-Key: {recallr_key}"',
                f"-H {shlex.quote(f'X-Recallr-Project-Id: {self.project}')}",
                "-H 'X-Recallr-User-Id: alice' -H 'X-Recallr-Allow-New-User-Creation: true'",
                f"-H 'Content-Type: application/json' -d {shlex.quote(body)}",
            ]
        )

    def _next_session(self) -> str:
        """How to see one session recall another without waiting for ten minutes."""
        if self.session_seconds <= _SOON_SECONDS:
            return (
                f"Memory across sessions: add -H 'X-Recallr-Session-Timeout-Seconds: {_SOON_SECONDS}' to it, wait "
                f"{2 * _SOON_SECONDS} s, and ask: What is my name?"
            )
        return (
            f"A session ends when its user has been quiet for {self.session_seconds} s. To see the next session recall "
            f"it sooner: RECALLR_MIN_SESSION_TIMEOUT_SECONDS={_SOON_SECONDS} recallr serve, and do what that prints."
        )

    def show(self, console: Console) -> None:
        """Print all of it, no line broken: paths and the command are there to be copied."""
        lines = [
            f"Gateway      {self.url}",
            f"Master key   in {self.master_key_file or MASTER_KEY}",
            f"Recallr key  in {self.recallr_key_file or 'RECALLR_PROJECTS'} (project {self.project!r})",
            *([f"Console      {self.url}/recallr/console"] if self.console else []),
            f"\nTry it from another shell:\n\n  {self.curl()}\n",
            self._next_session(),
        ]
        console.print(Text("\n".join(lines)), soft_wrap=True)


def _read(path: Path) -> str:
    return f"$(cat {shlex.quote(str(path))})"
