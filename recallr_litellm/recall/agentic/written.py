"""Calls of tools that a model has written as text instead of making them.

Small models, and servers that do not know a model's own format, answer `{"name": "search_memories", "arguments":
{"query": "…"}}`: bare, in a fence, in tags, between sentences. It is clear what is meant.
"""

from __future__ import annotations

import json
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


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, in its order; not those within another one."""
    text = text[:CHARACTERS]
    place, attempts = text.find("{"), 0
    while place >= 0 and attempts < _ATTEMPTS:
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            attempts, end = attempts + 1, place + 1
        else:
            yield value
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
    return tuple(call for value in objects(text) if (call := _call(value, tools)) is not None)


def _call(value: dict[str, Any], tools: Collection[str]) -> ToolRequest | None:
    inner = value.get("function")
    described = inner if isinstance(inner, dict) else value
    name = described.get("name")
    if isinstance(name, str) and name in tools:
        arguments = described.get("arguments", described.get("parameters", {}))
        return ToolRequest("", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
    if isinstance(value.get("findings"), list):  # the report itself
        return ToolRequest("", REPORT_FINDINGS, json.dumps(value))
    return None
