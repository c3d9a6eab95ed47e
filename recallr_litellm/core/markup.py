"""The marks of the memory block, and how moments are written in it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from recallr_litellm.core.escaping import in_mark

# Fixed English names: `strftime` would follow the locale of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def mark(*words: str) -> str:
    """A mark of the block, `<word word …>`."""
    return f"<{in_mark(' '.join(words))}>"


def attributed(by: str, *texts: str) -> str:
    """A mark with what it introduces, texts already escaped, ended."""
    return f"{by}{behind_mark(' '.join(filter(None, texts)))}\n"


def behind_mark(text: str) -> str:
    """The text as it stands behind a mark: code, lists and tables of more than one line on lines of their own."""
    return f"\n{text}" if "\n" in text else f" {text}"


def percent(relevance: float) -> str:
    """`91%` for 0.91."""
    return f"{round(100 * relevance)}%"


class Clock:
    """Writes moments in the user's timezone."""

    def __init__(self, timezone: ZoneInfo) -> None:
        self._timezone = timezone

    def local(self, at: int) -> datetime:
        """The moment `at` (milliseconds since the epoch, UTC) on the user's clock."""
        return datetime.fromtimestamp(at / 1000, tz=self._timezone)

    def date(self, at: int) -> str:
        """`Mon 3 Nov 2025`."""
        return _date(self.local(at))

    def time(self, at: int, *, on: str | None = None) -> str:
        """`10:58` for a moment on the date `on` (as `date` writes it), else `Mon 3 Nov 2025 10:58`."""
        return _stamp(self.local(at), on)

    def event(self, start: int, end: int | None) -> str:
        """`Mon 3 Nov 2025`, or `Mon 3 Nov 2025 – Fri 7 Nov 2025` for what ended on another day."""
        return " – ".join(dict.fromkeys(map(self.date, (start, start if end is None else end))))

    def now(self, now: datetime) -> str:
        """The aware datetime `now` as `Mon 3 Nov 2025 10:58`."""
        return _stamp(now.astimezone(self._timezone), None)


def _date(moment: datetime) -> str:
    return f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def _stamp(moment: datetime, on: str | None) -> str:
    time = f"{moment.hour:02}:{moment.minute:02}"
    date = _date(moment)
    return time if date == on else f"{date} {time}"
