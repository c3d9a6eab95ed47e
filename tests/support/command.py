"""The `recallr` command as a process, as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

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


def prose(output: str) -> str:
    """What was printed, without the frames and the line breaks of the terminal."""
    return " ".join(re.sub(r"[│╭╰╮╯─]", " ", output).split())
