"""The benchmarks still find what they measure: nobody runs them often enough to notice."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_every_benchmark_can_be_imported(name: str) -> None:
    importlib.import_module(f"tests.benchmarks.{name}")


def test_the_parts_of_a_recall_are_there_to_be_timed() -> None:
    from recallr_litellm.recall import search
    from tests.benchmarks.recall import RESCORING

    assert [name for name in RESCORING if not hasattr(search, name)] == []


def test_each_rule_of_recall_can_be_switched_off() -> None:
    from tests.benchmarks.life import RULES

    for off in RULES.values():
        with off():  # raises where it patches a name that is gone
            pass
