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

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a project needs an id")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of a project. No store function can be called without one.

    Ids are compared code point by code point: no trimming, no case folding, no Unicode
    normalisation, so two ids that merely look alike are two users.
    """

    project: str
    user: str
    key: str = field(init=False, repr=False)
    """32 lower-case hex characters, unique for the pair: the tenant in Qdrant, the key part in Redis.

    A digest of the JSON array of both ids, so that no choice of separator characters inside an
    id can make two owners meet (`("a:b", "c")` and `("a", "b:c")`)."""

    def __post_init__(self) -> None:
        if not self.project or not self.user:
            raise ValueError("an owner needs a project and a user, both non-empty")
        object.__setattr__(self, "key", _key(self.project, self.user))


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway itself: whose the records of projects and API keys are."""

    key: str = field(init=False, repr=False)
    """As that of `Owner`, and no owner's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key())


def _key(*ids: str) -> str:
    array = json.dumps(ids, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(array.encode()).hexdigest()[:32]


GATEWAY: Final = Gateway()

Tenant = Owner | Gateway
"""Whose points of the vector store are."""
