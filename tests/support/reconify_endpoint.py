"""A stand-in for Reconify's endpoint on loopback: it records what is posted and misbehaves as told.

    with ReconifyEndpoint() as endpoint:
        endpoint.answers = lambda posted: BROKEN if posted.session == "s1" else OK
        ...                                  # something posts to `endpoint.url`
        endpoint.goes_down()                 # connecting is refused, open connections end
        endpoint.comes_up()                  # the same address again
        assert endpoint.accepted["s2"] == ["m1", "m2"]

A payload is accepted when it is answered with 2xx, and once: a message id that was accepted before is a `repeat`,
whatever is answered. Webhooks can be posted to it as well, to a `ReconifyEndpoint("webhook-id")`. It speaks HTTP
itself: servers that are made to work cannot hang or break off at the right moment.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

MESSAGE_ID: Final = "idempotency-key"


@dataclass(frozen=True)
class Posted:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: dict[str, Any]
    raw: bytes
    """The body as it came."""
    message_id: str
    """What tells a repeat from something new."""
    number: int
    """How many came before it."""
    attempt: int
    """How many with this message id came before it."""

    @property
    def session(self) -> str:
        """Of the payload."""
        return str(self.body.get("session", ""))


@dataclass(frozen=True)
class Reaction:
    """What the endpoint does with a request."""

    status: int = 200
    body: str = '{"ok": true}'
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    """No answer; the connection stays open."""
    close_after: int | None = None
    """Close the connection after so many bytes of the answer; 0: without an answer."""

    @property
    def accepts(self) -> bool:
        """Whether the payload is taken. Where the answer is cut off, the sender cannot know."""
        return 200 <= self.status < 300 and not self.hang


OK: Final = Reaction()
BROKEN: Final = Reaction(500, "broken")
WRONG: Final = Reaction(400, "this payload is wrong")
HANGS: Final = Reaction(hang=True)
HALF_CLOSED: Final = Reaction(500, close_after=0)
CUT: Final = Reaction(close_after=20)
"""Taken, but nobody is told."""


class ReconifyEndpoint:
    """The endpoint, in a thread of the test's process. Everything about it may be changed while it runs."""

    def __init__(self, message_id: str = MESSAGE_ID) -> None:
        self._message_id = message_id
        self.answers: Callable[[Posted], Reaction] = lambda posted: OK
        self.posted: list[Posted] = []
        """All that came, in its order."""
        self.accepted: dict[str, list[str]] = {}
        """Session → message ids in the order of their acceptance, each once."""
        self.repeats: list[str] = []
        """Message ids that came again after they were accepted."""
        self.waiting: set[str] = set()
        """Message ids of requests that hang just now."""
        self.port = 0
        self._ids: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reconify-endpoint", daemon=True)

    @property
    def url(self) -> str:
        """For `RECONIFY_ENDPOINT`."""
        return f"http://127.0.0.1:{self.port}/track"

    @property
    def settings(self) -> dict[str, str]:
        """Variables that turn Reconify on, towards this endpoint."""
        return {
            "RECONIFY_APP_KEY": "app-key-of-the-tests",
            "RECONIFY_API_KEY": "api-key-of-the-tests",
            "RECONIFY_ENDPOINT": self.url,
        }

    @property
    def accepted_ids(self) -> set[str]:
        """Message ids of all that was accepted."""
        return set(self._ids)

    def goes_down(self) -> None:
        """Nobody listens any more, and open connections are closed."""
        self._do(self._close())

    def comes_up(self) -> None:
        """Listen again, at the same address."""
        self._do(self._listen())

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._answer(await self._read(reader), reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the other side has gone
        finally:
            self._open.discard(writer)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Posted:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers["content-length"]))
        message_id = headers.get(self._message_id, "")
        attempt = self._attempts[message_id]
        posted = Posted(request.split()[1], headers, json.loads(raw), raw, message_id, len(self.posted), attempt)
        self._attempts[message_id] += 1
        self.posted.append(posted)
        return posted

    async def _answer(self, posted: Posted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request. Returns whether another may follow."""
        reaction = self.answers(posted)
        if posted.message_id in self._ids:
            self.repeats.append(posted.message_id)
        elif reaction.accepts:
            self._ids.add(posted.message_id)
            self.accepted.setdefault(posted.session, []).append(posted.message_id)
        if reaction.hang:
            self.waiting.add(posted.message_id)
            try:
                await reader.read()  # until the other side gives up
            finally:
                self.waiting.discard(posted.message_id)
            return False
        body = reaction.body.encode()
        lines = [f"HTTP/1.1 {reaction.status} Said", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in reaction.headers.items()]
        answer = "\r\n".join([*lines, "", ""]).encode() + body
        writer.write(answer[: reaction.close_after])
        await writer.drain()
        return reaction.close_after is None
