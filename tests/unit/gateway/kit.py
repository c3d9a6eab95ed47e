"""A worker in this process, without a gateway around it, and a client of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.core.room import Model
from recallr_litellm.formats import Reply
from recallr_litellm.gateway.call import Call, now_ms
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.settings import Settings
from tests.support.client_history import FORMATS, ClientFormat, Items

KEY = "rai_key-of-acme"
CHAT = FORMATS["chat"]


async def nobody_asks(*_: object, **__: object) -> Any:
    raise AssertionError("nobody asks the gateway")


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings(
        data_dir=folder,
        projects={"acme": [SecretStr(KEY)]},
        store_timeout_ms=60_000,
        process_interval_seconds=60,
        **changes,
    )


async def running(
    folder: Path, *, window: int | None = None, complete: Any = nobody_asks, **changes: Any
) -> AsyncIterator[Runtime]:
    runtime = Runtime(
        settings(folder, **changes),
        gateway_embed=nobody_asks,
        gateway_complete=complete,
        gateway_write_json=nobody_asks,
        count_tokens=count_tokens,
        model_behind=lambda *_, **__: Model(windows=(window,) if window else ()),
    )
    runtime.start(lambda: None)
    async with asyncio.timeout(60):
        while runtime.faults():
            await asyncio.sleep(0.01)
    yield runtime
    await runtime.stop()


class Client:
    """One chat of a user, which sends its whole history each time."""

    def __init__(
        self,
        runtime: Runtime,
        format: ClientFormat = CHAT,
        name: str | None = "this",
        user: str = "ana",
        **headers: str,
    ) -> None:
        self.runtime, self.format, self.name, self.user, self.headers = runtime, format, name, user, headers
        self.history: Items = []
        self.call = Call(RawHeaders(()))

    async def send(self, **fields: Any) -> dict[str, Any]:
        """The body as the provider gets it."""
        headers = {
            "project-id": "acme",
            "api-key": KEY,
            "user-id": self.user,
            "allow-new-user-creation": "true",
            "memories-threshold": "0.0",
            **({"conversation-id": self.name} if self.name else {}),
            **{name.replace("_", "-"): value for name, value in self.headers.items()},
        }
        self.call = Call(RawHeaders(tuple((f"x-recallr-{name}", value) for name, value in headers.items())))
        body = self.format.body(self.history, **fields)
        await self.runtime.recollection.enrich(self.call, body, self.format.call_type)
        return body

    async def answered(self, *, text: str = "", tool: str = "") -> None:
        calls = (ToolCall(id=tool, name="look", arguments="{}"),) if tool else ()
        exchange = self.call.exchange(Reply((Message(role="assistant", text=text, tool_calls=calls),), complete=True))
        assert exchange is not None
        await self.call.kept()
        assert await self.runtime.store(exchange, within=60)
        self.history += self.format.calls(tool, "{}") if tool else self.format.assistant(text)

    async def ask(self, text: str, answer: str = "I see.", **fields: Any) -> dict[str, Any]:
        self.history += self.format.user(text)
        body = await self.send(**fields)
        await self.answered(text=answer)
        return body


async def tell(runtime: Runtime, *facts: str) -> None:
    """Ana has said these in another chat."""
    for fact in facts:
        await Client(runtime, name=f"elsewhere {fact[:40]}").ask(fact, "Noted.")


async def process(runtime: Runtime) -> None:
    """Make memory of all open sessions."""
    while claims := await runtime._state.claim(50, lease_seconds=60, now_ms=now_ms() + 3_600_000):
        await runtime._processor.process(claims)


async def know(runtime: Runtime, owner: Owner, *memories: Memory) -> None:
    """Have these known of a user."""
    passages = await runtime._knowing.embed([memory.indexed_text for memory in memories])
    await runtime._vectors.save_memories(owner, list(zip(memories, passages, strict=True)))


def blocks(body: dict[str, Any]) -> list[str]:
    text = json.dumps(body, ensure_ascii=False)
    return [part.partition("</recallr_memory>")[0] for part in text.split("<recallr_memory now=")[1:]]


def goes_on(format: ClientFormat, earlier: dict[str, Any], later: dict[str, Any]) -> bool:
    """Whether all messages of a request stand unchanged at the beginning of the next, and its system message too."""
    before, after = earlier[format.messages], later[format.messages]
    same = json.dumps(after[: len(before)]) == json.dumps(before)
    return same and earlier.get(format.system) == later.get(format.system)
