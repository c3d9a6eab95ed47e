"""Carrying decisions out: what is written for each. Plain functions; the same decision twice writes the same.

A memory keeps its id through all its versions. An earlier version is a record of its own, whose `chain` is that id. It
is written before the memory is, so that a reader never sees less than what was known.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from recallr_litellm.core.facts import Decision, Fact, Outcome
from recallr_litellm.core.knowledge import ClarifyingQuestion, Conflict, Origin, Reason
from recallr_litellm.core.records import Memory
from recallr_litellm.learning.checks import NAMESPACE

_T = TypeVar("_T")


class Changes(NamedTuple):
    """What is to be written, in this order."""

    memories: tuple[Memory, ...] = ()
    conflict: Conflict | None = None


def new_memory(fact: Fact, session: str) -> Memory:
    """A fact as a memory by itself."""
    return Memory(
        id=fact.id,
        fact=fact.id,
        content=fact.text,
        categories=fact.categories,
        event_start=fact.start,
        event_end=fact.end,
        created_at=fact.said_at,
        session=session,
        sources=fact.sources,
        subject=fact.subject,
        attribute=fact.attribute,
        kind=fact.kind,
        negated=fact.negated,
        confidence=fact.confidence,
        entities=fact.entities,
        questions=fact.questions,
    )


def changes(
    decision: Decision, fact: Fact, session: str, memory: Memory | None, earlier: Sequence[Memory], *, conflicts: bool
) -> Changes | None:
    """What a decision writes.

    Args:
        session: the one that the fact was extracted from.
        memory: the one that the decision names, as it is now; None where it is gone.
        earlier: its earlier versions.
        conflicts: a contradiction is put to the user; else the newer stands.

    Returns:
        None where the memory is no longer what was decided about: the fact has to be decided anew.
    """
    new = new_memory(fact, session)
    if decision.outcome is Outcome.NEW:
        return Changes((new,))
    if memory is None:
        return None
    if fact.id in {memory.fact, *(version.fact for version in earlier)} or memory.id == fact.id:
        return Changes()  # carried out already
    if memory.expired_at is not None:
        return None
    if decision.outcome is Outcome.SAME:
        return Changes((_with_evidence(memory, fact),))
    if memory.origin is Origin.BY_HAND or memory.pinned or (decision.outcome is Outcome.CONTRADICTION and conflicts):
        return _conflict(decision, fact, session, memory)
    match decision.outcome:
        case Outcome.ADDITION:
            at = max(memory.created_at, fact.said_at)  # of a late session: it says more of what is known
            return _next_version(memory, _merged(memory, new, decision.text), Reason.ADDITION, at)
        case Outcome.CHANGE if _is_older(fact, memory):
            return Changes(_past_versions(new, memory, earlier))
        case Outcome.CHANGE:
            return _next_version(memory, new, Reason.CHANGE, fact.said_at)
    if fact.said_at < memory.created_at:  # of a late session: what was said after it stands
        return Changes(_past_versions(new, memory, earlier, Reason.CONTRADICTION))
    return _next_version(memory, new, Reason.CONTRADICTION, fact.said_at)


def edited(memory: Memory, content: str, now: int) -> Changes:
    """A version by a person, which learning does not overwrite.

    Args:
        now: milliseconds since the epoch.
    """
    by_hand = memory.model_copy(update={"content": content, "origin": Origin.BY_HAND, "fact": "", "questions": ()})
    return _next_version(memory, by_hand, Reason.CONTRADICTION, now)


def resolved(memory: Memory, conflict: Conflict, text: str | None, now: int) -> Changes:
    """The memory once its user has said what is true.

    Args:
        text: that; None where the answers do not say it: the memory stays as it is.
        now: milliseconds since the epoch.
    """
    free = memory.model_copy(update={"conflict": None})
    if text is None or text == memory.content:
        return Changes((free,))
    ended = free.model_copy(update={"conflict": conflict.id})
    said = free.model_copy(
        update={
            "content": text,
            "fact": conflict.proposed if text == conflict.content else "",
            "questions": (),
            "sources": _union(memory.sources, conflict.sources),
        }
    )
    return _next_version(ended, said, Reason.CONTRADICTION, now)


def invalidated(memory: Memory, now: int) -> Memory:
    """The memory as no longer true."""
    return memory.model_copy(update={"expired_at": now, "expiration_reason": Reason.CONTRADICTION})


def reverted(memory: Memory, to: Memory, now: int) -> Changes:
    """The memory as it was in an earlier version, as one more version by a person."""
    again = to.model_copy(update={"id": memory.id, "chain": "", "origin": Origin.BY_HAND, "fact": ""})
    return _next_version(memory, again, Reason.CONTRADICTION, now)


def without_current(memory: Memory, earlier: Sequence[Memory]) -> tuple[Memory, str] | None:
    """What becomes of a memory whose current version is deleted: the version before it, and the id of the record that
    this was; None where it was the only one."""
    if not earlier:
        return None
    last = max(earlier, key=lambda version: (version.expired_at or 0, version.created_at, version.id))
    again = last.model_copy(
        update={"id": memory.id, "chain": "", "expired_at": None, "expiration_reason": None, "conflict": None}
    )
    return again, last.id


def _next_version(memory: Memory, new: Memory, reason: Reason, at: int) -> Changes:
    before = memory.model_copy(
        update={
            "id": _version_id(memory),
            "chain": memory.id,
            "expired_at": at,
            "expiration_reason": reason,
        }
    )
    after = new.model_copy(
        update={
            "id": memory.id,
            "chain": "",
            "reason": reason,
            "created_at": at,
            "expired_at": None,
            "expiration_reason": None,
            "conflict": None,
            "connected": memory.connected,
            "pinned": memory.pinned,
        }
    )
    return Changes((before, after))


def _past_versions(
    new: Memory, memory: Memory, earlier: Sequence[Memory], reason: Reason = Reason.CHANGE
) -> tuple[Memory, ...]:
    """Older news: a version that ended when the next one began, and begins where the one before it ends."""
    later = [version.created_at for version in (*earlier, memory) if version.created_at > new.created_at]
    over = new.event_end if new.event_end is not None and new.event_end < memory.created_at else None
    past = new.model_copy(
        update={
            "id": uuid.uuid5(NAMESPACE, f"{memory.id} {new.fact}").hex,
            "chain": memory.id,
            "expired_at": over if over is not None else min(later, default=memory.created_at),
            "expiration_reason": reason,
        }
    )
    ended = (
        version.model_copy(update={"expired_at": new.created_at})
        for version in earlier
        if version.created_at < new.created_at < (version.expired_at or 0)
    )
    return (*ended, past)  # once it is there, all is


def _is_older(fact: Fact, memory: Memory) -> bool:
    """Whether what a fact says held before what the memory says: told earlier, or over before that was told."""
    return fact.said_at < memory.created_at or (
        fact.end is not None
        and not fact.negated
        and fact.end < min(memory.created_at, fact.said_at)
        and (memory.event_start is None or fact.end < memory.event_start)
    )


def _merged(memory: Memory, new: Memory, text: str) -> Memory:
    return new.model_copy(
        update={
            "content": text,
            "categories": _union(memory.categories, new.categories),
            "event_start": new.event_start if new.event_start is not None else memory.event_start,
            "event_end": new.event_end if new.event_start is not None else memory.event_end,
            "sources": _union(memory.sources, new.sources),
            "entities": _union(memory.entities, new.entities),
            "questions": _union(memory.questions, new.questions)[:6],
            "attribute": memory.attribute,
            "kind": memory.kind,
        }
    )


def _with_evidence(memory: Memory, fact: Fact) -> Memory:
    """The memory, resting on what says it once more; a mention makes nothing truer, so all else stays."""
    return memory.model_copy(update={"sources": _union(memory.sources, fact.sources)})


_NO_QUESTION = ClarifyingQuestion(question="Which of these is true now?")


def _conflict(decision: Decision, fact: Fact, session: str, memory: Memory) -> Changes:
    asked = decision.questions or (_NO_QUESTION.model_copy(update={"options": (memory.content, fact.text)}),)
    conflict = Conflict(
        id=uuid.uuid5(NAMESPACE, f"conflict {memory.id} {fact.id}").hex,
        memory=memory.id,
        proposed=fact.id,
        content=fact.text,
        reason=decision.reason,
        questions=asked,
        session=session,
        sources=fact.sources,
        created_at=fact.said_at,
    )
    return Changes((memory.model_copy(update={"conflict": conflict.id}),), conflict)


def _version_id(memory: Memory) -> str:
    return uuid.uuid5(NAMESPACE, f"{memory.id} {memory.fact or memory.created_at}").hex


def _union(one: Sequence[_T], other: Sequence[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys((*one, *other)))
