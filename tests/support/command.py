"""The `recallr` command as a process, as a user runs it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import recallr_litellm
from tests.support.process import clean_environment

COMMAND = [sys.executable, "-m", "recallr_litellm.cli"]

OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    # the same recallr_litellm that the tests import, installed or not
    "PYTHONPATH": str(Path(recallr_litellm.__file__).parents[1]),
}


def recallr(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in this folder; output and errors are one text, as on a terminal."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=clean_environment({**OFFLINE, "COLUMNS": "100", **(environment or {})}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


class Running:
    """The command as a process beside the test; its output goes into a file.

    with Running("reindex", folder=tmp_path, environment={...}) as command:
        ...
        assert command.wait() == 0, command.output
    """

    def __init__(self, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = folder / f"{'-'.join(arguments[:1])}-{uuid.uuid4().hex[:8]}.log"
        self._command = [*COMMAND, *arguments]
        self._folder = folder
        self._environment = clean_environment({**OFFLINE, "COLUMNS": "100", **(environment or {})})

    @property
    def output(self) -> str:
        """What it has printed so far, errors too."""
        return self._log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def wait(self, timeout: float = 120.0) -> int:
        """Its exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGINT is Ctrl-C."""
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # As from a terminal: tests in the background of a shell have Ctrl-C ignored, and hand that down.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self._process.kill()
            self._process.wait()


def prose(output: str) -> str:
    """What was printed, without the frames and the line breaks of the terminal."""
    return " ".join(re.sub(r"[│╭╰╮╯─]", " ", output).split())
