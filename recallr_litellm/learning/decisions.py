"""What a model decides of new facts: the shape of its answer, and what of it is believed.

A model never deletes. Whatever is out of range, impossible or missing in its answer makes a fact a new memory, so that
there are never fewer truths than before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recallr_litellm.core.facts import Decision, Fact, Outcome
from recallr_litellm.core.knowledge import SINGLE, Attribute, ClarifyingQuestion
from recallr_litellm.core.records import Memory
from recallr_litellm.learning.details import keeps
from recallr_litellm.learning.structured import items

BATCH = 8
"""Facts of one call."""
_MOST_TEXT = 800


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_TEXT: Final = {"type": "string"}

SCHEMA: Final = _object(
    {
        "decisions": {
            "type": "array",
            "items": _object(
                {
                    "fact": {"type": "integer"},
                    "outcome": {"type": "string", "enum": [str(outcome) for outcome in Outcome]},
                    "memory": {"type": "integer"},
                    "text": _TEXT,
                    "reason": _TEXT,
                    "questions": {
                        "type": "array",
                        "items": _object({"question": _TEXT, "options": {"type": "array", "items": _TEXT}}),
                    },
                }
            ),
        }
    }
)
"""JSON schema of the answer. `fact` and `memory` count from 1; `memory` is 0 where there is none."""


def decided(
    answer: str, facts: Sequence[Fact], memories: Sequence[Sequence[Memory]]
) -> tuple[list[Decision], list[Fact]] | None:
    """The decisions in a model's answer; None where it cannot be read.

    Args:
        facts: of the call.
        memories: for each of them those that it was compared with, numbered as the prompt shows them: each fact's from
            1 on.

    Returns:
        Decisions, one a fact, and the facts that have to wait: only one fact of a call changes a memory.
    """
    found = items(answer, "decisions")
    if found is None:
        return None
    of_fact: dict[int, Mapping[str, Any]] = {}
    for item in found:
        number = item.get("fact")
        if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= len(facts):
            of_fact.setdefault(number - 1, item)
    decisions: list[Decision] = []
    waiting: list[Fact] = []
    changed: set[str] = set()
    for number, fact in enumerate(facts):
        decision = _decision(fact, memories[number], of_fact.get(number, {}))
        if decision.outcome not in (Outcome.NEW, Outcome.SAME):
            if decision.memory in changed:
                waiting.append(fact)
                continue
            changed.add(decision.memory)
        decisions.append(decision)
    return decisions, waiting


def _decision(fact: Fact, memories: Sequence[Memory], item: Mapping[str, Any]) -> Decision:
    new = Decision(fact=fact.id)
    try:
        outcome = Outcome(str(item.get("outcome")).strip().lower())
    except ValueError:
        return new
    number = item.get("memory")
    if outcome is Outcome.NEW or not isinstance(number, int) or not 1 <= number <= len(memories):
        return new
    memory = memories[number - 1]
    if outcome is Outcome.SAME and memory.negated != fact.negated:
        outcome = Outcome.CHANGE  # a "no longer" is never evidence of what it ends
    if outcome in (Outcome.CHANGE, Outcome.CORRECTION, Outcome.CONTRADICTION) and not _comparable(fact, memory):
        return new
    text = " ".join(str(item.get("text") or "").split())[:_MOST_TEXT]
    if outcome is Outcome.ADDITION and not keeps(text, (memory.content, fact.text)):
        text = f"{memory.content} {fact.text}"
    return Decision(
        fact=fact.id,
        outcome=outcome,
        memory=memory.id,
        text=text if outcome is Outcome.ADDITION else "",
        reason=" ".join(str(item.get("reason") or "").split())[:_MOST_TEXT],
        questions=_questions(item.get("questions")) if outcome is Outcome.CONTRADICTION else (),
    )


def _comparable(fact: Fact, memory: Memory) -> bool:
    """Whether one can end the other: about the same subject, and the same of it."""
    if fact.subject.casefold() != memory.subject.casefold():
        return False
    same = fact.attribute == memory.attribute
    if same and fact.attribute in SINGLE:
        return True
    shared = {one.name.casefold() for one in fact.entities} & {one.name.casefold() for one in memory.entities}
    return same or bool(shared) or Attribute.OTHER in (fact.attribute, memory.attribute)


def _questions(written: Any) -> tuple[ClarifyingQuestion, ...]:
    """At most four that can be answered."""
    found: dict[str, ClarifyingQuestion] = {}
    for item in written if isinstance(written, list) else ():
        if isinstance(item, Mapping):
            question = " ".join(str(item.get("question") or "").split())[:300]
            options = item.get("options")
            texts = [" ".join(str(one).split())[:200] for one in options] if isinstance(options, list) else []
            if question and any(texts):
                chosen = tuple(dict.fromkeys(filter(None, texts)))[:6]
                found.setdefault(question, ClarifyingQuestion(question=question, options=chosen))
    return tuple(found.values())[:4]
