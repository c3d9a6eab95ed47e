"""What the `recallr` command brings in before it knows what it is to do."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["litellm", "fastembed", "onnxruntime", "qdrant_edge", "dateparser"])
def test_the_command_is_there_without(heavy: str) -> None:
    # LiteLLM takes seconds, and asks the internet for its list of models; the models and stores are for few commands.
    code = f"import sys, recallr_litellm.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
