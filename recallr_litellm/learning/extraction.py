"""What the model is asked to extract: the shape of its answer, and reading it leniently.

The schema is flat and closed, without `$ref`, `anyOf` or bounds, since that is what all of OpenAI's strict mode,
Anthropic's tools and llama.cpp's grammars take; "" stands for nothing. Bounds are checked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from recallr_litellm.core.knowledge import USER, Attribute, EntityKind, EntityName, Kind
from recallr_litellm.learning.structured import items

MOST_FACTS = 60
"""Facts of one window; a model that loops writes thousands."""
_MOST_TEXT, _MOST_NAME, _MOST_LIST = 600, 80, 12


class Modality(StrEnum):
    """How a thing is said. Only what is asserted, planned or decided is learned."""

    ASSERTED = "asserted"
    PLANNED = "planned"
    DECIDED = "decided"
    POSSIBLE = "possible"
    HYPOTHETICAL = "hypothetical"
    FICTIONAL = "fictional"
    IRONIC = "ironic"


LEARNED = frozenset({Modality.ASSERTED, Modality.PLANNED, Modality.DECIDED})


class Confidence(StrEnum):
    """How sure the model is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


CONFIDENCE: Final[Mapping[Confidence, float]] = {
    Confidence.HIGH: 0.95,
    Confidence.MEDIUM: 0.7,
    Confidence.LOW: 0.4,
}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _one_of(values: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": [str(value) for value in values]}


_TEXT: Final = {"type": "string"}

SCHEMA: Final = _object(
    {
        "facts": _list(
            _object(
                {
                    "text": _TEXT,
                    "subject": _TEXT,
                    "attribute": _one_of(Attribute),
                    "kind": _one_of(Kind),
                    "modality": _one_of(Modality),
                    "negated": {"type": "boolean"},
                    "start": _TEXT,
                    "end": _TEXT,
                    "entities": _list(_object({"name": _TEXT, "kind": _one_of(EntityKind)})),
                    "categories": _list(_TEXT),
                    "confidence": _one_of(Confidence),
                    "evidence": _list({"type": "integer"}),
                    "questions": _list(_TEXT),
                }
            )
        )
    }
)
"""JSON schema of the answer."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact as the model wrote it."""

    text: str
    subject: str = USER
    attribute: Attribute = Attribute.OTHER
    kind: Kind = Kind.FACT
    modality: Modality = Modality.ASSERTED
    negated: bool = False
    start: str = ""
    end: str = ""
    entities: tuple[EntityName, ...] = ()
    categories: tuple[str, ...] = ()
    confidence: float = CONFIDENCE[Confidence.MEDIUM]
    evidence: tuple[int, ...] = field(default=())
    questions: tuple[str, ...] = ()


def drafts(answer: str) -> list[Draft] | None:
    """The facts in a model's answer, at most `MOST_FACTS`; None where it cannot be read.

    What is missing or of a wrong type gets the value that says least; an item without a text is left out.
    """
    found = items(answer, "facts")
    if found is None:
        return None
    read = (_draft(item) for item in found)
    # A small model repeats itself until it is out of tokens.
    return list({draft: None for draft in read if draft.text})[:MOST_FACTS]


def _draft(item: Mapping[str, Any]) -> Draft:
    return Draft(
        text=_text(item.get("text"), _MOST_TEXT),
        subject=_text(item.get("subject"), _MOST_NAME) or USER,
        attribute=_member(Attribute, item.get("attribute"), Attribute.OTHER),
        kind=_member(Kind, item.get("kind"), Kind.FACT),
        modality=_member(Modality, item.get("modality"), Modality.ASSERTED),
        negated=item.get("negated") is True or str(item.get("negated")).lower() == "true",
        start=_text(item.get("start"), 40),
        end=_text(item.get("end"), 40),
        entities=tuple(dict.fromkeys(filter(None, map(_entity, _items(item.get("entities")))))),
        categories=_texts(item.get("categories"), _MOST_NAME),
        confidence=CONFIDENCE[_member(Confidence, item.get("confidence"), Confidence.MEDIUM)],
        evidence=tuple(number for number in map(_integer, _items(item.get("evidence"))) if number is not None),
        questions=_texts(item.get("questions"), 200)[:3],
    )


def _text(value: Any, most: int) -> str:
    return " ".join(value.split())[:most] if isinstance(value, str) else ""


def _items(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value[:_MOST_LIST]
    return [] if value is None else [value]


def _texts(value: Any, most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (_text(item, most) for item in _items(value)))))


def _entity(value: Any) -> EntityName | None:
    item = value if isinstance(value, Mapping) else {"name": value}
    name = _text(item.get("name"), _MOST_NAME)
    return EntityName(name=name, kind=_member(EntityKind, item.get("kind"), EntityKind.OTHER)) if name else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _member(kind: type[Any], value: Any, otherwise: Any) -> Any:
    try:
        return kind(str(value).strip().lower())
    except ValueError:
        return otherwise
