"""Takes in a document of a user's memory, or conversations in its form.

What is there already is left as it is, so a document can be imported again after an import that broke off anywhere, and
a conversation that has grown is brought up to date. Sessions go into Redis as if they had just been said, with their
dates; since their timeouts have passed, they are made memory at once, with the embedding model of this gateway.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from recallr_litellm.core.bounds import SESSION_BYTES, SESSION_MESSAGES, bounded
from recallr_litellm.core.facts import Extraction
from recallr_litellm.core.knowledge import Conflict
from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import Memory, Session
from recallr_litellm.errors import StateUnavailable, UserExists, UserNotFound
from recallr_litellm.services.transfer.document import (
    ID,
    LISTS,
    ConflictItem,
    ExtractionItem,
    MemoryItem,
    SessionItem,
    UserItem,
    digest,
    id_of,
    read_item,
    require_format,
)
from recallr_litellm.services.transfer.json_items import Item, JsonItems
from recallr_litellm.services.users import Users
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.embedding.passages import embed_passages
from recallr_litellm.stores.state import CommitResult, StateStore
from recallr_litellm.stores.vectors import VectorStore

MOST_WAITING: Final = 100
"""Sessions that may be due while more are imported: Redis is to hold few of a large import at a time."""
LONGEST_WAIT_SECONDS: Final = 600.0
"""How long an import waits for that."""
_POLL_SECONDS: Final = 0.2
_ATTEMPTS: Final = 10
_SECOND: Final = 1000
_MEMORIES_AT_ONCE: Final = 64
_OPENING: Final = frozenset({"format", "version"})
"""Fields by which a document is known."""


@dataclass(slots=True)
class Imported:
    """What an import has brought."""

    sessions: int = 0
    """New, or with new messages."""
    unchanged_sessions: int = 0
    deleted_sessions: int = 0
    """Left out: somebody deleted them within the last day."""
    messages: int = 0
    memories: int = 0
    unchanged_memories: int = 0


class Importer:
    """Imports users and sessions.

    Args:
        default_timeout_seconds: of a session that says nothing of it.
    """

    def __init__(
        self,
        state: StateStore,
        vectors: VectorStore,
        embedder: Embedder,
        sparse: SparseEncoder,
        users: Users,
        *,
        default_timeout_seconds: int,
    ) -> None:
        self._state = state
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse
        self._users = users
        self._default_timeout_seconds = default_timeout_seconds

    async def take(self, project: Project, name: str, document: AsyncIterable[bytes]) -> Imported:
        """Import a document as this user, whoever it was exported of. A user who does not exist is created.

        Args:
            document: its JSON, in parts of any size.

        Raises:
            InvalidImport: it is none. What stands before the fault is imported.
            Unavailable: a store, or the embedding model, does not answer: to be imported again.
        """
        items = JsonItems(lists=LISTS)
        work = _Import(self, project, name)
        async for part in document:
            for item in await asyncio.to_thread(items.feed, part):
                await work.take(item)
        items.close()
        return await work.finish()

    async def _owner(self, project: Project, name: str, user: UserItem | None) -> Owner:
        """The user, who is created where there is none."""
        known = user or UserItem(id=name)
        while (owner := await self._users.find(project, name)) is None:
            with suppress(UserExists):
                await self._users.create(project, name, metadata=known.metadata, at=known.created_at)
        return owner

    async def _room(self) -> None:
        """Wait until processing has caught up."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while (await self._state.depth())["due"] >= MOST_WAITING:
            if time.monotonic() > deadline:
                raise StateUnavailable(f"More than {MOST_WAITING} sessions wait to be processed")
            await asyncio.sleep(_POLL_SECONDS)

    async def _session(
        self, owner: Owner, session_id: str, item: SessionItem, said: Sequence[StoredMessage]
    ) -> int | None:
        """Make sure that a session holds these messages. Returns how many it did not hold before; None where it was
        deleted lately, so that it stays away."""
        added = 0
        now = _now()
        last_at = min(now, max(item.last_at or 0, *(one.at for one in said)))
        for _ in range(_ATTEMPTS):
            index = await self._state.load_index(owner, session_id)
            if index is not None:
                known = {entry.id for entry in index.entries}
                missing = _placed(said, known, _after(entry.position for entry in index.entries))
                if not missing:
                    return added
                result = await self._state.commit(
                    owner,
                    session_id,
                    exchange=f"import-{secrets.token_hex(16)}",
                    expected_version=index.version,
                    add=missing,
                    drop=(),
                    final=True,
                    now_ms=last_at,
                )
                added += len(missing) if result is CommitResult.STORED else 0
                continue
            record = await self._vectors.get_session(owner, session_id)
            there = await self._vectors.read_messages(owner, session_id) if record is not None else []
            missing = _placed(said, {one.id for one in there}, _after(one.position for one in there))
            if not missing:
                return added
            session = record or Session(
                id=session_id,
                created_at=min([now, *([] if item.created_at is None else [item.created_at]), said[0].at]),
                last_at=last_at,
                timeout_seconds=item.timeout_seconds or self._default_timeout_seconds,
                message_count=0,
                metadata=item.metadata,
            )
            await self._room()
            if not await self._state.restore(owner, session, [*there, *missing], now_ms=last_at):
                await self._require_user(owner)
                return None
            added += len(missing)  # or somebody was faster, which the next look shows
        raise StateUnavailable(f"Session {session_id} is written to by too many at once")

    async def _memories(self, owner: Owner, memories: Sequence[Memory]) -> int:
        """Remember these memories, where they are not known. Returns how many that were."""
        known = {memory.id for memory in await self._vectors.get_memories(owner, [one.id for one in memories])}
        new = {memory.id: memory for memory in memories if memory.id not in known}
        passages = await embed_passages(self._embedder, self._sparse, [one.indexed_text for one in new.values()])
        await self._vectors.save_memories(owner, list(zip(new.values(), passages, strict=True)))
        await self._require_user(owner)
        return len(new)

    async def _extracted(self, owner: Owner, extraction: Extraction) -> None:
        """Keep what was extracted, where it is not known, so that it is not extracted again."""
        known = await self._vectors.get_extraction(owner, extraction.session, extraction.window)
        if known is None and not await self._state.is_gone(owner, extraction.session):
            await self._vectors.keep_extraction(owner, extraction)
        await self._require_user(owner)

    async def _require_user(self, owner: Owner) -> None:
        """Return unless the user is being forgotten; then nothing of it may stay."""
        if await self._state.is_gone(owner):
            await self._vectors.delete_all_of(owner)
            raise UserNotFound(f"User {owner.user} not found")


class _Import:
    """One import."""

    def __init__(self, importer: Importer, project: Project, name: str) -> None:
        self._importer = importer
        self._project = project
        self._name = name
        self._head: dict[str, object] = {}
        self._user: UserItem | None = None
        self._owner: Owner | None = None
        self._memories: list[Memory] = []
        self._done = Imported()

    async def take(self, item: Item) -> None:
        """The next field or item of the document."""
        place = item.field if item.number is None else f"{item.field} {item.number + 1}"
        if item.number is None:
            if item.field in _OPENING:  # others may be any number
                self._head[item.field] = item.value
            if item.field == "user":
                self._user = read_item(UserItem, item.value, place)
            return
        owner = await self._of_whom()
        if item.field == "sessions":
            await self._remember(owner)  # before it is learned anew what came from the session
            await self._session(owner, read_item(SessionItem, item.value, place))
        elif item.field == "memories":
            self._memories.append(Memory.model_construct(**dict(read_item(MemoryItem, item.value, place))))
            if len(self._memories) == _MEMORIES_AT_ONCE:
                await self._remember(owner)
        elif item.field == "conflicts":
            conflict = Conflict.model_construct(**dict(read_item(ConflictItem, item.value, place)))
            await self._importer._vectors.put_conflict(owner, conflict, keep_existing=True)
            await self._importer._require_user(owner)
        elif item.field == "extractions":
            await self._importer._extracted(owner, read_item(ExtractionItem, item.value, place).extraction)

    async def finish(self) -> Imported:
        """What the document has brought, after its end."""
        await self._remember(await self._of_whom())
        return self._done

    async def _of_whom(self) -> Owner:
        if self._owner is None:
            require_format(self._head)
            self._owner = await self._importer._owner(self._project, self._name, self._user)
        return self._owner

    async def _session(self, owner: Owner, item: SessionItem) -> None:
        added = [await self._importer._session(owner, id, item, said) for id, said in parts(item)]
        messages = sum(count or 0 for count in added)
        self._done.messages += messages
        if messages:
            self._done.sessions += 1
        elif None in added:
            self._done.deleted_sessions += 1
        else:
            self._done.unchanged_sessions += 1

    async def _remember(self, owner: Owner) -> None:
        if self._memories:
            new = await self._importer._memories(owner, self._memories)
            self._done.memories += new
            self._done.unchanged_memories += len(self._memories) - new
            self._memories = []


def parts(item: SessionItem) -> Iterator[tuple[str, list[StoredMessage]]]:
    """The sessions that an imported one becomes, each with its id and messages: one, unless it holds more than a
    session may. A conversation that has grown has the same first parts."""
    messages = _stored(item)
    id = id_of(item)
    part: list[StoredMessage] = []
    size, number = 0, 0
    for message in messages:
        size += message.entry.size
        if part and (size > SESSION_BYTES or len(part) == SESSION_MESSAGES):
            yield (id if not number else digest(id, number)), part
            part, size, number = [], message.entry.size, number + 1
        part.append(message)
    if part:
        yield (id if not number else digest(id, number)), part


def _stored(item: SessionItem) -> list[StoredMessage]:
    of_session = id_of(item)
    found: list[StoredMessage] = []
    ids: set[str] = set()
    said: dict[tuple[str, str, str, int | None], int] = {}
    at = item.created_at or item.last_at or _now()
    for place, one in enumerate(item.messages):
        message = Message(
            role=one.role,
            name=one.name,
            text=one.text,
            tool_calls=one.tool_calls,
            tool_call_id=one.tool_call_id,
            attachments=one.attachments,
        )
        if message.empty:
            continue
        [message] = bounded([message])
        at = one.at if one.at is not None else at + _SECOND * bool(found)
        id = one.id
        if id is None:  # the same words may be said twice
            content = (one.role, one.name, one.text, one.at)
            said[content] = said.get(content, 0) + 1
            id = digest(of_session, *content, said[content])
        elif not ID.fullmatch(id):
            id = digest(of_session, id)
        if id in ids:
            continue
        ids.add(id)
        # What has come by requests says itself what it followed.
        parent = one.parent if one.exchange or not found else found[-1].id
        found.append(
            StoredMessage(
                id=id,
                exchange=one.exchange or id,
                position=place,
                parent=parent,
                at=at,
                partial=one.partial,
                message=message,
            )
        )
    return found


def _placed(said: Sequence[StoredMessage], known: set[str], next_position: int) -> list[StoredMessage]:
    """Those that are not known, behind those that are."""
    missing = [one for one in said if one.id not in known]
    return [one.model_copy(update={"position": next_position + place}) for place, one in enumerate(missing)]


def _after(positions: Iterable[int]) -> int:
    return max(positions, default=-1) + 1


def _now() -> int:
    return time.time_ns() // 1_000_000
