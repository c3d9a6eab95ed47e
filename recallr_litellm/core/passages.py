"""Cutting a message into the passages that it is indexed and shown in.

A message is read as blocks (paragraphs, lists, tables, fenced code, headings). A block that fits
into a passage stays whole; a longer one is cut where it pauses: between items, lines or
sentences, then clauses, then words. What comes of it is packed into passages of even length.

Why not a library: those that know Markdown cut sentences at inline code and emphasis, and take
quadratic time on nested quotes; those that know sentences cut code and tables. Boundaries here
only have to be good places to cut, so a missed one costs a slightly longer passage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from recallr_litellm.core.blobs import without_blobs
from recallr_litellm.core.scripts import SPACELESS

MAX_INDEXED_CHARACTERS = 256_000
"""Text past this is not indexed; the message itself is kept whole elsewhere. A pasted book chapter or a long log."""
_PASTED_CHARACTERS = 8_000
"""From this length on, lines that are said before in the same text are not indexed again: headers, footers, logs."""
_SHORTEST_REPEATED = 16
"""Characters of such a line: code and tables repeat short ones."""

MAX_PASSAGE_TOKENS = 150
"""Longest passage; most are 80 to 130. Where the estimate is far too low, in Cyrillic or Arabic, that is
still about the 256 tokens that MiniLM reads."""

_LATIN = r"0-9A-Za-z_\u00c0-\u024f"
_TOKEN = re.compile(rf"[{_LATIN}]{{1,6}}|[{SPACELESS}]|[^\W{_LATIN}{SPACELESS}]{{1,2}}|[^\w\s]")

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}\s|\s*\*\*[^*]+\*\*:?\s*$")
_BULLET = r"[ \t]*(?:[-*+•]|\d{1,3}[.)])\s"
_ITEM = re.compile(_BULLET)

# Runs of punctuation are matched from their first character only and never given back
# (possessive), so that a page of dots takes linear time.
_SENTENCE_END = re.compile(
    r"(?<![.!?…])(?<!\b[A-Z])(?<!\b[DM]r)(?<!\bMrs)(?<!\bMs)(?<!\bSt)(?<!\bProf)"
    r"""[.!?…؟।։]++["'”’»)\]*_`]*+(?=\s+[^\sa-zà-ÿ])"""  # a lower-case letter follows an abbreviation
    r"|[。！？｡]++[」』”’）)]*+"
)
_CLAUSE_END = re.compile(r"[,;:](?=\s)|[，、；：]|\s[–—-]++(?=\s)")
_LINE_END = re.compile(r"\n")
_ITEM_END = re.compile(rf"\n(?={_BULLET})")


class _Kind(Enum):
    """Kinds of blocks; the value is where one that is too long is cut, best place first, words after the last."""

    PROSE = (_SENTENCE_END, _LINE_END, _CLAUSE_END)
    LIST = (_ITEM_END, *PROSE)
    HEADING = (_CLAUSE_END,)
    CODE = (_LINE_END,)
    TABLE = (_LINE_END, _CLAUSE_END)


@dataclass(frozen=True, slots=True)
class _Piece:
    """`text[start:end]`, without white space around it."""

    start: int
    end: int
    tokens: int
    opens: bool = False
    """A section begins here."""
    leads: bool = False
    """Means little without what follows: a heading, "the steps are:"."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a model reads in `text`, without its tokenizer.

    One for each started six characters of a Latin word, each started two of another alphabet,
    each character of a script without spaces, each punctuation mark or emoji. Measured as a
    multiple of what MiniLM / cl100k_base count: English chat 1.12 / 1.17, Markdown 0.97 / 1.05,
    Python 0.86 / 1.06, German 0.68 / 0.82, Chinese 1.0 / 0.83, Russian 0.61 / 0.97, Arabic
    0.57 / 0.65. Linear time. Never more for a whole than for its pieces together.
    """
    return sum(1 for _ in _TOKEN.finditer(text))


def indexed(text: str) -> str:
    """What of a message is indexed: without runs of bytes, and the lines of a long paste once."""
    text = without_blobs(text)
    if len(text) < _PASTED_CHARACTERS:
        return text
    seen: set[str] = set()
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        content = line.strip()
        if len(content) >= _SHORTEST_REPEATED:
            if content in seen:
                continue
            seen.add(content)
        kept.append(line)
    return "".join(kept)


def split(text: str, *, max_tokens: int = MAX_PASSAGE_TOKENS) -> list[str]:
    """The passages of a message, in order; empty if there is nothing but white space in it.

    Args:
        text: a message of any language and length, Markdown or plain. Only the first
            `MAX_INDEXED_CHARACTERS` are looked at. Linear time.
        max_tokens: longest passage, by `estimate_tokens`.

    Returns:
        Exact substrings of `text`, none blank, parted by white space only (in scripts without
        spaces and inside a word longer than a passage, by nothing).

    Raises:
        ValueError: `max_tokens` is below 8, too short for a sentence.
    """
    if max_tokens < 8:
        raise ValueError(f"a passage needs at least 8 tokens, not {max_tokens}")
    text = text[:MAX_INDEXED_CHARACTERS]
    # A crumb is too short to be found or understood alone. Passages leave room for one, so that
    # it can join its neighbour.
    crumb = max_tokens // 7
    pieces = [
        piece for kind, start, end in _blocks(text) for piece in _cut(text, kind, start, end, max_tokens - crumb, crumb)
    ]
    packed = _pack(pieces, max_tokens - crumb, max_tokens)
    return [text[piece.start : piece.end] for piece in _join_crumbs(packed, crumb, max_tokens)]


def _blocks(text: str) -> Iterator[tuple[_Kind, int, int]]:
    """Kind, start and end of each block. A list goes on over blank lines, so a loose list is one block."""
    kind: _Kind | None = None  # of the block that is open
    start = end = 0
    fence = ""  # the marker that ends the open code block
    blank = False  # the line before was
    for line in _LINE.finditer(text):
        content = line[0].strip()
        if fence:
            end = line.end()
            if content.startswith(fence) and not content.strip(fence[0]):
                fence = ""
                yield _Kind.CODE, start, end
                kind = None
            continue
        if not content:
            blank = True
            continue
        opened = _FENCE.match(line[0])
        found = _Kind.CODE if opened else _kind(line[0], kind, blank)
        if kind is not None and (found is not kind or kind is _Kind.HEADING or (blank and kind is not _Kind.LIST)):
            yield kind, start, end
            kind = None
        if kind is None:
            kind, start = found, line.start()
        end, blank = line.end(), False
        fence = opened[1] if opened else ""
    if kind is not None:
        yield kind, start, end


def _kind(line: str, open_kind: _Kind | None, after_blank: bool) -> _Kind:
    """What a line outside code belongs to; a list takes indented lines, and any line right after an item."""
    if _HEADING.match(line):
        return _Kind.HEADING
    if line.lstrip().startswith("|"):
        return _Kind.TABLE
    if _ITEM.match(line) or (open_kind is _Kind.LIST and (line[0] in " \t" or not after_blank)):
        return _Kind.LIST
    return _Kind.PROSE


def _cut(text: str, kind: _Kind, start: int, end: int, most: int, crumb: int) -> Iterator[_Piece]:
    """A block as pieces of at most `most` tokens: itself where it fits."""
    pieces = list(_cut_at(text, start, end, kind.value, most))
    for number, piece in enumerate(pieces):
        heading = kind is _Kind.HEADING
        introduces = heading or (number == len(pieces) - 1 and text[piece.end - 1] in ":：")
        yield _Piece(
            piece.start,
            piece.end,
            piece.tokens,
            opens=heading and number == 0,
            leads=introduces and piece.tokens <= crumb,
        )


def _cut_at(text: str, start: int, end: int, places: tuple[re.Pattern[str], ...], most: int) -> Iterator[_Piece]:
    """`text[start:end]` cut at the first of `places`; where a part is still too long, at the next ones."""
    part = text[start:end]
    start, end = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
    if start >= end:
        return
    tokens = estimate_tokens(text[start:end])
    if tokens <= most:
        yield _Piece(start, end, tokens)
    elif places:
        for match in places[0].finditer(text, start, end):
            yield from _cut_at(text, start, match.end(), places[1:], most)
            start = match.end()
        yield from _cut_at(text, start, end, places[1:], most)
    else:
        yield from _cut_at_words(text, start, end, most)


def _cut_at_words(text: str, start: int, end: int, most: int) -> Iterator[_Piece]:
    """`text[start:end]` in pieces of `most` tokens, less where that is inside a word, unless the word is longer."""
    tokens = [match.span() for match in _TOKEN.finditer(text, start, end)]
    first = 0
    while first < len(tokens):
        last = min(first + most, len(tokens))
        if last < len(tokens):
            whole_words = (at for at in range(last, first, -1) if tokens[at][0] > tokens[at - 1][1])
            last = next(whole_words, last)
        yield _Piece(tokens[first][0], tokens[last - 1][1], last - first)
        first = last


def _pack(pieces: Iterable[_Piece], most: int, with_lead: int) -> Iterator[_Piece]:
    """Adjacent pieces as passages of up to `most` tokens, `with_lead` after a heading.

    Each passage aims at an even share of what is left, so that the last one is not a scrap.
    """
    pieces = list(pieces)
    left = sum(piece.tokens for piece in pieces)
    passage: list[_Piece] = []
    held = 0
    for piece in pieces:
        tokens = held + piece.tokens
        if passage and all(member.leads for member in passage):
            close = tokens > with_lead
            kept = len(passage)
        else:
            aim = (held + left) / -(-(held + left) // most)
            beyond = held + piece.tokens / 2 > aim or (piece.opens and held > most // 3)
            close = bool(passage) and (tokens > most or (beyond and not passage[-1].leads))
            kept = next((n for n in range(len(passage), 0, -1) if not passage[n - 1].leads), 0)
        if close:
            yield _whole(passage[:kept])
            passage = passage[kept:]
            held = sum(member.tokens for member in passage)
        passage.append(piece)
        held += piece.tokens
        left -= piece.tokens
    if passage:
        yield _whole(passage)


def _whole(pieces: list[_Piece]) -> _Piece:
    return _Piece(pieces[0].start, pieces[-1].end, sum(piece.tokens for piece in pieces))


def _join_crumbs(passages: Iterable[_Piece], crumb: int, most: int) -> list[_Piece]:
    """Passages, where one of up to `crumb` tokens is joined to a neighbour if both together fit."""
    joined: list[_Piece] = []
    for passage in passages:
        if joined:
            last = joined[-1]
            if min(last.tokens, passage.tokens) <= crumb and last.tokens + passage.tokens <= most:
                joined[-1] = _whole([last, passage])
                continue
        joined.append(passage)
    return joined
