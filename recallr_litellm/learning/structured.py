"""Reading JSON out of a model's answer, whatever stands around it: thinking, fences, a list where an object was asked
for, an answer that was cut off in the middle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_OPEN_THINKING = re.compile(r"<(?:think|thinking|thought|reasoning)>(?!.*</)", re.DOTALL | re.IGNORECASE)
_MOST_CHARACTERS = 400_000
_LOOP = 400
"""Characters of the end of an answer that are looked for in it: more than two facts have in common by their form."""
_ROUNDS = 4
_DECODER = json.JSONDecoder()


def items(answer: str, name: str) -> list[Mapping[str, Any]] | None:
    """The objects of the list `name` in an answer; those before the break of one that was cut off.

    Args:
        answer: what the model wrote.
        name: field of the object that was asked for. A list without that object around it is read too.

    Returns:
        None where nothing in the answer can be read as such a list: that is no empty one.
    """
    text = _THINKING.sub("", answer[:_MOST_CHARACTERS])
    text = _OPEN_THINKING.sub("", text)
    found: list[Mapping[str, Any]] | None = None
    for value in _values(text):
        listed = value.get(name) if isinstance(value, dict) else value
        if isinstance(listed, dict):
            listed = [listed]
        if isinstance(listed, list):
            objects: list[Mapping[str, Any]] = [item for item in listed if isinstance(item, dict)]
            if objects or not listed:
                found = objects
                if objects:
                    break
    return found if found is not None else _cut_off(text, name)


def loops(answer: str) -> bool:
    """Whether the end of an answer repeats itself: a small model goes on like that until it is out of tokens."""
    return len(answer) > _LOOP and answer.count(answer[-_LOOP:]) > _ROUNDS


def _values(text: str) -> Iterator[Any]:
    """Each JSON object or list in a text that does not stand in another."""
    at = 0
    while (at := _next_bracket(text, at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            if text[at - 1] == "{" and '"' in text[at : at + 200]:
                # The outer object is broken; what stands in it is read as what was cut off.
                return
            continue
        yield value


def _next_bracket(text: str, at: int) -> int:
    found = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
    return min(found, default=-1)


def _cut_off(text: str, name: str) -> list[Mapping[str, Any]] | None:
    """The whole objects of a list that was not closed."""
    start = re.search(rf'"{re.escape(name)}"\s*:\s*\[', text)
    at = start.end() if start else text.find("[") + 1
    if at <= 0:
        return None
    objects: list[Mapping[str, Any]] = []
    while (at := text.find("{", at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if isinstance(value, dict):
            objects.append(value)
    return objects or None
