"""How remembered text is written inside the memory block: escaped, dated, attributed.

Every structural mark of the block starts with `<`, and no remembered text can produce that
character, so nothing that was ever said can close the block, open another, or pass for a line of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

# Fixed English names: `strftime` would follow the locale of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _codes(*ranges: tuple[int, int]) -> Iterable[int]:
    return (code for first, last in ranges for code in range(first, last + 1))


_WRITTEN: dict[int, str] = {
    # Control characters (C0, DEL, C1) and the bidirectional embeddings, overrides and isolates: the
    # latter reach past the text they stand in and reorder the lines after it for whoever reads the
    # block. Right-to-left letters order themselves; direction marks and joiners (emoji, Persian) stay.
    **dict.fromkeys(_codes((0x00, 0x1F), (0x7F, 0x9F), (0x202A, 0x202E), (0x2066, 0x2069)), ""),
    # Invisible characters that say something to a model and nothing to a reader: tags, zero-width spaces, word joiners.
    **dict.fromkeys(_codes((0xE0000, 0xE007F), (0x200B, 0x200B), (0x2060, 0x2064), (0xFEFF, 0xFEFF)), ""),
    # Half of a surrogate pair cannot be encoded, and would fail the request at the provider's door.
    **dict.fromkeys(_codes((0xD800, 0xDFFF)), "\ufffd"),
    # Line ends of every kind are one kind.
    **dict.fromkeys((0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), "\n"),
    ord("\t"): "\t",
    ord("\n"): "\n",
    ord("&"): "&amp;",
    # Each with its compatibility forms (fullwidth, small), which a model reads as the same sign.
    **dict.fromkeys((ord("<"), 0xFF1C, 0xFE64), "&lt;"),
    **dict.fromkeys((ord(">"), 0xFF1E, 0xFE65), "&gt;"),
}


def escape(text: str) -> str:
    """The text as it may stand in the block: no markup, no control characters, white space at the ends cut off."""
    return text.replace("\r\n", "\n").translate(_WRITTEN).strip()


def mark(*words: str) -> str:
    """A structural mark, `<word word …>`. Words that come from outside are escaped and kept on one line."""
    return f"<{' '.join(escape(' '.join(words)).split())}>"


def attributed(by: str, *texts: str) -> str:
    """A mark with what it introduces, texts already escaped, ended."""
    text = " ".join(filter(None, texts))
    # Code, lists and tables of more than one line begin on a line of their own.
    return f"{by}{chr(10) if chr(10) in text else ' '}{text}\n"


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
