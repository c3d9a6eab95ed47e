"""Headers as controls of a form, made of the rules of the headers themselves: a new header is a new control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from zoneinfo import available_timezones

from recallr_litellm.request_headers import HEADER_NAMES, RECALL_FIELDS, RecallrHeaders


@dataclass(frozen=True, slots=True)
class Control:
    """How a header's value is entered."""

    field: str
    """As in `RecallrHeaders`."""
    header: str
    kind: Literal["choice", "number", "text"]
    choices: tuple[str, ...] = ()
    """All there are; of a text, what is suggested."""
    smallest: float | None = None
    largest: float | None = None
    step: str = "1"


@cache
def recall_controls() -> tuple[Control, ...]:
    """A control for each header that recall reads."""
    schema = RecallrHeaders.model_json_schema()
    return tuple(_control(field, _rule(schema["properties"][field], schema["$defs"])) for field in RECALL_FIELDS)


def _rule(rule: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule of a value that was sent."""
    for one in rule.get("anyOf", [rule]):
        if one.get("type") != "null":
            found: Mapping[str, Any] = named[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            return found
    return {}


def _control(field: str, rule: Mapping[str, Any]) -> Control:
    header = HEADER_NAMES[field]
    if rule.get("type") == "boolean":
        return Control(field, header, "choice", ("true", "false"))
    if "enum" in rule:
        return Control(field, header, "choice", tuple(rule["enum"]))
    if rule.get("type") in {"integer", "number"}:
        step = "1" if rule["type"] == "integer" else "any"
        return Control(field, header, "number", (), rule.get("minimum"), rule.get("maximum"), step)
    suggested = tuple(sorted(available_timezones())) if rule.get("format") == "zoneinfo" else ()
    return Control(field, header, "text", suggested)
