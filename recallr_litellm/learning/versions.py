"""Carrying decisions out: what is written for each. Plain functions; the same decision twice writes the same.

A memory keeps its id through all its versions. An earlier version is a record of its own, whose `chain` is that id. It
is written before the memory is, so that a reader never sees less than what was known.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeVar

from recallr_litellm.core.facts import Decision, Fact, Outcome, Unlearned
from recallr_litellm.core.knowledge import ClarifyingQuestion, Conflict, Origin, Reason
from recallr_litellm.core.records import Memory
from recallr_litellm.core.traits import gist
from recallr_litellm.learning.checks import NAMESPACE

_T = TypeVar("_T")


class Changes(NamedTuple):
    """What is to be written of a memory and its versions."""

    memories: tuple[Memory, ...] = ()
    """In this order."""
    conflict: Conflict | None = None
    """One that is raised is written before the memories, one that is settled after them."""
    deleted: tuple[str, ...] = ()
    """Ids of records."""
    unlearned: Unlearned | None = None
    """Goes from what was extracted, so that it does not come back."""


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
        return Changes((new,)) if memory is None else Changes()
    if memory is None:
        return None
    if fact.id in {memory.fact, *(version.fact for version in earlier)} or memory.id == fact.id:
        return Changes()  # carried out already
    same = decision.outcome is Outcome.SAME
    if same and {id for one in (*earlier, memory) for id in one.sources}.issuperset(fact.sources):
        return Changes()
    if not same and (said_before := next((one for one in earlier if _says_then(one, fact)), None)) is not None:
        return Changes((_with_evidence(said_before, fact),))  # heard late: what became of it since is known
    if memory.expired_at is not None and not (same and _ended_after(memory, fact)):
        return None
    if same:
        return Changes((_with_evidence(memory, fact),))
    if memory.origin is Origin.BY_HAND or memory.pinned or (decision.outcome is Outcome.CONTRADICTION and conflicts):
        return _conflict(decision, fact, session, memory)
    match decision.outcome:
        case Outcome.ADDITION:
            at = max(memory.created_at, fact.said_at)  # of a late session: it says more of what is known
            return _next_version(memory, merged(memory, new, decision.text), Reason.ADDITION, at)
        case Outcome.CHANGE if _is_older(fact, memory):
            return Changes(_past_versions(new, memory, earlier))
        case Outcome.CHANGE:
            return _next_version(memory, new, Reason.CHANGE, fact.said_at)
    if fact.said_at < memory.created_at:  # of a late session: what was said after it stands
        return Changes(_past_versions(new, memory, earlier, Reason.CONTRADICTION))
    return _next_version(memory, new, Reason.CONTRADICTION, fact.said_at)


def _says_then(version: Memory, fact: Fact) -> bool:
    """Whether a version says what a fact says, of a time in which the fact was told."""
    alike = gist(version.content) == gist(fact.text) and version.negated == fact.negated
    return alike and _ended_after(version, fact)


def _ended_after(memory: Memory, fact: Fact) -> bool:
    return memory.expired_at is not None and fact.said_at < memory.expired_at


def edited(memory: Memory, content: str, now: int) -> Changes:
    """A version by a person, which learning does not overwrite.

    Args:
        now: milliseconds since the epoch.
    """
    by_hand = memory.model_copy(update={"content": content, "origin": Origin.BY_HAND, "fact": "", "questions": ()})
    return _next_version(memory, by_hand, Reason.CONTRADICTION, now)


def resolved(memory: Memory, conflict: Conflict, text: str | None, now: int, *, waiting: str | None = None) -> Changes:
    """The memory once its user has said what is true.

    Args:
        text: that; None where the answers do not say it: the memory stays as it is.
        now: milliseconds since the epoch.
        waiting: id of another conflict that the memory is in.
    """
    free = memory.model_copy(update={"conflict": waiting})
    if text is None or text == memory.content:
        return Changes((free,))
    said = free.model_copy(
        update={
            "content": text,
            "fact": conflict.proposed if text == conflict.content else "",
            "questions": (),
            "sources": _union(memory.sources, conflict.sources),
        }
    )
    return _next_version(memory, said, Reason.CONTRADICTION, now, ended_by=conflict.id)


def invalidated(memory: Memory, now: int) -> Memory:
    """The memory as no longer true."""
    return memory.model_copy(update={"expired_at": now, "expiration_reason": Reason.CONTRADICTION})


def reverted(memory: Memory, to: Memory, now: int) -> Changes:
    """The memory as it was in an earlier version, as one more version by a person."""
    again = to.model_copy(update={"id": memory.id, "chain": "", "origin": Origin.BY_HAND, "fact": ""})
    return _next_version(memory, again, Reason.CONTRADICTION, now)


def without_versions(memory: Memory | None, earlier: Sequence[Memory], goes: Collection[str]) -> Changes:
    """A memory without some of its versions: what was before and after them fits together. Without the current version
    the one before it is the current one again; one that is no longer true stays so.

    Args:
        goes: ids of these versions.
    """
    versions = [*earlier, *([memory] if memory is not None else [])]
    left = [(place, one) for place, one in enumerate(versions) if one.id not in goes]
    if not left or memory is None:
        return Changes(deleted=tuple(one.id for one in versions))
    written: list[Memory] = []
    deleted = [one.id for one in earlier if one.id in goes]
    for number, (place, one) in enumerate(left):
        update: dict[str, object] = {}
        if number == 0 and place > 0:
            update["reason"] = Reason.INITIAL
        if number == len(left) - 1:
            if one.id != memory.id:
                deleted.append(one.id)
                update |= {
                    "id": memory.id,
                    "chain": "",
                    "expired_at": memory.expired_at,
                    "expiration_reason": memory.expiration_reason,
                    "conflict": None,
                    "connected": memory.connected,
                    "pinned": memory.pinned,
                }
        elif versions[place + 1].id in goes and (one.expired_at or 0) >= versions[place + 1].created_at:
            after = left[number + 1][1]
            ended = after.reason if after.reason is not Reason.INITIAL else one.expiration_reason
            update |= {"expired_at": after.created_at, "expiration_reason": ended, "conflict": None}
        if update:
            written.append(one.model_copy(update=update))
    return Changes(tuple(written), deleted=tuple(deleted))


def _next_version(memory: Memory, new: Memory, reason: Reason, at: int, *, ended_by: str | None = None) -> Changes:
    """
    Args:
        ended_by: id of the conflict that it settles. One that is not settled goes on.
    """
    before = memory.model_copy(
        update={
            "id": _version_id(memory),
            "chain": memory.id,
            "expired_at": at,
            "expiration_reason": reason,
            "conflict": ended_by,
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
            "conflict": memory.conflict if ended_by is None else new.conflict,
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


def merged(memory: Memory, new: Memory, text: str) -> Memory:
    """A memory that says what both say.

    Args:
        text: both in one sentence; "" where there is none.
    """
    return new.model_copy(
        update={
            "content": text or f"{memory.content} {new.content}",
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


def conflict_id(memory_id: str, fact_id: str) -> str:
    """Id of the conflict between a memory and a new fact."""
    return uuid.uuid5(NAMESPACE, f"conflict {memory_id} {fact_id}").hex


_NO_QUESTION = ClarifyingQuestion(question="Which of these is true now?")


def _conflict(decision: Decision, fact: Fact, session: str, memory: Memory) -> Changes:
    asked = decision.questions or (_NO_QUESTION.model_copy(update={"options": (memory.content, fact.text)}),)
    conflict = Conflict(
        id=conflict_id(memory.id, fact.id),
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
