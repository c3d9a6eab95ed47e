"""The Lua scripts of the state store and the outbox. Each runs atomically, in one round trip."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Self

from redis.commands.core import AsyncScript

from recallr_litellm.stores.state.connection import Client


def source(name: str) -> str:
    """Text of a script, the shared prelude included."""
    folder = files(__package__) / "scripts"
    return "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", name))


@dataclass(frozen=True)
class _Registered:
    """One script per field, by the name of its file in `scripts/`. Sent by digest, loaded where missing."""

    @classmethod
    def of(cls, client: Client) -> Self:
        """The scripts, to be run by this client."""
        return cls(**{field.name: client.register_script(source(field.name)) for field in fields(cls)})


@dataclass(frozen=True)
class Scripts(_Registered):
    """Sessions."""

    resolve: AsyncScript
    restore: AsyncScript
    commit: AsyncScript
    part: AsyncScript
    index: AsyncScript
    read: AsyncScript
    recent: AsyncScript
    lay: AsyncScript
    finish: AsyncScript
    create: AsyncScript
    describe: AsyncScript
    end: AsyncScript
    explained: AsyncScript
    unexplained: AsyncScript
    remember: AsyncScript


@dataclass(frozen=True)
class ForgettingScripts(_Registered):
    """Forgetting users and sessions."""

    forget: AsyncScript
    forgotten: AsyncScript


@dataclass(frozen=True)
class QueueScripts(_Registered):
    """A queue with leases."""

    claim: AsyncScript
    extend: AsyncScript
    postpone: AsyncScript
    fail: AsyncScript
    requeue: AsyncScript
    depth: AsyncScript
    by_project: AsyncScript


@dataclass(frozen=True)
class OutboxScripts(_Registered):
    """An outbox."""

    outbox_add: AsyncScript
    outbox_settle: AsyncScript
    outbox_requeue: AsyncScript
    outbox_dead: AsyncScript
    outbox_projects: AsyncScript
    outbox_drop: AsyncScript
    outbox_purge: AsyncScript
    outbox_oldest: AsyncScript


@dataclass(frozen=True)
class LearningScripts(_Registered):
    """Users of whom something is to be learned."""

    learning_add: AsyncScript
    learning_done: AsyncScript
