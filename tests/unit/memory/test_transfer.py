"""Export and import at the stores: memories, two imports at once, what was deleted, conversations without end."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recallr_litellm.core.bounds import SESSION_MESSAGES
from recallr_litellm.core.owner import Project
from recallr_litellm.errors import InvalidImport, UserNotFound
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.memory.users import UserDirectory
from recallr_litellm.services.forgetting import Forgetting
from recallr_litellm.services.transfer.exporting import Exporter
from recallr_litellm.services.transfer.importing import Imported, Importer
from recallr_litellm.services.users import Users
from tests.unit.memory.conftest import ANA, Plugin

PROJECT = Project("acme")
OPENING = {"format": "recallr-user", "version": 1, "user": {"id": "ana", "created_at": "2020-01-01T00:00:00Z"}}
MEMORY = {
    "id": "a" * 32,
    "content": "Ana's cat is called Felix.",
    "created_at": "2023-05-08T09:30:00Z",
    "event_start": "2023-05-01T00:00:00Z",
    "session": "5" * 32,
    "sources": ["c" * 32],
}
EXPIRED = MEMORY | {"id": "e" * 32, "content": "Ana has no cat.", "expired_at": "2023-05-08T09:30:00Z"}

CONFLICT = {
    "id": "b" * 32,
    "memory": "a" * 32,
    "proposed": "d" * 32,
    "content": "Ana's cat is called Tom.",
    "questions": [{"question": "What is the cat called?", "options": ["Felix", "Tom"]}],
    "session": "5" * 32,
    "created_at": "2023-05-09T09:30:00Z",
}


def forgetting_of(plugin: Plugin) -> Forgetting:
    knowing = Knowing(plugin.state, plugin.vectors, plugin.embedder, plugin.sparse)
    return Forgetting(knowing, plugin.state_breaker, timeout_seconds=60, interval=0.05, lease_seconds=60)


@pytest.fixture
def importer(plugin: Plugin) -> Importer:
    directory = UserDirectory(plugin.state, plugin.vectors)
    users = Users(plugin.state, plugin.vectors, directory, forgetting_of(plugin))
    return Importer(plugin.state, plugin.vectors, plugin.embedder, plugin.sparse, users, default_timeout_seconds=600)


def session(*texts: str, id: str = "5" * 32) -> dict[str, Any]:
    return {"id": id, "created_at": "2023-05-08T09:30:00Z", "messages": [{"role": "user", "text": t} for t in texts]}


async def take(importer: Importer, **lists: list[dict[str, Any]]) -> Imported:
    async def document() -> AsyncIterator[bytes]:
        text = json.dumps({**OPENING, **lists}).encode()
        for start in range(0, len(text), 1000):
            yield text[start : start + 1000]

    return await importer.take(PROJECT, ANA.user, document())


async def exported(plugin: Plugin) -> dict[str, Any]:
    parts = [part async for part in Exporter(plugin.state, plugin.vectors).export(ANA)]
    found: dict[str, Any] = json.loads(b"".join(parts))
    return found


async def test_memories_come_back_as_they_were_and_are_found(plugin: Plugin, importer: Importer) -> None:
    lists = {"memories": [MEMORY, EXPIRED], "conflicts": [CONFLICT], "sessions": [session("Felix sleeps.")]}
    assert (await take(importer, **lists)).memories == 2
    assert (await take(importer, **lists)).unchanged_memories == 2
    document = await exported(plugin)
    memory, expired = sorted(document["memories"], key=lambda one: str(one["id"]))
    times = {"created_at": "2023-05-08T09:30:00.000Z", "event_start": "2023-05-01T00:00:00.000Z"}
    assert memory == MEMORY | times
    assert expired == EXPIRED | times | {"expired_at": "2023-05-08T09:30:00.000Z"}
    assert document["conflicts"] == [CONFLICT | {"created_at": "2023-05-09T09:30:00.000Z"}]
    assert document["user"]["created_at"] == "2020-01-01T00:00:00.000Z"
    question = "what is the cat called?"
    hits = await plugin.vectors.search(
        ANA, await plugin.embedder.query(question, "acme"), plugin.sparse.query(question), exclude_sessions=()
    )
    assert [hit.content for hit in hits.memories] == [MEMORY["content"]], (
        "a memory was not embedded, or one that has expired is found"
    )


async def test_two_imports_at_once_import_once(plugin: Plugin, importer: Importer) -> None:
    sessions = [session(f"Text {n}.", "And more.", id=f"{n:032x}") for n in range(5)]
    done = await asyncio.gather(*(take(importer, sessions=sessions) for _ in range(3)))
    assert all(one.sessions + one.unchanged_sessions == 5 for one in done)
    found = (await exported(plugin))["sessions"]
    assert {one["id"]: [m["text"] for m in one["messages"]] for one in found} == {
        one["id"]: [m["text"] for m in one["messages"]] for one in sessions
    }


async def test_a_session_that_was_deleted_stays_deleted_and_is_reported(plugin: Plugin, importer: Importer) -> None:
    await take(importer, sessions=[session("A secret.")])
    await forgetting_of(plugin).forget_session(ANA, "5" * 32)
    done = await take(importer, sessions=[session("A secret."), session("No secret.", id="6" * 32)])
    assert (done.sessions, done.deleted_sessions) == (1, 1)
    assert [one["id"] for one in (await exported(plugin))["sessions"]] == ["6" * 32]


async def test_a_conversation_without_end_becomes_several_sessions_that_stay_the_same_when_it_grows(
    plugin: Plugin, importer: Importer
) -> None:
    texts = [f"Message {n}." for n in range(2 * SESSION_MESSAGES + 1)]
    assert (await take(importer, sessions=[session(*texts[:-1])])).messages == 2 * SESSION_MESSAGES
    assert (await take(importer, sessions=[session(*texts)])).messages == 1
    found = (await exported(plugin))["sessions"]
    assert sorted(len(one["messages"]) for one in found) == [1, SESSION_MESSAGES, SESSION_MESSAGES]
    assert {m["text"] for one in found for m in one["messages"]} == set(texts)


async def test_what_stands_before_a_fault_is_imported(plugin: Plugin, importer: Importer) -> None:
    with pytest.raises(InvalidImport, match=r"sessions 2: messages\.0\.at: must be a time"):
        await take(importer, sessions=[session("First."), {"messages": [{"role": "user", "text": "x", "at": True}]}])
    assert len((await exported(plugin))["sessions"]) == 1


async def test_conflicts_of_a_user_who_is_forgotten_meanwhile_are_not_kept(plugin: Plugin, importer: Importer) -> None:
    async def document() -> AsyncIterator[bytes]:
        text = json.dumps({**OPENING, "conflicts": [CONFLICT, CONFLICT | {"id": "f" * 32}]}).encode()
        end = text.index(b"f" * 32)
        yield text[:end]
        await forgetting_of(plugin).forget_user(ANA)
        yield text[end:]

    with pytest.raises(UserNotFound):
        await importer.take(PROJECT, ANA.user, document())
    assert await plugin.vectors.conflicts(ANA) == []


async def test_fields_that_nobody_knows_take_no_memory(plugin: Plugin, importer: Importer) -> None:
    async def document() -> AsyncIterator[bytes]:
        yield json.dumps(OPENING).encode()[:-1]
        for number in range(40):
            yield f', "unknown {number}": "'.encode() + b"x" * 1_000_000 + b'"'
        yield b"}"

    tracemalloc.start()
    try:
        await importer.take(PROJECT, ANA.user, document())
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ('"memories": [{"confidence": 1e999, ', r"memories 1: confidence: Input should be less than or equal to 1"),
        ('"memories": [{"event_end": 1' + "0" * 400 + ", ", r"memories 1: event_end: must be a time between"),
        ('"memories": [{"event_end": 1' + "0" * 5000 + ", ", r"memories 1: is not JSON \(a number has too many digits"),
        ('"memories": [{"event_end": 1e' + "9" * 30 + ", ", r"memories 1: is not JSON \(a number has too many digits"),
        ('"sessions": [{"timeout_seconds": 1' + "0" * 30 + ", ", r"sessions 1: timeout_seconds: Input should be less"),
    ],
)
async def test_a_number_that_could_not_be_kept_is_no_import(importer: Importer, items: str, says: str) -> None:
    async def document() -> AsyncIterator[bytes]:
        yield f"{json.dumps(OPENING)[:-1]}, {items}{json.dumps(MEMORY)[1:]}]}}".encode()

    with pytest.raises(InvalidImport, match=says):
        await importer.take(PROJECT, ANA.user, document())


async def test_an_item_of_very_many_values_is_no_import(importer: Importer) -> None:
    async def document() -> AsyncIterator[bytes]:
        yield f'{json.dumps(OPENING)[:-1]}, "sessions": [{{"messages": ['.encode()
        for _ in range(300):
            yield b"{}," * 10_000

    with pytest.raises(InvalidImport, match="sessions 1: has more than 1,000,000 values"):
        await importer.take(PROJECT, ANA.user, document())
