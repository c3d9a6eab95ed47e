"""Calls of tools that a model has written as text instead of making them.

Small models, and servers that do not know a model's own format, answer `{"name": "search_memories", "arguments":
{"query": "…"}}` or `search_memories({"query": "…"})`: bare, in a fence, in tags, between sentences. It is clear what is
meant.

What it quotes of a remembered text may be read as a call as well. That reaches no further than any call of its own: to
this user's memory, and to findings with ids that it was shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from recallr_litellm.recall.agentic.arguments import REPORT_FINDINGS
from recallr_litellm.recall.agentic.model import ToolRequest

CHARACTERS = 50_000
"""Most of a text that is looked at."""
_ATTEMPTS = 200
"""Most braces at which an object may turn out not to begin: each costs a look at all that follows."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_CALLED = re.compile(r"(\w+)[`*]{0,3}\s?[:(]?\s?$")
_NAME_BEFORE = 40
"""Characters before an object in which the name of a tool is looked for."""
_DECODER = json.JSONDecoder(parse_constant=_refuse)


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, in its order; not those within another one."""
    return (value for _, value in _placed(text))


def _placed(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object with the place where it begins."""
    text = text[:CHARACTERS]
    place, attempts = text.find("{"), 0
    while place >= 0 and attempts < _ATTEMPTS:
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            attempts, end = attempts + 1, place + 1
        else:
            yield place, value
        place = text.find("{", end)


def is_object(text: str) -> bool:
    """Whether a text is one JSON object and nothing else."""
    text = text.strip()
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and end == len(text)


def written_calls(text: str, tools: Collection[str]) -> tuple[ToolRequest, ...]:
    """The calls that stand in a text, without ids.

    Args:
        tools: names of those that there are; what names another one is no call.
    """
    calls: list[ToolRequest] = []
    loose: list[dict[str, Any]] = []
    for place, value in _placed(text):
        call = _call(value, text[max(0, place - _NAME_BEFORE) : place], tools)
        if call is not None:
            calls.append(call)
        elif isinstance(value.get("text"), str) and not value.keys().isdisjoint(("memory_ids", "session_ids")):
            loose.append(value)  # a finding, the report around it being cut off or not closed
    if loose:
        calls.append(ToolRequest("", REPORT_FINDINGS, json.dumps({"findings": loose})))
    return tuple(calls)


def _call(value: dict[str, Any], before: str, tools: Collection[str]) -> ToolRequest | None:
    """The call that an object is, if it is one; `before` is the text in front of it."""
    inner = value.get("function")
    described = inner if isinstance(inner, dict) else value
    name = described.get("name")
    if isinstance(name, str) and name in tools:
        arguments = described.get("arguments", described.get("parameters", {}))
        return ToolRequest("", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
    if (called := _CALLED.search(before)) and called[1] in tools:  # search_memories({"query": …})
        return ToolRequest("", called[1], json.dumps(value))
    if isinstance(value.get("findings"), list):  # the report itself
        return ToolRequest("", REPORT_FINDINGS, json.dumps(value))
    return None
