"""The few things that the vector store asks of Qdrant, and their vocabulary.

All meaning is in `VectorStore`. An engine only translates: `EdgeEngine` to the engine inside this
process, `ServerEngine` to a Qdrant server. `WholeEngine` is what else copying a collection needs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from recallr_litellm.core.owner import Project, Tenant
from recallr_litellm.core.records import Span, SparseVector, Vector
from recallr_litellm.stores.vectors.schema import ABOUT, AT, CHAIN, NAMED, PROJECT, SCOPE, SESSION, Kind

Payload = dict[str, Any]
"""Fields of a point, as JSON knows them."""
PointId = UUID | str | int
"""As an engine gives it in its answers."""


class KeptPayload(Payload):
    """A payload that an engine keeps for later queries."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        super().__init__()
        self.made: Any = None
        """What was made of it, so that it is made once. Not changed."""


def scope(owner: Tenant, kind: Kind) -> str:
    """Value of the field `SCOPE` of an owner's points of a kind, or of a project's."""
    return f"{owner.key}/{kind.value}"


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A point to write."""

    id: str
    """UUID."""
    payload: Payload
    dense: Vector | None = None
    sparse: SparseVector | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A point as it is kept, without its vectors."""

    id: str
    payload: Payload


class Found(NamedTuple):
    """A point that a query found. `payload` has at least the fields that the query asked for."""

    id: PointId
    score: float
    payload: Payload


@dataclass(frozen=True, slots=True)
class Where:
    """Which points: of one owner, or one project, and one kind, and all else that is given.

    There is no way to write one without an owner, and no way for an `Engine` to reach many points without one.
    """

    owner: Tenant
    kind: Kind
    match: Mapping[str, str] = field(default_factory=dict)
    """Field → the value it must have."""
    tags: Collection[str] = ()
    """Of its `METADATA`: all of them."""
    named: Collection[str] = ()
    """Users with one of these values of `NAMED`; empty for any."""
    named_like: str = ""
    """Users whose `NAMED` has this in it."""
    users: Collection[str] = ()
    """Of the owners with these keys: for what is asked of a project. Empty for any."""
    having: Collection[str] = ()
    """Fields that it must have, whatever the value."""
    lacking: Collection[str] = ()
    """Fields that it must not have."""
    time: str = AT
    """The field that `since` and `until` are about, and that `Engine.scroll` may go by."""
    since: int | None = None
    """Smallest time, milliseconds since the epoch."""
    until: int | None = None
    """Largest time, likewise."""
    naming: Span | None = None
    """A time of which it must name one."""
    begun_until: int | None = None
    """Largest `began`, likewise; only sessions have one."""
    sessions: Collection[str] = ()
    """Of these sessions; empty for any."""
    about: Collection[str] = ()
    """Memories with one of these values of `ABOUT`; empty for any."""
    chains: Collection[str] = ()
    """Earlier versions of these memories; empty for any."""
    exclude_sessions: Collection[str] = ()
    exclude_ids: Collection[PointId] = ()
    ids: Collection[PointId] | None = None
    """None for any."""

    @property
    def equal(self) -> dict[str, str]:
        """Field → the value it must have, the owner's scope among them."""
        of_all_users = isinstance(self.owner, Project) and self.kind in (Kind.SESSION, Kind.MEMORY)
        return {**self.match, PROJECT if of_all_users else SCOPE: scope(self.owner, self.kind)}

    @property
    def any_of(self) -> dict[str, list[str]]:
        """Field → values of which it must have one."""
        wanted = {
            SESSION: self.sessions,
            ABOUT: self.about,
            CHAIN: self.chains,
            NAMED: self.named,
            SCOPE: [f"{key}/{self.kind.value}" for key in self.users],
        }
        return {field: list(values) for field, values in wanted.items() if values}

    @property
    def none_of(self) -> dict[str, list[str]]:
        """Field → values that it must not have."""
        return {SESSION: list(self.exclude_sessions)} if self.exclude_sessions else {}


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """A query: the `limit` points nearest to a vector, best first.

    By cosine where the vector is dense, by BM25 where it is sparse.
    """

    vector: Vector | SparseVector
    where: Where
    limit: int
    """At least 1."""
    corpus: Where | None = None
    """For BM25: the points over which the rarity of a term is counted."""
    fields: tuple[str, ...] = ()
    """Payload fields to fetch."""


class Engine(Protocol):
    """A Qdrant.

    Every method raises `VectorsUnavailable` when the engine fails or is not open, and `VectorsRefused`
    when it does not accept this point or query, with the cause chained and nothing of what is stored
    in the text.
    """

    async def open(self, dimension: int) -> int:
        """Create what is missing; may be called again, also after a failure and after `close`.

        Returns:
            The dimension of the vectors in the collection, which differs from the one asked for
            when the collection was made for another model.

        Raises:
            ConfigurationError: the collection or the folder cannot be used as it is.
        """

    async def compact(self) -> None:
        """Make what was written since the last time smaller and faster to read. Slow: only at a start."""

    async def close(self) -> None:
        """Make everything durable and let go of it."""

    async def flush(self) -> None:
        """Make everything written so far survive a power cut."""

    async def upsert(self, points: Sequence[Point], *, keep_existing: bool = False) -> None:
        """Write points, replacing those with the same ids, or leaving those alone."""

    async def delete(self, where: Where) -> None:
        """Delete all points that fit."""

    async def set_fields(self, where: Where, fields: Payload, *, only: bool = False) -> None:
        """Replace these fields of the points that fit. Their vectors stay, and their other fields unless `only`."""

    async def count(self, where: Where, *, roughly: bool = False) -> int:
        """How many points fit.

        Args:
            roughly: as the index has it, at no cost. Of what is asked by one value alone it is nearly exact.
        """

    async def values(self, where: Where, field: str, limit: int) -> dict[str, int]:
        """The values that a field has → how many of the points that fit have it: the most frequent ones, and of as
        frequent ones the first by the alphabet."""

    async def read(self, ids: Sequence[str]) -> dict[str, Payload]:
        """All fields of the points with these ids, by id; those that are not there are left out."""

    async def scroll(
        self,
        where: Where,
        limit: int,
        *,
        fields: Sequence[str] | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Stored], str | None]:
        """Some of the points that fit, in the order of their ids.

        Args:
            limit: at least 1.
            fields: payload fields to fetch; None for all.
            after: what the page before has returned; None for the first.
            newest_first: in the order of `where.time` instead; then there is one page. Points of the same instant come
                in any order.

        Returns:
            The points, and what to give as `after` for the next page: None when this was the last.
        """

    async def vectors(self, where: Where, limit: int) -> dict[PointId, Vector]:
        """The dense vectors of up to `limit` points that fit, by id; those without one are left out."""

    async def query(self, queries: Sequence[Nearest]) -> list[list[Found]]:
        """Answer several queries in one call, in their order."""


class WholeEngine(Engine, Protocol):
    """An engine that reaches all points of its collection, whoever's they are: to copy them, never to answer from."""

    async def scroll(
        self,
        where: Where | None,
        limit: int,
        *,
        fields: Sequence[str] | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Stored], str | None]:
        """See `Engine.scroll`. `where`: None for all points."""

    async def remove(self, ids: Sequence[str]) -> None:
        """Delete the points with these ids."""

    async def count(self, where: Where | None = None, *, roughly: bool = False) -> int:
        """See `Engine.count`. `where`: None for all points."""
