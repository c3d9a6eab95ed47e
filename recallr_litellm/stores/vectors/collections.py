"""The collections of one store. Each holds the vectors of one embedding model and is named after it.

Usually there is one. `recallr reindex` fills the collection of another model, and a gateway that starts with that model
makes it the current one. Collections of earlier versions have other names (`recallr`, `recallr-reindexed-2`) and are
used as they are.

Which one is current is what the pointer says (an alias on a server, a file beside the embedded folders). It is set when
a copy takes over; where it is missing, every collection that is no copy may be the current one.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from recallr_litellm.errors import EmbeddingMismatch, VectorsUnavailable
from recallr_litellm.stores.vectors import points
from recallr_litellm.stores.vectors.engine import WholeEngine
from recallr_litellm.stores.vectors.points import Description


class Described(NamedTuple):
    """A collection that is there, and what it holds."""

    name: str
    description: Description


class Collections(Protocol):
    """The collections of one store. Every method raises `VectorsUnavailable` when the store does not answer."""

    @property
    def base(self) -> str:
        """What all names begin with."""

    async def names(self) -> list[str]:
        """Of those that there are and whose name may be one of ours."""

    async def pointer(self) -> str | None:
        """What the pointer says; None where there is none."""

    async def point_to(self, name: str) -> None:
        """Make one the current one, atomically and durably."""

    async def describe(self, name: str) -> Description | None:
        """What a collection holds; None if it is not there or not one of ours."""

    def engine(self, name: str) -> WholeEngine:
        """The engine of one of them, the same at each call. Not opened yet."""

    async def drop(self, name: str) -> None:
        """Delete one, or what is left of it."""

    async def suspend(self) -> None:
        """Let go of what belongs to the running event loop; the rest stays open."""

    async def close(self) -> None:
        """Make everything durable and let go of it, engines included."""


def name_of(base: str, model: str) -> str:
    """Name of the collection of an embedding model.

    >>> name_of("recallr", "litellm/text-embedding-3-small")
    'recallr-litellm-text-embedding-3-small'
    """
    return f"{base}-{re.sub(r'[^a-z0-9.]+', '-', model.lower()).strip('-.')}"


def may_be_ours(name: str, base: str) -> bool:
    """Whether a name is one of ours, as far as the name tells: another store's `recallr-staging` begins alike."""
    return name == base or name.startswith(f"{base}-")


def _is_of_earlier_version(base: str, name: str) -> bool:
    return re.fullmatch(rf"{re.escape(base)}(-reindexed-\d+)?", name) is not None


def pointer_name(base: str) -> str:
    """Name of the pointer."""
    return f"{base}-current"


async def all_of(collections: Collections, *, but: str = "") -> list[Described]:
    """Every collection of the store but one, by name."""
    base = collections.base
    found = [(name, await collections.describe(name)) for name in sorted(await collections.names()) if name != but]
    return [
        Described(name, one)
        for name, one in found
        if one and (name == name_of(base, one.model) or _is_of_earlier_version(base, name))
    ]


async def current_of(collections: Collections, model: str | None = None) -> Described | None:
    """The current collection, also one with vectors of another model; None where nothing was ever stored.

    Args:
        model: where the pointer is missing, the collection of this model comes first.
    """
    pointer = await collections.pointer()
    if pointer is not None and (description := await collections.describe(pointer)) is not None:
        return Described(pointer, description)
    base = collections.base
    whole = [one for one in await all_of(collections) if not one.description.is_copy]
    return max(
        whole,
        key=lambda one: (one.description.model == model, _is_of_earlier_version(base, one.name), one.name),
        default=None,
    )


async def collection_for(collections: Collections, model: str) -> str:
    """The collection that a gateway with this embedding model reads and writes. Changes nothing.

    Raises:
        EmbeddingMismatch: what is remembered is in the collection of another model, and there is no finished copy.
    """
    current = await current_of(collections, model)
    name = name_of(collections.base, model)
    if current is None:
        return name
    if current.description.model == model:
        return current.name
    copy = await collections.describe(name)
    if copy is not None and copy.model == model and copy.ready and copy.source == current.name:
        return name
    unfinished = f" A reindex into {name!r} did not come to its end." if copy is not None and copy.run else ""
    raise EmbeddingMismatch(
        f"The vectors in {current.name!r} are from the embedding model {current.description.model!r} "
        f"({current.description.dimension} dimensions), but {model!r} is configured.{unfinished} Either set "
        f"RECALLR_EMBEDDING_MODEL={current.description.model}, or run `recallr reindex`, which embeds everything anew "
        f"with {model!r}, and start again."
    )


async def open_collection(collections: Collections, wanted: Description) -> tuple[str, WholeEngine]:
    """Open the collection of a gateway's model: make it where nothing is stored, make it current where it is a copy.

    Returns:
        Its name, and its engine, opened.

    Raises:
        EmbeddingMismatch: what is remembered has vectors of another model.
        ConfigurationError: the collection cannot be used for another reason.
    """
    name = await collection_for(collections, wanted.model)
    engine = collections.engine(name)
    dimension = await engine.open(wanted.dimension)
    if dimension == wanted.dimension:
        # Kept if it exists: of workers that start at the same time, one describes the collection.
        await engine.upsert([points.meta_point(wanted)], keep_existing=True)
    meta = (await engine.read([points.META_ID])).get(points.META_ID)
    if meta is None and dimension == wanted.dimension:
        raise VectorsUnavailable("The description of the Qdrant collection cannot be read back")
    found = points.description_of(meta) if meta else Description("unknown", dimension)
    points.require_readable(found)
    if (found.model, found.dimension) != (wanted.model, wanted.dimension):
        raise EmbeddingMismatch(
            f"The vectors in {name!r} are from the embedding model {found.model!r} ({found.dimension} dimensions), "
            f"but {wanted.model!r} ({wanted.dimension}) is configured. A model that has changed needs a new name, in "
            "RECALLR_EMBEDDING_MODEL and in the gateway's config; then run `recallr reindex`."
        )
    if found.is_copy:
        await collections.point_to(name)
        # From now on it holds what its source does not: no reindex may take that away again.
        await engine.upsert([points.meta_point(found._replace(run="", ready=False))])
    await engine.compact()
    return name, engine
