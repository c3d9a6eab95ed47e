"""What is known of a user beyond passages: the words in which memories, their versions and conflicts are described."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

USER = "user"
"""The subject of a memory about the user."""


class Kind(StrEnum):
    """What sort of thing a memory says."""

    FACT = "fact"
    PREFERENCE = "preference"
    EVENT = "event"
    PLAN = "plan"
    DECISION = "decision"
    COMMITMENT = "commitment"
    RECOMMENDATION = "recommendation"
    """Given by the assistant, as is the next."""
    ANSWER = "answer"


OF_THE_ASSISTANT = frozenset({Kind.RECOMMENDATION, Kind.ANSWER})


class Attribute(StrEnum):
    """What a memory says about its subject. One value at a time is true of an attribute in `SINGLE`."""

    NAME = "name"
    BIRTHDAY = "birthday"
    AGE = "age"
    HOME = "home"
    ORIGIN = "origin"
    JOB = "job"
    EDUCATION = "education"
    FAMILY = "family"
    RELATIONSHIP = "relationship"
    PET = "pet"
    DIET = "diet"
    ALLERGY = "allergy"
    HEALTH = "health"
    MEDICATION = "medication"
    MEASUREMENT = "measurement"
    LANGUAGE = "language"
    HOBBY = "hobby"
    TASTE = "taste"
    BELIEF = "belief"
    POSSESSION = "possession"
    CONTACT = "contact"
    FINANCE = "finance"
    TRAVEL = "travel"
    APPOINTMENT = "appointment"
    PROJECT = "project"
    GOAL = "goal"
    HABIT = "habit"
    OTHER = "other"


SINGLE = frozenset(
    {
        Attribute.NAME,
        Attribute.BIRTHDAY,
        Attribute.AGE,
        Attribute.HOME,
        Attribute.ORIGIN,
        Attribute.JOB,
        Attribute.DIET,
        Attribute.RELATIONSHIP,
    }
)


class Reason(StrEnum):
    """Why a version came to be, or why it ended (`expiration_reason`), in the words of the Recallr SDK."""

    INITIAL = "INITIAL_MEMORY"
    CURRENT = "CURRENT_VERSION"
    ADDITION = "ADDITION_TO_EXISTING_MEMORY"
    """The new version says more and contradicts nothing."""
    CHANGE = "TEMPORAL_CONFLICT"
    """It was true, and no longer is."""
    CONTRADICTION = "MERGE_CONFLICT"
    """It contradicts what was known, and time does not explain it."""


class Origin(StrEnum):
    """Where a memory comes from."""

    LEARNED = "learned"
    BY_HAND = "by_hand"
    """Written or corrected by a person: learning adds evidence to it or raises a conflict, and changes nothing."""


class EntityKind(StrEnum):
    """What an entity is."""

    PERSON = "person"
    PET = "pet"
    PLACE = "place"
    ORGANISATION = "organisation"
    PRODUCT = "product"
    PROJECT = "project"
    EVENT = "event"
    OTHER = "other"


class EntityName(BaseModel):
    """Who or what a memory speaks of."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: str
    kind: EntityKind = EntityKind.OTHER


class ConflictStatus(StrEnum):
    """How far a conflict has come."""

    PENDING = "PENDING"
    IN_QUEUE = "IN_QUEUE"
    RESOLVING = "RESOLVING"
    RESOLVED = "RESOLVED"
    FAILED = "FAILED"


class ClarifyingQuestion(BaseModel):
    """A question whose answer settles a conflict."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    question: str
    options: tuple[str, ...] = ()


class Answer(BaseModel):
    """What the user answered to a clarifying question."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    question: str
    answer: str
    message: str = ""
    """What else the user said to it."""


class Conflict(BaseModel):
    """A new fact that contradicts a memory, waiting for the user to say what is true."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(pattern="^[0-9a-f]{32}$")
    memory: str
    """Id of the memory that is contradicted: its current version when the conflict was raised."""
    proposed: str
    """Id that the new fact gets if it becomes a memory."""
    content: str
    """What the new fact says."""
    reason: str = ""
    """Why the two cannot both be true."""
    questions: tuple[ClarifyingQuestion, ...] = ()
    session: str
    """The session that the new fact came from."""
    sources: tuple[str, ...] = ()
    status: ConflictStatus = ConflictStatus.PENDING
    answers: tuple[Answer, ...] = ()
    created_at: int
    """Milliseconds since the epoch, UTC, as is `resolved_at`."""
    resolved_at: int | None = None

    def quotes(self, text: str) -> bool:
        """Whether any of its texts has this one in it."""
        asked = (part for one in self.questions for part in (one.question, *one.options))
        said = (part for one in self.answers for part in (one.question, one.answer, one.message))
        return any(text in part for part in (self.content, self.reason, *asked, *said))
