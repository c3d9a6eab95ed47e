"""Facts as they were extracted and checked, and what was decided of each beside what is known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from recallr_litellm.core.knowledge import USER, Attribute, ClarifyingQuestion, EntityName, Kind


class Fact(BaseModel):
    """Something that a window of a session says. Times are milliseconds since the epoch, UTC."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(pattern="^[0-9a-f]{32}$")
    """That of the memory that comes of it: the same however often the window is extracted."""
    text: str
    subject: str = USER
    attribute: Attribute = Attribute.OTHER
    kind: Kind = Kind.FACT
    negated: bool = False
    start: int | None = None
    """When what it says happened, or will."""
    end: int | None = None
    """The last instant of it."""
    entities: tuple[EntityName, ...] = ()
    categories: tuple[str, ...] = ()
    confidence: float = 1.0
    questions: tuple[str, ...] = ()
    said_at: int
    """When the last message was said that it rests on."""
    sources: tuple[str, ...]
    """Ids of the messages that it rests on, at least one."""


class Outcome(StrEnum):
    """What a fact is to what is known."""

    SAME = "same"
    ADDITION = "addition"
    CHANGE = "change"
    CORRECTION = "correction"
    """What was known was never true."""
    CONTRADICTION = "contradiction"
    """Both cannot be true, and nothing says which is."""
    NEW = "new"


class Decision(BaseModel):
    """The outcome for one fact. Kept before it is carried out, so that a repetition does the same."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    fact: str
    """Id of the fact."""
    outcome: Outcome = Outcome.NEW
    memory: str = ""
    """Id of the memory that it is compared with; "" for what is new."""
    text: str = ""
    """Of an addition: both in one sentence."""
    reason: str = ""
    questions: tuple[ClarifyingQuestion, ...] = ()
    """Of a contradiction: what to ask the user."""


class Extraction(BaseModel):
    """What one window of a session said: kept before anything is reconciled, so that a repetition is the same."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    session: str
    window: str
    """Id of the window, see `windows.Window`."""
    prompt: int
    """Version of the prompt that it was extracted with."""
    messages: tuple[str, ...]
    """Ids of the messages that were targets."""
    facts: tuple[Fact, ...] = ()
    decisions: tuple[Decision, ...] = ()
    """Those made so far, each kept before it is carried out."""
    rejected: dict[str, int] = Field(default_factory=dict)
    """Why what the model wrote was left out → how often."""
    unread: bool = False
    """The model gave nothing that could be read: these messages have their passages only."""
    reconciled: bool = False
    """All its decisions are made and carried out: what people changed since is not touched again."""


@dataclass(frozen=True, slots=True)
class Unlearned:
    """What goes from what was extracted because of what was deleted of a memory."""

    memory: str
    """Its id."""
    facts: Collection[str]
    """Ids of the facts of its deleted versions."""
    evidence: Collection[str] = ()
    """Ids of the messages that its remaining versions rest on."""

    def left_of(self, extraction: Extraction) -> Extraction:
        """An extraction without these facts, without those that said the same as a deleted version, and without what
        decisions quote of it. Their messages count as extracted all the same, so that they do not come back."""
        about = {one.fact: one for one in extraction.decisions if one.memory == self.memory}
        goes = {
            fact.id
            for fact in extraction.facts
            if fact.id in self.facts
            or (
                fact.id in about
                and about[fact.id].outcome is Outcome.SAME
                and not set(self.evidence).issuperset(fact.sources)
            )
        }
        plain = {"text": "", "reason": "", "questions": ()}
        decisions = (one.model_copy(update=plain) if one.fact in about else one for one in extraction.decisions)
        return extraction.model_copy(
            update={
                "facts": tuple(fact for fact in extraction.facts if fact.id not in goes),
                "decisions": tuple(one for one in decisions if one.fact not in goes),
            }
        )
