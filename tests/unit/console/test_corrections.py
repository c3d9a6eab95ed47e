"""Corrections of a memory in the console: refused where it is no longer what the page showed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.gateway.runtime import Runtime
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import Client, know
from tests.unit.learning.kit import at

pytestmark = pytest.mark.asyncio(loop_scope="module")
ANA = Owner("acme", "ana")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        await Client(runtime).ask("Hello!")
        yield runtime, visitor


async def known(runtime: Runtime, number: int) -> dict[str, str]:
    """A memory in three versions; what its forms send."""
    id = f"{number:032x}"
    memory = Memory(id=id, content="User lives in Porto.", attribute="home", created_at=at("2025-05-01"), session="s1")
    await know(runtime, ANA, memory)
    for city in ("Rome", "Paris"):
        await runtime.services.memories.edit(ANA, id, f"User lives in {city}.")
    return {"user": "ana", "memory": id}


async def versions(runtime: Runtime, id: str) -> list[str]:
    found = await runtime.services.memories.get(ANA, id)
    return [one.content.removeprefix("User lives in ") for one in (*found.previous, found.memory)]


def shown(page: str) -> str:
    """What the forms of the page send as the version that it shows."""
    [seen] = set(re.findall(r'name="seen" value="(\d+)"', page))
    return str(seen)


async def test_what_was_changed_meanwhile_is_not_changed_again(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    which = await known(runtime, 1)
    page = f"/memory?user=ana&memory={which['memory']}"
    seen = shown(await visitor.page(page))
    await runtime.services.memories.edit(ANA, which["memory"], "User lives in Oslo.")
    before = await versions(runtime, which["memory"])
    for action, fields in {
        "edit": {"content": "User lives in Bonn."},
        "revert": {"version": (await runtime.services.memories.get(ANA, which["memory"])).previous[0].id},
        "pin": {"pinned": "true"},
        "invalidate": {},
        "delete": {},
    }.items():
        said = await visitor.send(f"/memory/{action}", page, 409, **which, **fields, seen=seen)
        assert "version 4 is the current one by now, not 3" in said
        assert "Load the page again" in said
    assert await versions(runtime, which["memory"]) == before
    entries, _ = await runtime.services.audit.page(["acme"], offset=0, limit=50, target=which["memory"])
    assert len(entries) == 5
    assert all(entry.refused for _, entry in entries)
    await visitor.send("/memory/pin", page, **which, pinned="true", seen=shown(await visitor.page(page)))
    assert (await runtime.services.memories.get(ANA, which["memory"])).memory.pinned
    rows = (await visitor.page("/audit", who="recallr_proj", action="PIN", target=which["memory"])).count("<tr><td>")
    assert rows == 2, "one that was refused, one that was made"
    assert "No change fits." in await visitor.page("/audit", who="somebody else")


async def test_one_version_is_deleted_or_all(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    which = await known(runtime, 2)
    page = f"/memory?user=ana&memory={which['memory']}"
    rome = (await runtime.services.memories.get(ANA, which["memory"])).previous[1].id
    assert "It was deleted." in await visitor.send("/memory/delete", page, **which, version=rome, seen="3")
    assert await versions(runtime, which["memory"]) == ["Porto.", "Paris."]
    await visitor.send("/memory/delete", page, **which, version=which["memory"], seen="2")
    assert await versions(runtime, which["memory"]) == ["Porto."], "the one before it is the current one again"
    await visitor.send("/memory/delete", page, **which, seen="1")
    await visitor.page(page, 404)
    said = await visitor.send("/memory/delete", "/audit", 404, **which, seen="1")
    assert "not found" in said
    assert "It may have been deleted" in said


async def test_what_is_no_longer_true_is_not_corrected(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    which = await known(runtime, 3)
    page = f"/memory?user=ana&memory={which['memory']}"
    await visitor.send("/memory/invalidate", page, **which, seen="3")
    said = await visitor.send("/memory/edit", page, 404, **which, content="User lives in Bonn.", seen="3")
    assert "no longer true" in said
    await visitor.send("/memory/edit", page, 422, **which, content="User lives in Bonn.", seen="three")


async def test_a_session_is_ended_once(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    client = Client(runtime, name="to be ended")
    await client.ask("My bike is blue.")
    fields = {"user": "ana", "session": client.call.session_id or ""}
    page = f"/session?user=ana&session={fields['session']}"
    assert "becomes memory now" in await visitor.send("/session/end", page, **fields)
    [claim] = await runtime._state.claim(1, lease_seconds=60)
    said = await visitor.send("/session/end", page, 400, **fields)
    assert "Cannot process session with status processing" in said
    await runtime._state.set_failed(claim, "broken")
    assert "/operations/retry-session" in await visitor.page(page), "a failed session is tried again from its page too"
