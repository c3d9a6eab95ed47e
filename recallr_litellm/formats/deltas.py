"""Puts the deltas of a streamed answer together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_SET_ONCE = frozenset({"id", "type", "role", "name", "index", "object", "model", "call_id", "format", "finish_reason"})
"""String fields of a delta that say what something is: they are repeated, not continued."""


class GrowingText:
    """A text that still grows. Strings joined at once would be copied anew for each delta."""

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: str) -> None:
        self._pieces = list(pieces)

    def add(self, piece: str) -> None:
        """Append to the text."""
        self._pieces.append(piece)

    def __str__(self) -> str:
        return "".join(self._pieces)


def merge(whole: Json, delta: Mapping[str, Any]) -> None:
    """Add a delta to what came before it, as OpenAI's SDK does: texts and lists grow, everything else is replaced.

    Args:
        whole: holds `GrowingText` until `finished` makes JSON of it.
    """
    for key, value in delta.items():
        known = whole.get(key)
        if value is None:
            whole.setdefault(key, None)
        elif isinstance(value, str) and isinstance(known, GrowingText):
            known.add(value)
        elif isinstance(value, str) and isinstance(known, str):
            if key not in _SET_ONCE:
                whole[key] = GrowingText(known, value)
            elif value:
                whole[key] = value
        elif isinstance(known, dict) and isinstance(value, dict):
            merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            _extend(known, value)
        else:
            whole[key] = _fresh(value)


def finished(value: Any) -> Any:
    """A copy of what was merged, as JSON."""
    if isinstance(value, GrowingText):
        return str(value)
    if isinstance(value, dict):
        return {key: finished(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finished(item) for item in value]
    return value


def index_of(raw: Mapping[str, Any], key: str = "index") -> int:
    """The number of a choice, a block, an item; 0 where there is none."""
    index = raw.get(key)
    return index if isinstance(index, int) else 0


def _fresh(value: Any) -> Any:
    """A copy that can be added to. Several entries of a first delta may already be parts of one."""
    if isinstance(value, dict):
        begun: Json = {}
        merge(begun, value)
        return begun
    if isinstance(value, list):
        items: list[Any] = []
        _extend(items, value)
        return items
    return value


def _extend(known: list[Any], more: list[Any]) -> None:
    for item in more:
        place = _continued(known, item)
        if place is None:
            known.append(_fresh(item))
        else:
            merge(place, item)


def _continued(known: list[Any], item: Any) -> Json | None:
    """The entry that an entry of a later delta continues; None: it is a new one."""
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("index"), int):
        places = (place for place in reversed(known) if isinstance(place, dict) and place.get("index") == item["index"])
        place = next(places, None)
        # A stream that goes on after tool calls which the gateway itself has run counts the next ones from 0 again.
        return None if place and item.get("id") and place.get("id") not in (None, "", item["id"]) else place
    last = known[-1] if known and isinstance(known[-1], dict) else None
    if last is None:
        return None
    if item.get("type") == "thinking" == last.get("type"):  # LiteLLM streams Anthropic's blocks in unnumbered pieces
        return None if last.get("signature") else last
    if "function" in item and "function" in last:  # unnumbered tool calls: one with an id is a new one
        return None if item.get("id") else last
    return None
