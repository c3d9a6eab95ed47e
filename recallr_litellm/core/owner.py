"""Whose memory it is: the type that every read and write of a store takes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Project:
    """A project whose key was checked: the tenant of users, and of what concerns all of them."""

    id: str
    key: str = field(init=False, repr=False, compare=False)
    """32 lower-case hex characters, which no `Owner` has: the tenant in Qdrant of what concerns all of its users."""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a project needs an id")
        object.__setattr__(self, "key", _digest([self.id]))


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of a project. No store function can be called without one.

    Two are equal when they have one `key`: a user stays who it is when it is renamed.

    Names are compared code point by code point: no trimming, no case folding, no Unicode
    normalisation, so two names that merely look alike are two users.
    """

    project: str = field(compare=False)
    user: str = field(compare=False)
    """The name by which clients know the user now."""
    key: str = ""
    """Its internal id, 32 lower-case hex characters: the tenant in Qdrant, the key part in Redis. Not given, it is
    `name_key`: whose first name it is has that id. Somebody else may have it who was renamed, so it is only taken for
    the user's where a store has agreed (`memory/users.py`)."""
    name_key: str = field(init=False, repr=False, compare=False)
    """32 lower-case hex characters, unique for project and name.

    A digest of the JSON array of both, so that no choice of separator characters inside a
    name can make two owners meet (`("a:b", "c")` and `("a", "b:c")`)."""

    def __post_init__(self) -> None:
        if not self.project or not self.user:
            raise ValueError("an owner needs a project and a user, both non-empty")
        object.__setattr__(self, "name_key", _digest([self.project, self.user]))
        if not self.key:
            object.__setattr__(self, "key", self.name_key)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway itself: whose the records of projects and API keys are."""

    key: str = field(init=False, repr=False)
    """As that of `Owner`, and no owner's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _digest([]))


_JSON: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def _digest(names: list[str]) -> str:
    return hashlib.sha256(_JSON(names).encode()).hexdigest()[:32]


GATEWAY: Final = Gateway()

Tenant = Owner | Project | Gateway
"""Whose points of the vector store are."""
