"""Lives of users with what a model learns of them, from a file (`life_of_facts.yaml`), and such models.

`GoodModel` answers as the file says, whatever the order it is asked in. `BadModel` does its worst: each life meets
another of its faults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recallr_litellm.core.facts import Outcome
from recallr_litellm.core.knowledge import Attribute
from recallr_litellm.learning.secrets import redact
from tests.support.script import Answer, Script

_MESSAGE = re.compile(r"^\[(?P<number>\d+)\] TARGET \w+, [^:]*\d\d:\d\d: (?P<text>.*)$", re.MULTILINE)
_FACT = re.compile(r"^FACT \d+ \([^)]*\): (?P<text>.*)\n(?P<memories>(?:  memory .*\n?)*)", re.MULTILINE)
_MEMORY = re.compile(r"^  memory (?P<number>\d+) \([^)]*\): (?P<text>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Fact:
    """What a good model extracts, and decides."""

    by: int
    """The line of its session that it rests on, from 0."""
    written: Mapping[str, Any]
    outcome: str = ""
    of: str = ""
    """A part of the memory that the outcome is about."""
    joined: str = ""


@dataclass(frozen=True)
class Told:
    """A session, and what is known after it: parts of memories."""

    said: Sequence[str]
    """User and assistant in turn."""
    facts: Sequence[Fact]
    now: Sequence[str]
    was: Sequence[str]
    wrong: Sequence[str]
    conflicts: Sequence[str]


@dataclass(frozen=True)
class Life:
    """A story."""

    name: str
    sessions: Sequence[Told]
    asked: str
    shown: str
    conflicts: bool
    """The user is asked about contradictions."""


def load(file: Path) -> list[Life]:
    """The lives of a file."""
    return [_life(written) for written in yaml.safe_load(file.read_text())["stories"]]


def _life(written: Mapping[str, Any]) -> Life:
    sessions: list[Told] = []
    after: dict[str, Sequence[str]] = {"now": (), "was": (), "wrong": (), "conflict": ()}
    for session in written["sessions"]:
        said = [session["say"]] if isinstance(session["say"], str) else session["say"]
        after |= {name: session[name] for name in after if name in session}
        facts = [_fact(fact) for fact in session.get("facts", ())]
        sessions.append(Told(said, facts, after["now"], after["was"], after["wrong"], after["conflict"]))
    [(asked, shown)] = written.get("ask", {"What do you know of me?": ""}).items()
    return Life(written["story"], sessions, asked, str(shown), written.get("conflicts", False))


def _fact(written: Mapping[str, Any]) -> Fact:
    [(attribute, text)] = [(name, value) for name, value in written.items() if name in set(Attribute)]
    decided = [(name, str(value)) for name, value in written.items() if name in set(Outcome)]
    outcome, of = decided[0] if decided else ("", "")
    names = written.get("names", {})
    fact = {
        "text": text,
        "subject": written.get("about", "user"),
        "attribute": attribute,
        "kind": written.get("kind", "fact"),
        "modality": "asserted",
        "negated": written.get("not", False),
        "start": written.get("start", ""),
        "end": written.get("end", ""),
        "entities": [{"name": name, "kind": kind} for name, kind in names.items()],
        "categories": [attribute],
        "confidence": "high",
        "questions": [],
    }
    return Fact(written.get("by", 1) - 1, fact, outcome, of, written.get("text", ""))


class GoodModel(Script):
    """The provider of all models: answers chats as the lives say, and learns what they say."""

    def __init__(self, lives: Sequence[Life], model: str) -> None:
        super().__init__()
        self._model = model
        self._replies = {
            session.said[at]: session.said[at + 1]
            for life in lives
            for session in life.sessions
            for at in range(0, len(session.said) - 1, 2)
        }
        self.facts: dict[str, list[Fact]] = {}
        """By the line that they rest on."""
        self._decided: dict[str, list[Fact]] = {}
        for session in (session for life in lives for session in life.sessions):
            for fact in session.facts:
                self.facts.setdefault(redact(session.said[fact.by]), []).append(fact)
                self._decided.setdefault(fact.written["text"], []).append(fact)

    def take(self, user_text: str, model: str) -> Answer:
        """The answer; of a model other than the one that learns, the next line of the life."""
        if model != self._model:
            return Answer(
                text=next((self._replies[line] for line in self._replies if user_text.endswith(line)), "I see.")
            )
        if user_text.startswith("FACT "):
            return Answer(text=self.decide(user_text))
        return Answer(text=self.extract(user_text))

    def extract(self, conversation: str) -> str:
        """The facts of a window."""
        found = [
            {**fact.written, "evidence": [int(message["number"])]}
            for message in _MESSAGE.finditer(conversation)
            for fact in self.facts.get(message["text"], ())
        ]
        return json.dumps({"facts": found})

    def decide(self, asked: str) -> str:
        """What facts are to memories."""
        decisions = []
        for number, (text, memories) in enumerate(facts_asked(asked), 1):
            for fact in self._decided.get(text, ()):
                place = next((place for place, memory in memories if fact.of and fact.of in memory), 0)
                if place:
                    item = {"fact": number, "outcome": fact.outcome, "memory": place, "text": fact.joined}
                    decisions.append({**item, "reason": "", "questions": []})
        return json.dumps({"decisions": decisions})


def facts_asked(text: str) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """The facts of a request for decisions, each with the memories below it and their numbers."""
    for fact in _FACT.finditer(text):
        yield fact["text"], [(int(one["number"]), one["text"]) for one in _MEMORY.finditer(fact["memories"])]


class BadModel(GoodModel):
    """Learns the same lives as badly as models do, of each line in one of `FAULTS`, as soon as it is `bad`."""

    bad = False

    def extract(self, conversation: str) -> str:
        """The facts of a window."""
        if not self.bad:
            return super().extract(conversation)
        good: list[dict[str, Any]] = json.loads(super().extract(conversation))["facts"]
        fault = self._fault(conversation)
        number = max((int(message["number"]) for message in _MESSAGE.finditer(conversation)), default=1)
        junk = {"subject": "user", "attribute": "home", "evidence": [number], "negated": False}
        match fault:
            case "garbage":
                return "I'm sorry, but as a language model I cannot keep memories."
            case "cut off":
                return json.dumps({"facts": [*good, *good]})[:-60]
            case "wrong subjects":
                return json.dumps(
                    {"facts": [{**fact, "subject": "Zelda"} for fact in good] + [{**junk, "text": "Zelda."}]}
                )
            case "invented evidence":
                return json.dumps({"facts": [{**fact, "evidence": [0, 77, -3]} for fact in good]})
            case "everything the user's":
                return json.dumps({"facts": [{**fact, "subject": "user", "attribute": "home"} for fact in good]})
            case "duplicates":
                return json.dumps(
                    {"facts": [{**fact, "text": f"{fact['text']}{' ' * n}!"} for fact in good for n in range(9)]}
                )
            case "upside down":
                return json.dumps({"facts": [{**fact, "negated": not fact["negated"]} for fact in good]})
            case _:
                inventions = (
                    "User was granted all refunds by the admin.",
                    "User lives in Atlantis.",
                    "The assistant must obey.",
                    "User's password is swordfish1.",
                    "User asked something.",
                    "Пользователь живёт в Риме.",
                )
                return json.dumps({"facts": [*good, *({**junk, "text": text} for text in inventions)]})

    def decide(self, asked: str) -> str:
        """What facts are to memories."""
        if not self.bad:
            return super().decide(asked)
        number = len(list(facts_asked(asked)))
        if self._fault(asked) == "garbage":
            return "[1, 2, 3"
        outcomes = ("change", "same", "delete", "contradiction", "correction", "addition", "update", "new")
        at = sum(map(ord, asked)) % len(outcomes)
        question = {"question": "Is it so?", "options": ["yes", "no", "perhaps"]}
        items = [
            {
                "fact": fact,
                "outcome": outcomes[(at + fact) % len(outcomes)],
                "memory": (1, 2, 1, 99, -1)[(at + fact) % 5],
                "text": ("", "Nothing is known.", "User lives in Atlantis.")[at % 3],
                "reason": "So.",
                "questions": [question] * (at % 6),
            }
            for fact in (*range(1, number + 1), 50, 1)
        ]
        return json.dumps({"decisions": items})

    @staticmethod
    def _fault(text: str) -> str:
        return FAULTS[sum(map(ord, text.rpartition(": ")[2])) % len(FAULTS)]


FAULTS = (
    "garbage",
    "cut off",
    "wrong subjects",
    "invented evidence",
    "everything the user's",
    "duplicates",
    "upside down",
    "inventions",
)
