"""Runs of bytes written as text (base64, hexadecimal) that a message may hold: neither searched nor shown.

A mark with their type and size stands in their place: `[image/png, 68 kB]`, `[data, 4 kB]`. The message itself is kept
whole.
"""

from __future__ import annotations

import re

SHORTEST = 120
"""Characters; a shorter run, such as a hash or a key, may be what somebody wants to find."""
_LINES = 4
"""Lines of base64 or hashes one after another that are a run, however short each is."""

_DATA_URI = re.compile(r"data:(?P<type>[\w.+/-]*)[^,\s]{0,100};base64,[A-Za-z0-9+/_=-]+", re.ASCII)
_LINE = r"[A-Za-z0-9+/]{32,}={0,2}"
_RUN = re.compile(
    rf"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{{{SHORTEST},}}={{0,2}}"
    rf"|(?:{_LINE}[ \t]*\r?\n[ \t]*){{{_LINES - 1},}}{_LINE})(?![A-Za-z0-9+/_=-])",
    re.ASCII,
)
_CLASSES = re.compile(r"[0-9]"), re.compile(r"[A-Z]"), re.compile(r"[a-z]")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F\s]+")
_WORD = re.compile(r"[a-z]{8,}|[A-Z]{8,}")
_MOST_WORDS = 0.3
"""Share of a run that words may take up."""


def without_blobs(text: str) -> str:
    """The text with a mark for each run of bytes. Linear time."""
    if len(text) < SHORTEST:
        return text
    text = _DATA_URI.sub(lambda found: blob_mark(found["type"] or "data", len(found[0])), text)
    return _RUN.sub(lambda found: blob_mark("data", len(found[0])) if _is_blob(found[0]) else found[0], text)


def _is_blob(run: str) -> bool:
    if _HEXADECIMAL.fullmatch(run):
        return any(map(str.isdigit, run))
    mixed = all(len(of_class.findall(run, 0, 2_000)) >= 3 for of_class in _CLASSES)
    words = sum(map(len, _WORD.findall(run, 0, 2_000)))
    return mixed and words < _MOST_WORDS * min(len(run), 2_000)


def blob_mark(kind: str, characters: int) -> str:
    """What stands in the place of bytes that base64 writes in so many characters, three in four."""
    return f"[{kind}, {max(1, round(characters * 3 / 4 / 1000))} kB]"
