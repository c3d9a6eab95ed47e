"""What a model decides of new facts: the shape of its answer, and what of it is believed.

A model never deletes. Whatever is out of range, impossible or missing in its answer makes a fact a new memory, so that
there are never fewer truths than before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recallr_litellm.core.facts import Decision, Fact, Outcome
from recallr_litellm.core.knowledge import OF_THE_ASSISTANT, SINGLE, USER, ClarifyingQuestion, EntityName, Kind
from recallr_litellm.core.people import relations
from recallr_litellm.core.records import Memory
from recallr_litellm.learning.details import details, keeps, names, negates
from recallr_litellm.learning.duplicates import another_time
from recallr_litellm.learning.measures import counted, disagree, tells_more
from recallr_litellm.learning.orders import is_order
from recallr_litellm.learning.secrets import redact
from recallr_litellm.learning.structured import items
from recallr_litellm.learning.wording import shared, telling

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
    answer: str, facts: Sequence[Fact], memories: Sequence[Sequence[Memory]], *, cut_off: bool = False
) -> tuple[list[Decision], list[Fact]] | None:
    """The decisions in a model's answer; None where it cannot be read.

    Args:
        facts: of the call.
        memories: for each of them those that it was compared with, numbered as the prompt shows them: each fact's from
            1 on.
        cut_off: the answer ends before its end: what it does not say of a fact, it might have said.

    Returns:
        Decisions, one a fact, and the facts that have to wait: only one fact of a call changes a memory, and an answer
        that was cut off says nothing of the others.
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
        if cut_off and number not in of_fact:
            waiting.append(fact)
            continue
        decision = _decision(fact, memories[number], of_fact.get(number, {}))
        if decision.outcome not in (Outcome.NEW, Outcome.SAME):
            if decision.memory in changed:
                waiting.append(fact)
                continue
            changed.add(decision.memory)
        decisions.append(decision)
    return decisions, waiting


_NEVER = re.compile(
    r"""\b(?:never\s(?:\w+ed|was|were|been|had|went|did|said|kept|took|got|told|knew|owned|lived)|(?:has|have|had)\snever
    |hat(?:te)?\snie(?:mals)?|war(?:en)?\snie(?:mals)?|n['’]a(?:vait)?\sjamais|nunca\s(?:ha|viv|fue|estuvo|tuvo|mor|esteve|teve)\w*
    |non\sha\smai|heeft\snooit)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Says that something was at no time."""


def _decision(fact: Fact, memories: Sequence[Memory], item: Mapping[str, Any]) -> Decision:
    try:
        outcome = Outcome(str(item.get("outcome")).strip().lower())
    except ValueError:
        outcome = Outcome.NEW
    number = item.get("memory")
    if outcome is Outcome.NEW or type(number) is not int or not 1 <= number <= len(memories):
        return Decision(fact=fact.id)
    memory = memories[number - 1]
    outcome = believed(outcome, fact, memory)
    text = _line(item.get("text"), _MOST_TEXT) if outcome is Outcome.ADDITION else ""
    if outcome is Outcome.ADDITION and not _joins(text, memory, fact):
        text = f"{memory.content} {fact.text}"
        if len(text) > _MOST_TEXT:
            outcome = Outcome.NEW
    if outcome is Outcome.NEW:
        return Decision(fact=fact.id)
    return Decision(
        fact=fact.id,
        outcome=outcome,
        memory=memory.id,
        text=text,
        reason=_line(item.get("reason"), _MOST_TEXT),
        questions=_questions(item.get("questions")) if outcome is Outcome.CONTRADICTION else (),
    )


def believed(outcome: Outcome, fact: Fact, memory: Memory) -> Outcome:
    """What of a model's outcome is believed: never one by which something true would be lost.

    Facts about different people, or without anything in common, concern each other in no way. What is the same says no
    number, name or polarity that the memory does not have. A count goes on, where a fact only speaks of one of those
    that were counted. What never was is a correction.
    """
    if outcome is Outcome.NEW or not _about_one(fact, memory):
        return Outcome.NEW
    if (fact.kind in OF_THE_ASSISTANT) != (memory.kind in OF_THE_ASSISTANT):
        return Outcome.NEW  # what the assistant says ends nothing that the user has said, nor is it evidence of it
    if not _in_common(fact, memory) and (outcome is not Outcome.ADDITION or fact.attribute != memory.attribute):
        return Outcome.NEW
    if outcome in (Outcome.SAME, Outcome.ADDITION) and memory.negated != fact.negated:
        outcome = Outcome.CHANGE  # a "no longer" is never evidence of what it ends
    if outcome is Outcome.SAME:
        return _same(fact, memory)
    if outcome is Outcome.CHANGE and _NEVER.search(fact.text):
        return Outcome.CORRECTION
    if outcome in (Outcome.CHANGE, Outcome.CORRECTION) and _is_one_of_those(fact, memory):
        return Outcome.ADDITION
    return outcome


def _about_one(fact: Fact, memory: Memory) -> bool:
    """Whether both are about the same person."""
    if fact.subject.casefold() != memory.subject.casefold():
        return False
    if fact.subject != USER:
        of_fact, of_memory = relations(f"{fact.subject} {fact.text}"), relations(f"{memory.subject} {memory.content}")
        if of_fact and of_memory and of_fact.isdisjoint(of_memory):
            return False  # Anna from work is not the daughter Anna
    return True


def _in_common(fact: Fact, memory: Memory) -> bool:
    """Whether both say the same of that person: what there is one of, or words in common."""
    if fact.attribute == memory.attribute and fact.attribute in SINGLE:
        return True
    of_fact, of_memory = _speaks_of(fact.text, fact.entities), _speaks_of(memory.content, memory.entities)
    return shared(of_fact, of_memory) > 0


def _speaks_of(text: str, entities: Sequence[EntityName]) -> frozenset[str]:
    return telling(text) | {word for one in entities for word in telling(one.name)}


def _same(fact: Fact, memory: Memory) -> Outcome:
    """Of what a model takes for the same: whether it says other things, more, or no more."""
    if (fact.kind is Kind.PLAN) != (memory.kind is Kind.PLAN) or negates(fact.text) != negates(memory.content):
        return Outcome.NEW
    if disagree(fact.text, memory.content) or another_time(fact, memory):
        return Outcome.NEW
    here, there = _named(fact.entities, fact.text), _named(memory.entities, memory.content)
    more = [name for name in here if not shared([name], there | telling(memory.content))]
    less = [name for name in there if not shared([name], here | telling(fact.text))]
    if more and less:
        return Outcome.NEW
    return Outcome.ADDITION if more or tells_more(fact.text, memory.content) else Outcome.SAME


def _named(entities: Sequence[EntityName], text: str) -> frozenset[str]:
    """Words of the names that a text has, but for one at its beginning, where any word has a capital letter."""
    listed = " ".join(one.name for one in entities if one.name.casefold() in text.casefold())
    return telling(listed) | telling(" ".join(names(text.partition(" ")[2])))


def _is_one_of_those(fact: Fact, memory: Memory) -> bool:
    """Whether a memory counts what a fact speaks of without a number: "two dogs", "the dog Rex"."""
    if fact.negated or fact.attribute in SINGLE or counted(fact.text):
        return False
    return shared(counted(memory.content), telling(fact.text)) > 0


_COUNTS = frozenset("two three four five six seven zwei drei vier deux trois quatre dos tres due tre".split())
"""What a sentence that lists things may count."""


def _joins(text: str, memory: Memory, fact: Fact) -> bool:
    """Whether a text says what both say, and nothing else."""
    both = f"{memory.content} {fact.text}"
    return (
        bool(text)
        and keeps(text, (memory.content, fact.text))
        and not tells_more(memory.content, text)
        and not tells_more(fact.text, text)
        and details(text) <= details(both) | {word.casefold() for word in both.split()}
        and shared(words := telling(text) - _COUNTS, telling(both)) == len(words)
        and redact(text) == text
        and not is_order(text)
    )


def _line(value: Any, most: int) -> str:
    return " ".join(str(value or "").split())[:most]


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
