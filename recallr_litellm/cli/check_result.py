"""What `recallr doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It runs, but something can be lost, is unsafe or could not be checked."""
    FAULT = "fault"
    """The gateway would not start, or would run without memory."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    about: str
    """What was checked, a word or two."""
    level: Level
    detail: str
    """What was found. No secrets."""
    advice: str = ""
    """What to do about it, where the level is not OK and the detail does not say it."""


def ok(about: str, detail: str) -> CheckResult:
    """Nothing is wrong."""
    return CheckResult(about, Level.OK, detail)


def warning(about: str, detail: str, advice: str) -> CheckResult:
    """See `Level.WARNING`."""
    return CheckResult(about, Level.WARNING, detail, advice)


def fault(about: str, detail: str, advice: str = "") -> CheckResult:
    """See `Level.FAULT`."""
    return CheckResult(about, Level.FAULT, detail, advice)
