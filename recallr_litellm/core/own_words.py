"""What of a user message the user said: without what the client put there for the model.

The one place that decides it, for every format. In this order:

1. A part that begins as only a client begins one, or is the result of a tool, is the client's (`CLIENTS_OPENINGS`,
   `tool_result`), but for what the user answered, between tags.
2. A message of a known frame holds the user's words in one place (`FRAMES`).
3. Whole blocks between a client's marks are left out (`CLIENTS_TAGS`, `CLIENTS_SPANS`).
4. Tags around what the user wrote (`USERS_TAGS`) come off; what they hold stays.
5. A block that comes back in other messages of the conversation, beside other text and with small changes, is the
   client's whatever it is called: a stamp, the state of an editor (`repeated_blocks`).

Where none of this speaks, the text is the user's. Blocks in fenced code and in the middle of a line are quotations.

A text may have megabytes, and nothing else runs while it is read: every step takes time in proportion to it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from recallr_litellm.core.client_marks import (
    ASKING_TOOLS,
    CLIENTS_OPENINGS,
    CLIENTS_SPANS,
    CLIENTS_TAGS,
    CLIENTS_TAGS_BESIDE,
    FRAMES,
    RESULT_FOLLOWS,
    USERS_TAGS,
    Span,
    tool_result,
)

_NAME = r"[^\W\d_](?:[\w.:-]*\w)?(?: HISTORY)?"
_TAG = rf"[ \t]*<(?P<name>{_NAME})(?:\s[^<>]*)?>"
_AT_LINE = re.compile("^" + _TAG, re.MULTILINE)
_AT_ONCE = re.compile(_TAG)
_AFTER = re.compile(r"\s{0,100}>[ \t]*(?=\r?$|<)", re.MULTILINE)
_STAMP = re.compile(
    r"\A\s{0,10}(?:\[(?P<inside>[^\[\]\n]{1,200})\][ \t]*(?=\n|\S)"
    rf"|<(?P<name>{_NAME})>(?P<content>[^<>\n]{{1,200}})</(?P=name)>[ \t]*(?=[^\s<]))"
)
_CLOSING = re.compile(rf"</({_NAME})")
_LAST_STAMP = re.compile(r"\n[ \t]*\[(?P<inside>[^\[\]\n]{1,200})\]\s*\Z")
_FENCE = re.compile(r"^(?P<mark>`{3,}|~{3,})(?P<rest>.*)$", re.MULTILINE)
_LONGEST_STAMP = 500
_SIMILAR = 0.5
"""Least similarity of two blocks' contents, 0–1, for one to be taken for the other come back."""
_COMPARED = 1_000
"""Characters of a block that are compared."""
_KEPT = 4
"""Earlier blocks of a name that one is compared with."""
_ANNOUNCED = ("The user ", "New message ", "New instructions ")
"""How the line before the user's words begins in a client's text: "The user provided the following feedback:"."""
_KNOWN = {f"<{name}>" for name in CLIENTS_TAGS | USERS_TAGS}


def own_words(parts: Sequence[str], *, more_tags: Collection[str] = (), repeated: Collection[str] = ()) -> str:
    """The user's own words in a user message; "" when there are none.

    Args:
        parts: the text parts of the message, in order; one for a message that is a string.
        more_tags: names of further tags that clients use (`RECALLR_CLIENT_TAGS`), lower case.
        repeated: keys of blocks that are the client's in this conversation, of `repeated_blocks`.
    """
    left_out = CLIENTS_TAGS.union(more_tags)
    words = [_own(part, left_out, repeated) for part in _without_client_parts(_without_spans_of_parts(parts))]
    beside = [_without(part, CLIENTS_TAGS_BESIDE) for part in words]
    # Tags with everyday names are left out only beside other words or other such tags: one alone may be all that the
    # user sent.
    if any(part.strip() for part in beside) or len({one.name for part in words for one in _elements(part)}) > 1:
        words = beside
    if words == list(parts):  # all of it is the user's, white space included
        return "\n".join(words)
    return "\n".join(part for part in map(str.strip, words) if part)


def repeated_blocks(messages: Iterable[Sequence[str]]) -> frozenset[str]:
    """Keys of the blocks that clients have put into several of these user messages.

    A block is a whole element or a bracketed stamp that stands beside other text of its message. Two blocks of one name
    are the same, come back, when their contents differ little.

    Args:
        messages: the text parts of each user message of a conversation.
    """
    seen: dict[str, deque[frozenset[str]]] = {}
    found: set[str] = set()
    for parts in messages:
        blocks = [block for part in parts for block in _blocks(part)]
        text = "".join(parts)
        if len(text.strip()) <= sum(len(block.text.strip()) for block in blocks):
            continue  # nothing beside them: they are the message
        for key, inside in {block.key: block.inside for block in blocks}.items():
            if key in found or key in _KNOWN:
                continue
            others = seen.setdefault(key, deque(maxlen=_KEPT))
            shingles = _shingles(inside)
            if any(_alike(shingles, other) for other in others):
                found.add(key)
            others.append(shingles)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Element:
    """`<name …>inside</name>`, from the beginning of a line to the end of one or to the next tag."""

    name: str
    """Lower case."""
    start: int
    end: int
    inside: str


def _elements(text: str) -> Iterator[_Element]:
    """The outermost elements of a text; those in fenced code are none."""
    if "</" not in text:
        return
    hidden = _without_code(text)
    closings: dict[str, list[int]] = {}
    for closing in _CLOSING.finditer(hidden):
        closings.setdefault(closing[1], []).append(closing.start())
    position = 0
    adjacent = False
    while opening := (_AT_ONCE.match(hidden, position) if adjacent else None) or _AT_LINE.search(hidden, position):
        name, position, adjacent = opening["name"], opening.end(), False
        places = closings.get(name, [])
        index = bisect_left(places, position)
        if index == len(places):
            continue
        after = _AFTER.match(hidden, places[index] + len(name) + 2)
        if after is not None:
            yield _Element(name.lower(), opening.start(), after.end(), text[opening.end() : places[index]])
            position, adjacent = after.end(), True


def _without_code(text: str) -> str:
    """The text without the tags in fenced code; every character keeps its place."""
    pieces: list[str] = []
    position = 0
    fence: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if fence is None:
            fence = line
        elif line["mark"].startswith(fence["mark"]) and not line["rest"].strip():
            pieces += text[position : fence.start()], text[fence.start() : line.end()].replace("<", "\0")
            position, fence = line.end(), None
    return "".join([*pieces, text[position:]])


@dataclass(frozen=True, slots=True)
class _Block:
    key: str
    """Equal for blocks that may be the same one, come back."""
    inside: str
    text: str


def _blocks(text: str) -> Iterator[_Block]:
    yield from _stamps(text)
    for element in _elements(text):
        yield _Block(f"<{element.name}>", element.inside, text[element.start : element.end])


def _stamps(text: str) -> Iterator[_Block]:
    """The stamps in front of a text, in brackets or tags on the same line, and a bracketed one on its last line."""
    position = 0
    while stamp := _STAMP.match(text[position : position + _LONGEST_STAMP]):
        if stamp["name"]:
            yield _Block(f"<{stamp['name'].lower()}>", stamp["content"], stamp[0])
        else:
            yield _Block(f"[{_shape(stamp['inside'])}]", stamp["inside"], stamp[0])
        position += stamp.end()
    last = _LAST_STAMP.search(text[-_LONGEST_STAMP:])
    if last is not None:
        yield _Block(f"[{_shape(last['inside'])}]", last["inside"], last[0])


def _without_stamps(text: str, repeated: Collection[str]) -> str:
    for stamp in list(_stamps(text)):
        if stamp.key in repeated:
            # In this order: one in front is gone before the last line is looked at.
            text = text.removeprefix(stamp.text) if text.startswith(stamp.text) else text.removesuffix(stamp.text)
    return text


def _shape(stamp: str) -> str:
    """A stamp without what changes from one to the next: digits, and the names of days and months beside them."""
    digits = re.sub(r"\d+", "#", stamp)
    return re.sub(r"[^\W\d_]{2,10}(?=[ ,.]*#)|(?<=#)[A-Za-z]+|(?<=# )[AaPp]\.?[Mm]\b", "@", digits)


def _shingles(inside: str) -> frozenset[str]:
    """What two contents are compared by: all that stands in three characters of the first `_COMPARED`, any digit as #.

    An alignment would say it more exactly, but takes 20 ms for two texts of that length.
    """
    text = re.sub(r"\d", "#", inside.strip()[:_COMPARED])
    return frozenset(text[at : at + 3] for at in range(max(len(text) - 2, 1)))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return 2 * len(one & other) >= _SIMILAR * (len(one) + len(other))


def _without_spans_of_parts(parts: Sequence[str]) -> Sequence[str]:
    """The parts without those from one that begins with a client's mark to the one with its closing mark."""
    for span in CLIENTS_SPANS:
        for first, part in enumerate(parts):
            begins = part.lstrip()
            if not span.opening.match(begins) or span.closing.search(begins):
                continue
            closings = ((number, span.closing.search(parts[number])) for number in range(first + 1, len(parts)))
            found = next(((number, closing) for number, closing in closings if closing), None)
            if found is not None:
                number, closing = found
                parts = [*parts[:first], parts[number][closing.end() :], *parts[number + 1 :]]
            break
    return parts


def _without_client_parts(parts: Sequence[str]) -> list[str]:
    kept: list[str] = []
    result_follows = answer_follows = False
    for part in parts:
        begins = part.lstrip()
        result = tool_result(begins)
        if result is not None:
            kept.append(_said_in(result.text, answers=result.answers))
        elif result_follows or begins.startswith(CLIENTS_OPENINGS):
            kept.append(_said_in(part, answers=answer_follows))
        else:
            kept.append(part)
        result_follows = begins.startswith(RESULT_FOLLOWS) or (result is not None and not result.text)
        answer_follows = result_follows and result is not None and result.answers
    return kept


def said_to_tool(result: str, tool: str) -> str:
    """What the user wrote in the result of a tool that the model called (Roo, Cline): an answer to its question, or why
    the user refused it; mostly "".

    Args:
        tool: its name.
    """
    asked = tool in ASKING_TOOLS
    return _said_in(result, answers=asked) if asked or result.startswith(_ANNOUNCED) else ""


def _said_in(part: str, *, answers: bool) -> str:
    """What the user wrote in a part of the client's: between the user's tags, where the client says that it is so, or
    where a tool asked for an answer. Files that tools read may hold such tags as well."""
    said = []
    for element in _elements(part):
        before = part[: element.start].rstrip().rpartition("\n")[2]
        announced = before.startswith(_ANNOUNCED) or (answers and (not before or element.name == "user_message"))
        if announced and element.name in USERS_TAGS:
            said.append(element.inside.strip())
    return "\n".join(said)


def _own(part: str, left_out: Collection[str], repeated: Collection[str]) -> str:
    for frame in FRAMES:
        if frame.known_by.search(part) and (found := frame.words.search(part)):
            return found["words"].strip()
    for span in CLIENTS_SPANS:
        part = _without_span(part, span)
    part = _without_stamps(part, repeated)
    names = {*left_out, *(key.strip("<>") for key in repeated if key.startswith("<"))}
    part = _without(part, names)
    return _unwrapped(part)


def _without_span(text: str, span: Span) -> str:
    pieces, position = [], 0
    while (opening := span.opening.search(text, position)) and (closing := span.closing.search(text, opening.end())):
        pieces.append(text[position : opening.start()])
        position = closing.end()
    return "".join([*pieces, text[position:]])


def _without(text: str, names: Collection[str]) -> str:
    """The text without whole elements of these names."""
    return _cut(text, [element for element in _elements(text) if element.name in names])


def _cut(text: str, elements: Sequence[_Element]) -> str:
    pieces, position = [], 0
    for element in elements:
        pieces.append(text[position : element.start])
        position = element.end
    return "".join([*pieces, text[position:]])


def _unwrapped(text: str) -> str:
    """What stands in tags around the user's words, where nothing else stands beside them; else the text."""
    elements = [element for element in _elements(text) if element.name in USERS_TAGS]
    if not elements or _without(_cut(text, elements), CLIENTS_TAGS_BESIDE).strip():
        return text
    return "\n".join(element.inside.strip() for element in elements)
