"""Records of the core as points, and back."""

from __future__ import annotations

import hashlib
import json
import uuid
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, JsonValue

from recallr_litellm.core.audit import AuditEntry
from recallr_litellm.core.bounds import cut
from recallr_litellm.core.changes import tells_a_change
from recallr_litellm.core.facts import Extraction
from recallr_litellm.core.knowledge import USER, Conflict, EntityName, Reason
from recallr_litellm.core.messages import Role, StoredMessage
from recallr_litellm.core.owner import GATEWAY, Owner, Project, Tenant
from recallr_litellm.core.projects import KeyRecord, ProjectRecord
from recallr_litellm.core.records import (
    Memory,
    MemoryHit,
    Passage,
    PassageHit,
    Session,
    SparseVector,
    SummaryHit,
    Turn,
    User,
)
from recallr_litellm.core.times import written_times
from recallr_litellm.core.traits import Traits, gist, traits_of
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.stores.vectors import schema
from recallr_litellm.stores.vectors.engine import Found, KeptPayload, Payload, Point, scope
from recallr_litellm.stores.vectors.schema import Kind

_TERM = np.dtype("<u4")
Record = TypeVar("Record", bound=BaseModel)

_WRITE_POINTS = 32
"""Points written in one call: Qdrant Edge holds the interpreter's lock while it writes, 0.1 to 0.3 ms a point."""
_WRITE_CHARACTERS = 1_000_000
"""Characters written in one call, far below the 32 MB that a Qdrant server accepts."""
_REDUCED: Final = 100_000
"""Characters that are kept of a message that Qdrant refuses."""

META_ID = str(uuid.uuid5(schema.NAMESPACE, Kind.META.value))


def point_id(owner: Tenant, kind: Kind, *natural_key: str | int) -> str:
    """The id under which a record is always written, so that writing it twice is writing it once."""
    # A JSON array, so that no separator inside an id can make two keys meet.
    return str(uuid.uuid5(schema.NAMESPACE, json.dumps([owner.key, kind.value, *natural_key])))


class Description(NamedTuple):
    """What a collection is filled with."""

    model: str
    dimension: int
    schema: int = schema.SCHEMA_VERSION
    source: str = ""
    """The collection that it was copied from, if it was."""
    run: str = ""
    """Id of the reindex that fills it, until that has come to its end."""
    ready: bool = False
    """A finished copy that no gateway has used yet."""
    listed: bool = False
    """Its users, sessions and memories are all as this version writes them: earlier ones wrote less to list and count
    them by."""

    @property
    def is_copy(self) -> bool:
        """Whether it only repeats what its source holds."""
        return bool(self.run) or self.ready


def meta_point(description: Description) -> Point:
    """The description of a collection, as a point of it."""
    return Point(META_ID, description._asdict())


def description_of(payload: Payload) -> Description:
    """The description in a `meta` point, which may be of an earlier version."""
    return Description(**{name: payload[name] for name in Description._fields if name in payload})


def require_readable(found: Description) -> None:
    """Return if this version reads and writes collections like this one.

    Raises:
        ConfigurationError: it does not.
    """
    if found.schema != schema.SCHEMA_VERSION:
        raise ConfigurationError(
            f"The vector store has layout {found.schema}, this version of recallr-litellm reads layout "
            f"{schema.SCHEMA_VERSION}. Install the version that wrote it, or name another RECALLR_COLLECTION."
        )


def user_point(owner: Owner, user: User, seen_at: int) -> Point:
    """A user. Found by its id, by its name or a part of it, and among those of its project.

    Args:
        seen_at: when it was last heard of, milliseconds since the epoch.
    """
    payload = {
        schema.SCOPE: [scope(owner, Kind.USER), scope(Project(user.project), Kind.USER)],
        schema.NAME: user.owner.name_key,
        schema.NAMED: named(user),
        schema.SEEN: seen_at,
        schema.AT: user.created_at,
        schema.METADATA: tags(user.metadata),
        schema.RECORD: user.model_dump_json(),
    }
    return Point(point_id(owner, Kind.USER), payload)


def named(user: User) -> str:
    """What a user is found by when a part of its name is looked for, and put in order by. No two of a project have the
    same."""
    return f"{user.user.casefold()}\n{user.user}"


def tags(metadata: Mapping[str, JsonValue]) -> list[str]:
    """Each entry as one text, so that metadata of any shape can be filtered by its entries."""
    texts = (json.dumps([name, value], sort_keys=True) for name, value in metadata.items())
    return [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]


def project_point(project: ProjectRecord) -> Point:
    """A project."""
    return _of_gateway(Kind.PROJECT, project.id, project, project.updated_at)


def key_point(key: KeyRecord) -> Point:
    """An API key of a project."""
    return _of_gateway(Kind.KEY, key.id, key, key.revoked_at or key.created_at)


def _of_gateway(kind: Kind, id: str, record: BaseModel, changed_at: int) -> Point:
    # With the time, since of two versions a reindex keeps the later.
    payload = {schema.SCOPE: scope(GATEWAY, kind), schema.AT: changed_at, schema.RECORD: record.model_dump_json()}
    return Point(point_id(GATEWAY, kind, id), payload)


def audit_point(project: Project, entry: AuditEntry) -> Point:
    """What a person changed."""
    payload: Payload = {
        schema.SCOPE: scope(project, Kind.AUDIT),
        schema.AT: entry.at,
        schema.RECORD: entry.model_dump_json(),
    }
    return Point(point_id(project, Kind.AUDIT, entry.id), payload)


def session_point(owner: Owner, session: Session, summary: Passage | None) -> Point:
    """A session; with the vectors of its summary it can be searched."""
    payload: Payload = {
        schema.SCOPE: scope(owner, Kind.SESSION),
        schema.PROJECT: scope(Project(owner.project), Kind.SESSION),
        schema.SESSION: session.id,
        schema.AT: session.last_at,
        schema.BEGAN: session.created_at,
        schema.RECORD: session.model_dump_json(),
    }
    if summary is not None:
        payload[schema.HIT] = _json(session.id, session.created_at, session.last_at, session.summary)
        payload[schema.GIST] = gist(session.summary)
    if session.summary:
        payload[schema.SUMMARISED] = True
    return with_vectors(point_id(owner, Kind.SESSION, session.id), payload, summary)


def turn_points(owner: Owner, session_id: str, turn: Turn) -> Iterator[Point]:
    """A message: one point for each passage, the first with the whole record; one point if there is none."""
    stored = turn.stored
    role, name = stored.message.role, stored.message.name
    speaker = f"{role} {name}" if name else role
    for part, passage in enumerate(turn.passages or (None,)):
        payload: Payload = {
            schema.SCOPE: scope(owner, Kind.TURN),
            schema.SESSION: session_id,
            schema.AT: stored.at,
        }
        if passage is not None:
            traits = traits_of(passage.text, role)
            place = (session_id, stored.id, stored.position, part, len(turn.passages), speaker, stored.at)
            payload[schema.HIT] = _json(*place, passage.text, *traits, _packed(passage.sparse))
            if traits.states_nothing and len(turn.passages) == 1:
                payload[schema.STATES_NOTHING] = True
            elif tells_a_change(passage.text):
                payload[schema.TELLS_A_CHANGE] = True
            if passage.tokens is not None:
                payload[schema.TOKENS] = passage.tokens
            if times := written_times(passage.text, stored.at, stored.timezone):
                payload[schema.TIMES] = times
        if part == 0:
            payload |= {schema.FIRST: True, schema.RECORD: stored.model_dump_json()}
            if role == "user":
                payload[schema.FROM_USER] = True
        yield with_vectors(point_id(owner, Kind.TURN, session_id, stored.id, part), payload, passage)


def reduced(point: Point) -> Point:
    """A message's point as Qdrant will take it if it can take any: without vectors, its text within `_REDUCED`."""
    payload = {field: value for field, value in point.payload.items() if field != schema.HIT}
    if schema.RECORD in payload:
        stored = StoredMessage.model_validate_json(payload[schema.RECORD])
        message = stored.message.model_copy(update={"text": cut(stored.message.text, _REDUCED)})
        payload[schema.RECORD] = stored.model_copy(update={"message": message}).model_dump_json()
    return Point(point.id, payload)


def memory_point(owner: Owner, memory: Memory, indexed: Passage | None) -> Point:
    """A memory, or an earlier version of one, with the vectors of `Memory.indexed_text`."""
    return with_vectors(point_id(owner, Kind.MEMORY, memory.id), memory_payload(owner, memory), indexed)


def memory_payload(owner: Owner, memory: Memory) -> Payload:
    """All fields of a memory's point."""
    payload: Payload = {
        schema.SCOPE: scope(owner, Kind.MEMORY),
        schema.SESSION: memory.session,
        schema.AT: memory.created_at,
        schema.RECORD: memory.model_dump_json(),
        schema.HIT: _json(
            memory.id,
            memory.session,
            memory.created_at,
            memory.event_start,
            memory.event_end,
            memory.sources,
            memory.connected,
            memory.content,
            memory.chain,
            memory.reason,
            memory.expired_at,
            memory.expiration_reason,
            memory.conflict,
        ),
    }
    if memory.chain:
        payload[schema.CHAIN] = memory.chain
    if memory.expired_at is not None:
        payload[schema.PAST] = True
    else:
        payload[schema.PROJECT] = scope(Project(owner.project), Kind.MEMORY)
        pinned = [schema.PINNED] if memory.pinned else []
        payload[schema.ABOUT] = [*about(memory.subject, memory.attribute, memory.entities), *pinned]
    return payload


def about(subject: str, attribute: str, entities: Iterable[EntityName]) -> list[str]:
    """What a memory is found by when a new fact may concern it: values of `schema.ABOUT`."""
    names = (entity.name for entity in entities)
    named = [f"is {name.casefold()}" for name in dict.fromkeys((subject, *names)) if name != USER]
    return [*named, f"of {subject.casefold()}: {attribute}"]


def extraction_point(owner: Owner, extraction: Extraction) -> Point:
    """What a window of a session said."""
    payload: Payload = {
        schema.SCOPE: scope(owner, Kind.EXTRACTION),
        schema.SESSION: extraction.session,
        schema.RECORD: extraction.model_dump_json(),
    }
    return Point(point_id(owner, Kind.EXTRACTION, extraction.session, extraction.window), payload)


def conflict_point(owner: Owner, conflict: Conflict) -> Point:
    """A conflict."""
    payload: Payload = {
        schema.SCOPE: scope(owner, Kind.CONFLICT),
        schema.SESSION: conflict.session,
        schema.AT: conflict.resolved_at or conflict.created_at,  # of two versions a reindex keeps the later
        schema.RECORD: conflict.model_dump_json(),
    }
    return Point(point_id(owner, Kind.CONFLICT, conflict.id), payload)


def with_vectors(identifier: str, payload: Payload, passage: Passage | None) -> Point:
    """A point with the vectors of a text, or with none."""
    if passage is None:
        return Point(identifier, payload)
    # A passage of nothing but stop words has no terms: it is found by meaning alone.
    sparse = passage.sparse if passage.sparse.indices else None
    return Point(identifier, payload, dense=passage.dense, sparse=sparse)


def record_of(payload: Payload, kind: type[Record]) -> Record:
    """The record in a point: of a `turn` point, the first of its message has one."""
    return kind.model_validate_json(payload[schema.RECORD])


class _Passage(NamedTuple):
    """What a `turn` point says, in two halves of a `PassageHit`: between them stands what the query makes of it."""

    before: tuple[str, str, int, int, int, Role, int, str, Traits, NDArray[np.uint32]]
    after: tuple[str, tuple[int, ...], bool, int | None]


def passage_hit(found: Found, bm25: float) -> PassageHit:
    """A found `turn` point; it was ranked by cosine."""
    payload = found.payload
    if isinstance(payload, KeptPayload):
        passage = payload.made = payload.made or _passage(payload)
    else:
        passage = _passage(payload)
    return PassageHit._make((*passage.before, found.score, bm25, found.id, *passage.after))


def _passage(payload: Payload) -> _Passage:
    session, message, position, part, parts, speaker, at, text, *traits, terms = _read(payload[schema.HIT])
    role, _, name = speaker.partition(" ")
    read = Traits(*traits)
    times = tuple(payload.get(schema.TIMES, ()))
    nothing = read.states_nothing and parts == 1
    before = (session, message, position, part, parts, role, at, text, read, _unpacked(terms))
    return _Passage(before, (name, times, nothing, payload.get(schema.TOKENS)))


def summary_hit(found: Found, bm25: float) -> SummaryHit:
    """A found `session` point; it was ranked by cosine."""
    session, created_at, last_at, summary = _read(found.payload[schema.HIT])
    of_summary = found.payload.get(schema.GIST) or gist(summary)
    return SummaryHit(session, created_at, last_at, summary, of_summary, found.score, bm25)


def _packed(sparse: SparseVector) -> str:
    """The terms of a sparse vector, four bytes each, in base64."""
    return b2a_base64(np.array(sparse.indices, _TERM).tobytes(), newline=False).decode()


def _unpacked(terms: str) -> NDArray[np.uint32]:
    return np.frombuffer(a2b_base64(terms), _TERM)


def _read(hit: str) -> Any:
    """What `_json` has written. Of some hundred hits for each question, hence by orjson where it can."""
    try:
        return orjson.loads(hit)
    except ValueError:  # half of a surrogate pair
        return json.loads(hit)


def memory_hit(found: Found, bm25: float) -> MemoryHit:
    """A found `memory` point; it was ranked by cosine."""
    id, session, created_at, start, end, sources, connected, content, *version = _read(found.payload[schema.HIT])
    chain, reason, expired_at, expiration, conflict = version or ("", Reason.INITIAL, None, None, None)
    return MemoryHit(
        id,
        session,
        created_at,
        start,
        end,
        tuple(sources),
        tuple(connected),
        content,
        found.score,
        bm25,
        chain,
        Reason(reason),
        expired_at,
        Reason(expiration) if expiration else None,
        conflict,
    )


_SEARCHED: Final[Mapping[Kind, Callable[[Payload], str]]] = {
    Kind.SESSION: lambda payload: summary_hit(Found("", 0.0, payload), 0.0).summary,
    Kind.TURN: lambda payload: passage_hit(Found("", 0.0, payload), 0.0).text,
    Kind.MEMORY: lambda payload: record_of(payload, Memory).indexed_text,
}
"""Of each kind whose points can be found: the text that its vectors are made from."""


def text_of(payload: Payload) -> str | None:
    """The text that a point's vectors are made from; None for a point without vectors.

    Raises:
        ConfigurationError: this version does not know what the point stands for.
    """
    if schema.HIT not in payload:
        return None
    kind = payload[schema.SCOPE].rpartition("/")[2]
    if kind not in _SEARCHED:
        raise ConfigurationError(
            f"The vector store holds points of the kind {kind!r}, which this version of recallr-litellm does not know. "
            "Install the version that wrote them."
        )
    return _SEARCHED[Kind(kind)](payload)


def _json(*fields: str | int | Sequence[str] | None) -> str:
    """The first fields of a hit, in their order."""
    return json.dumps(fields, ensure_ascii=False)


def batches(all_points: Iterable[Point]) -> Iterator[list[Point]]:
    """The points in the portions in which an engine is to get them."""
    batch: list[Point] = []
    characters = 0
    for point in all_points:
        size = sum(len(point.payload.get(field, "")) for field in (schema.RECORD, schema.HIT))
        if batch and (len(batch) == _WRITE_POINTS or characters + size > _WRITE_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(point)
        characters += size
    if batch:
        yield batch
