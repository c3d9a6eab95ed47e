"""The pytest plugin that prints the matrix of `tests/integration/test_matrix.py` as far as it has run."""

from __future__ import annotations

import pytest


class MatrixSummary:
    """Reads the outcomes off the reports, which come from all processes where pytest-xdist shares the tests out."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str, str], str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a cell; a failure in setting up or tearing down is one too."""
        cell = dict(report.user_properties).get("cell")
        if isinstance(cell, tuple) and (report.when == "call" or report.failed):
            self._outcomes[cell] = report.outcome if self._outcomes.get(cell) != "failed" else "failed"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, if any of it has run."""
        if self._outcomes:
            from tests.integration.test_matrix import table

            terminalreporter.section("matrix of the APIs")
            terminalreporter.write_line(table(self._outcomes))
