"""How remembered text is written so that the model reads what was said, and none of it passes for a mark of the block.

Text stays as it is, character by character, but for two things. Invisible characters are taken out. And where a `<` of
the text, or a sign that looks like it, would begin one of the block's own marks, a backslash stands behind it:
`<\\user 10:58>` for `<user 10:58>`. The instructions tell the model so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape as without_entities
from unicodedata import category, normalize


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

_CLEANED: dict[int, str] = {
    **dict.fromkeys(_codes((0x00, 0x1F), (0x7F, 0x9F), *_INVISIBLE), ""),
    # Half of a surrogate pair cannot be encoded, and would fail the request at the provider's door.
    **dict.fromkeys(_codes((0xD800, 0xDFFF)), "\ufffd"),
    # Line ends of every kind are one kind.
    **dict.fromkeys((0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), "\n"),
    ord("\t"): "\t",
    ord("\n"): "\n",
}

_OPENING = re.compile(r"(?P<sign>[<＜﹤‹〈〈⟨❮❰˂ᐸᚲ𝈶]|&(?i:lt|#0*60|#x0*3c);?)(?P<backslashes>\\*)")
"""`<`, what looks like it, and its HTML entity; with the backslashes behind it."""
_CLOSING = re.compile(r"[>＞﹥›〉〉⟩❯❱˃ᐳ]|&(?i:gt|#0*62|#x0*3e);?")
_SURELY_NONE = frozenset("bdghijklnpqvwxyzBDGHIJKLNPQVWXYZ<")
"""No mark goes on with these. Most signs in code and HTML are settled by that."""
_LOOKED_AT = 200
"""Characters behind an opening sign that decide whether it begins a mark."""
_WORD = re.compile(r"\w")
_UNSEEN = frozenset({"Mn", "Mc", "Me", "Cf"})
"""Categories of characters that change how others look, or nothing."""
_LETTER = "λ"
"""Stands for any letter that is not ASCII: some look like ASCII letters."""


def _words(*alternatives: str) -> str:
    """A pattern for words of a mark, in which letters may be look-alikes, but not all."""
    letters = ("".join(f"[{c}{_LETTER}]" if c.isalpha() else r"\s+" for c in words) for words in alternatives)
    return rf"(?={_LETTER}*[a-z])(?:{'|'.join(letters)})"


_ATTRIBUTE = r"""(?:\s+[\w:@.-]+=(?:"[^"]*"|'[^']*'|\{[^{}]*\}))"""
_NO_ELEMENT = rf"(?!{_ATTRIBUTE}+\s*>|{_ATTRIBUTE}*\s*/>)"
"""Behind a word: `<user id="1">` and `<user />` are elements of XML or JSX. No mark has attributes or a slash there."""
_ROLE = _words("user", "assistant", "tool")
_DAY = rf"{_words('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')}\s+\d"
_MARK = re.compile(
    rf"[\W_]*{_words('recallr')}"
    rf"|\s*{_words('findings', 'facts', 'memories', 'summaries', 'conversation')}(?=[\s>,]|\Z){_NO_ELEMENT}"
    rf"|\s*{_words('earlier in', 'other open', 'recent messages', 'recent summaries')}"
    rf"|\s*{_ROLE}{_NO_ELEMENT}\s[^>]*\d"
    rf"|\s*{_words('calls', 'attached')}{_NO_ELEMENT}\s[^>]*>"
    rf"|\s*{_words('from')}\s+{_DAY}"
    rf"|\s*\d+(?:\.\d+)*\s+(?:{_DAY}|{_words('event', 'more calls', 'characters left')})"
    r"|\s*\.{3}\s*>"
)
"""What makes a mark of the sign before it. Of text as `_folded` has it."""
_LINE_MARK = re.compile(rf"\s*{_ROLE}(?=[\s>]|\Z){_NO_ELEMENT}")
"""What makes one at the beginning of a line."""


def clean(text: str) -> str:
    """The text without invisible and broken characters, and without white space at its ends."""
    if text.isascii() and text.isprintable():  # most lines of most chats
        return text.strip()
    text = text.replace("\r\n", "\n").translate(_CLEANED)
    if "\u200c" in text or "\u200d" in text:
        text = _STRAY_JOINERS.sub("", text)
    return text.strip()


def escape(text: str) -> str:
    """The text as it may stand in the block: clean, and no mark in it."""
    text = clean(text)
    if _surely_plain(text):
        return text
    return _OPENING.sub(lambda sign: f"{sign['sign']}\\{sign['backslashes']}" if _marks(sign) else sign[0], text)


def unescape(text: str) -> str:
    """What was escaped, if it was clean."""
    return _OPENING.sub(lambda sign: sign["sign"] + sign["backslashes"][1:] if _marks(sign) else sign[0], text)


def in_mark(text: str) -> str:
    """The text as it may stand in a mark: on one line, without the signs that begin and end marks."""
    text = clean(text)
    if not _surely_plain(text) or ">" in text:
        text = _CLOSING.sub(")", _OPENING.sub("(", text))
    return " ".join(text.split())


def _surely_plain(text: str) -> bool:
    """Whether a text has no opening sign. True of most texts, and quickly told."""
    return text.isascii() and "<" not in text and "&" not in text


def _marks(sign: re.Match[str]) -> bool:
    """Whether a sign would begin a mark, as far as can be told from what follows up to the next sign.

    Escaping changes nothing that this depends on. So what was escaped can be told from what was not.
    """
    text, end = sign.string, sign.end()
    if text[end : end + 1] in _SURELY_NONE:
        return False
    behind = text[end : end + _LOOKED_AT]
    following = _OPENING.search(behind)
    if following is None and not behind.strip("/ \n\t"):
        return True  # what is written next may make a mark of it
    folded = _folded(behind[: following.start()] if following else behind)
    if _MARK.match(folded):
        return True
    line = text.rfind("\n", 0, sign.start()) + 1
    return bool(_LINE_MARK.match(folded)) and not _WORD.search(text, line, sign.start())


def _folded(text: str) -> str:
    """The text in lower-case ASCII as far as it can be, with `_LETTER` for other letters."""
    if text.isascii() and "&" not in text:  # what follows would change nothing else
        return text.casefold()
    text = _CLOSING.sub(">", normalize("NFKD", without_entities(text)))
    kept = "".join(c for c in text if category(c) not in _UNSEEN).casefold()
    return re.sub(r"[^\W\d_a-z]", _LETTER, kept)
