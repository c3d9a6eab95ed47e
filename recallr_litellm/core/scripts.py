"""Words of scripts that a tokenizer for English cuts wrongly: without spaces, or with vowel signs."""

from __future__ import annotations

import re
import unicodedata

SPACELESS = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese, Han, Hangul
)
"""Inside of a character class: scripts without spaces between words, and Hangul, whose words have endings."""
_RUN = re.compile(f"[{SPACELESS}]+")
_MARKS = ("Mn", "Mc")
_LETTER = re.compile(r"[^\W\d_]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")


def as_words(text: str) -> str:
    """The text as a tokenizer for English reads it best.

    Runs of scripts without spaces become pairs of characters, each with its neighbour, as search engines index them
    (https://lucene.apache.org/core/9_0_0/analysis/common/org/apache/lucene/analysis/cjk/CJKBigramFilter.html). Vowel
    signs and other marks that stand beside a letter are left out, or each would end a word. ASCII stays as it is.
    """
    if text.isascii():
        return text
    plain = "".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c) not in _MARKS)
    return _RUN.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", plain)


def mostly_not_latin(text: str) -> bool:
    """Whether most letters of a text are of other scripts than Latin."""
    letters = len(_LETTER.findall(text))
    return letters > 0 and 2 * len(_LATIN.findall(text)) < letters


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
