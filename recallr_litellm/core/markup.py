"""How remembered text is written inside the memory block: escaped, dated, attributed.

Every structural mark of the block starts with `<`, and no remembered text can produce that
character, so nothing that was ever said can close the block, open another, or pass for a line of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

# Fixed English names: `strftime` would follow the locale of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _codes(*ranges: tuple[int, int]) -> Iterable[int]:
    return (code for first, last in ranges for code in range(first, last + 1))


_INVISIBLE = (
    # Characters that a model reads and a person does not see can carry instructions, or reorder the lines after them.
    # The property Default_Ignorable_Code_Point of Unicode, https://www.unicode.org/Public/UCD/latest/ucd/
    # DerivedCoreProperties.txt, and the interlinear annotations (FFF9–FFFB). But for the joiners: see `_STRAY_JOINERS`.
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    (0xE0000, 0xE0FFF),
)
"""First and last code points of the ranges that are taken out of what is shown."""

_JOINED = r"[^\x00-\u02ff\s]"
_STRAY_JOINERS = re.compile(
    rf"(?<!{_JOINED})[\u200c\u200d]+|[\u200c\u200d]+(?!{_JOINED})|(?<=[\u200c\u200d])[\u200c\u200d]+"
)
"""Joiners (zero-width, U+200C and U+200D) but for single ones inside emoji and the words of Persian, Hindi and others.
Latin letters, digits and ASCII need none."""

_WRITTEN: dict[int, str] = {
    **dict.fromkeys(_codes((0x00, 0x1F), (0x7F, 0x9F), *_INVISIBLE), ""),
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
    """The text as it may stand in the block: no markup, nothing invisible, no white space at the ends."""
    written = text.replace("\r\n", "\n").translate(_WRITTEN)
    if "\u200c" in written or "\u200d" in written:
        written = _STRAY_JOINERS.sub("", written)
    return written.strip()


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
