"""What sessions hold: read by requests in small, by processing whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from recallr_litellm.core.messages import MessageEntry, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.calls import RedisCaller
from recallr_litellm.stores.state.records import SessionIndex, Snapshot

OTHER_SESSIONS: Final = 20
"""Most ids in `Resolved.other_sessions`."""

MARKER_SECONDS: Final = 24 * 60 * 60
"""How long Redis remembers that a user exists (since the last request), and that an exchange is stored."""

RECENT_MESSAGES: Final = 100
"""Most messages of one session that `SessionContents.recent` reads."""

_SMALLEST_MESSAGE: Final = 200
"""Bytes; no stored message takes less."""

_PAGE_BYTES: Final = 1_000_000
_PAGE_MESSAGES: Final = 200
_OUTDATED_PAGE_MESSAGES: Final = 20
"""Of a session without an index, whose messages may be of any size."""

_ABOUT: Final = ("created", "last", "timeout", "metadata", "dated")


class SessionContents(RedisCaller):
    """Reads the messages of sessions."""

    async def load_index(self, owner: Owner, session_id: str) -> SessionIndex | None:
        """The entries of a session's messages; None if it is not in Redis."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hget(keys.session(owner, session_id), "version")
            pipeline.hvals(keys.contents(owner, session_id, "index"))
            pipeline.hlen(keys.contents(owner, session_id, "messages"))
            version, rows, count = await pipeline.execute()
        if version is None:
            return None
        return SessionIndex(int(version), await self._entries(owner, session_id, rows, count))

    async def read(self, owner: Owner, session_id: str, ids: Sequence[str], *, most_bytes: int) -> list[StoredMessage]:
        """Messages as far as a request needs them (`core.bounds.for_showing`), in the order of the ids, up to the
        first that does not fit; those no longer there are left out."""
        texts = await self._run(
            self._scripts.read,
            [keys.contents(owner, session_id, "messages")],
            most_bytes,
            *ids[: most_bytes // _SMALLEST_MESSAGE + 1],
        )
        return [codec.load_message(text) for text in texts]

    async def open_ids(self, owner: Owner) -> list[str]:
        """Ids of the owner's sessions that hold messages and are not yet processed, newest first."""
        async with self._reaching():
            ids: Any = await self._client.zrevrange(keys.open_sessions(owner), 0, OTHER_SESSIONS)
        return list(ids)

    async def forget_blocks(self, owner: Owner) -> None:
        """Delete the memory blocks that are kept with the owner's sessions: any may quote what is being forgotten."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.zrange(keys.open_sessions(owner), 0, -1)
            pipeline.zrange(keys.empty_sessions(owner), 0, -1)
            found: list[list[str]] = await pipeline.execute()
        names = [keys.blocks(owner, id) for ids in found for id in ids]
        if names:
            async with self._reaching():
                await self._client.delete(*names)

    async def recent(
        self, owner: Owner, session_ids: Sequence[str], *, most_bytes: int
    ) -> dict[str, tuple[StoredMessage, ...]]:
        """The newest messages of each session, by position, as far as a request needs them. What fits is given to the
        sessions in their order; those without messages are left out."""
        if not session_ids:
            return {}
        members = [keys.member(owner, session_id) for session_id in session_ids]
        prefix = keys.prefix(keys.bucket_of(owner))

        async def read() -> list[list[str] | str]:
            names = [keys.open_sessions(owner)]
            rows: list[list[str] | str] = await self._run(
                self._scripts.recent, names, most_bytes, RECENT_MESSAGES, prefix, *members
            )
            return rows

        rows = await read()
        outdated = [id for id, texts in zip(session_ids, rows, strict=True) if texts == "outdated"]
        if outdated:
            for session_id in outdated:
                await self._update(owner, session_id)
            rows = await read()
        return {
            id: codec.load_messages(texts)
            for id, texts in zip(session_ids, rows, strict=True)
            if texts and texts != "outdated"
        }

    async def load(self, owner: Owner, session_id: str) -> Snapshot | None:
        """The whole session, read in pages; None if it is not in Redis.

        Commits may come in between. The version is read first, so that
        a commit based on a mixture is a conflict.
        """
        index = await self.load_index(owner, session_id)
        async with self._reaching():
            fields: Any = await self._client.hmget(keys.session(owner, session_id), _ABOUT)
        created, last, timeout, metadata, dated = fields
        if index is None or created is None:
            return None
        messages: list[StoredMessage] = []
        for page in _pages(index.entries):
            ids = [entry.id for entry in page]
            messages += await self.whole(owner, session_id, ids)
        return Snapshot(
            index.version,
            tuple(messages),
            int(created),
            # What is said to have been in the past ended with its last message.
            int(last) if dated is None else max((stored.at for stored in messages), default=int(created)),
            int(timeout),
            None if metadata is None else codec.load_metadata(metadata),
        )

    async def _entries(
        self, owner: Owner, session_id: str, rows: Sequence[str], count: int
    ) -> tuple[MessageEntry, ...]:
        """The entries in these rows of an index, brought up to date if there are not as many as messages."""
        if len(rows) == count:
            return codec.load_entries(rows)
        await self._update(owner, session_id)
        async with self._reaching():
            updated: Any = await self._client.hvals(keys.contents(owner, session_id, "index"))
        return codec.load_entries(updated)

    async def _update(self, owner: Owner, session_id: str) -> None:
        """Index a session that an earlier version has written to. What is not finished, for a commit has come in
        between, is done by the next reader."""
        session, prefix = keys.session(owner, session_id), keys.prefix(keys.bucket_of(owner))
        async with self._reaching():
            version = await self._client.hget(session, "version")
            ids: Any = await self._client.hkeys(keys.contents(owner, session_id, "messages"))
        for start in range(0, len(ids), _OUTDATED_PAGE_MESSAGES):
            page = ids[start : start + _OUTDATED_PAGE_MESSAGES]
            stored = await self.whole(owner, session_id, page)  # another reader may have shortened some by now
            arguments = (prefix, keys.member(owner, session_id), version, "" if start else "first")
            await self._run(self._scripts.index, [session], *arguments, *codec.dump_messages(stored))

    async def whole(self, owner: Owner, session_id: str, ids: Sequence[str]) -> tuple[StoredMessage, ...]:
        """These messages, not shortened, by position; those no longer there are left out."""
        if not ids:
            return ()
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(keys.contents(owner, session_id, "large"), ids)
            pipeline.hmget(keys.contents(owner, session_id, "messages"), ids)
            large, shown = await pipeline.execute()
        texts = (whole or short for whole, short in zip(large, shown, strict=True))
        return codec.load_messages(text for text in texts if text is not None)


def _pages(entries: Sequence[MessageEntry]) -> Iterator[list[MessageEntry]]:
    page: list[MessageEntry] = []
    size = 0
    for entry in entries:
        if page and (size + entry.size > _PAGE_BYTES or len(page) >= _PAGE_MESSAGES):
            yield page
            page, size = [], 0
        page.append(entry)
        size += entry.size
    if page:
        yield page
