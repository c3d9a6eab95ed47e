"""The collections of one store: usually one, two while everything is embedded anew, and which of them is current.

The first has the name that the settings give. A reindex fills the one whose name follows, and then makes that one
the current one in a single step, so that a process that dies at any moment leaves one or the other current, whole.
"""

from __future__ import annotations

import re
from typing import Protocol

from recallr_litellm.stores.vectors import points
from recallr_litellm.stores.vectors.engine import WholeEngine

_NAME = re.compile(r"(?P<base>.+?)(?:-reindexed-(?P<number>\d+))?", re.DOTALL)


def following(name: str) -> str:
    """Name of the collection that everything in this one is embedded anew into.

    >>> following("recallr"), following("recallr-reindexed-2")
    ('recallr-reindexed-2', 'recallr-reindexed-3')
    """
    found = _parts(name)
    return f"{found['base']}-reindexed-{int(found['number'] or 1) + 1}"


def belongs(name: str, base: str) -> bool:
    """Whether a collection of this name belongs to the store whose first collection is `base`."""
    return name == base or (_parts(name)["number"] is not None and _parts(name)["base"] == base)


def pointer_name(base: str) -> str:
    """Name of what says which collection is the current one. Where it is not there, it is `base`."""
    return f"{base}-current"


def _parts(name: str) -> re.Match[str]:
    found = _NAME.fullmatch(name)
    assert found is not None, "a collection without a name"
    return found


class Collections(Protocol):
    """The collections of one store. Every method raises `VectorsUnavailable` when the store does not answer."""

    async def current(self) -> str:
        """The name of the one that is read and written; it may not have been made yet."""

    async def all(self) -> list[str]:
        """The names of those that there are."""

    def engine(self, name: str | None = None) -> WholeEngine:
        """The engine of one of them, the same at each call; without a name of the one that is current when it is
        opened. Not opened yet."""

    async def require_room(self, name: str, growth: float) -> None:
        """Return if there is room for another one that is `growth` times as large as this one, as far as can be told.

        Raises:
            ConfigurationError: there is not.
        """

    async def switch(self, name: str) -> None:
        """Make one of them the current one, atomically and durably."""

    async def drop(self, name: str) -> None:
        """Delete one that is not the current one, with all that is in it, or what is left of it."""

    async def close(self) -> None:
        """Let go of everything, all engines included."""


async def describe(collections: Collections, name: str) -> points.Description | None:
    """How one of the collections is described; None if it is not, or not there.

    Raises:
        VectorsUnavailable: the store does not answer.
        ConfigurationError: the collection is not one of ours.
    """
    if name not in await collections.all():
        return None
    engine = collections.engine(name)
    await engine.open(0)  # it is there: were it deleted this moment, none could be made of no dimensions
    payload = await engine.get(points.META_ID)
    return points.description_of(payload) if payload else None
