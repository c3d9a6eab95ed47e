"""What is imported before it is known to be needed."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["litellm", "fastembed", "onnxruntime", "qdrant_edge", "dateparser", "openai"])
def test_the_command_is_there_without(heavy: str) -> None:
    # LiteLLM takes seconds, and asks the internet for its list of models; the models and stores are for few commands.
    code = f"import sys, recallr_litellm.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_imported_of_what_may_be_off() -> None:
    code = "import sys, recallr_litellm.hooks; print(*(name for name in sys.modules if 'recallr_litellm' in name))"
    imported = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "recallr_litellm.gateway.runtime" in imported
    assert {name for name in imported if "reconify" in name or "report" in name or "bridges" in name} == {
        "recallr_litellm.reconify",
        "recallr_litellm.reconify.settings",  # they say whether it is on
        "recallr_litellm.gateway.reporter",
    }
    assert {name for name in imported if "delivery" in name or "webhooks" in name} == {
        "recallr_litellm.delivery",
        "recallr_litellm.delivery.records",
        "recallr_litellm.delivery.outbox",  # forgotten users are taken out of it, also when it is off
    }
    assert not [name for name in imported if "recallr_litellm.forward" in name], "the forward URL may be off too"
