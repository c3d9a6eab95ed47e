"""What is imported before it is known to be needed."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"litellm", "fastembed", "onnxruntime", "qdrant_edge", "dateparser", "openai"}
"""LiteLLM takes seconds, and asks the internet for its list of models; the models and stores are for few commands."""


def imported_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_command_is_there_without_what_is_heavy() -> None:
    imported = imported_by("recallr_litellm.cli")
    assert "recallr_litellm.cli" in imported
    assert not imported & HEAVY


def test_nothing_is_imported_of_what_may_be_off() -> None:
    imported = {name for name in imported_by("recallr_litellm.hooks") if "recallr_litellm" in name}
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
