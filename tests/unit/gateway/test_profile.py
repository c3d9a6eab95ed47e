"""The profile in a chat: shown from its first request on, laid once, and always as memory is now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.projects import ProjectSettings
from recallr_litellm.core.records import Memory
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.projects import Recorded
from recallr_litellm.recall.by_strategy import Question
from tests.unit.gateway.kit import CHAT, Client, blocks, goes_on, know, running
from tests.unit.learning.kit import at

pytestmark = pytest.mark.asyncio(loop_scope="module")
PETS = ["Rex", "Bo", "Kim", "Max", "Lou", "Pip"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    async for runtime in running(tmp_path_factory.mktemp("data"), profile_tokens=100):
        yield runtime


def known(number: int, content: str, attribute: str, **more: Any) -> Memory:
    return Memory(
        id=f"{number:032x}", content=content, attribute=attribute, created_at=at("2025-05-01"), session="s1", **more
    )


HOME = known(1, "The user lives in Porto.", "home", sources=("m1",))
TRIP = known(2, "The user was in Peru.", "travel")


@pytest.mark.parametrize("strategy", ["low_latency", "balanced", "agentic", "auto"])
async def test_it_is_shown_from_the_first_greeting_on_and_once(runtime: Runtime, strategy: str) -> None:
    owner = Owner("acme", strategy)
    await know(runtime, owner, HOME, TRIP)
    client = Client(runtime, user=strategy, recall_strategy=strategy)
    bodies = [await client.ask("Hi!")]
    [first] = blocks(bodies[0])
    assert "<profile of the user>" in first
    assert "The user lives in Porto." in first
    assert "Peru" not in first
    bodies.append(await client.ask("Where do I live?"))
    bodies.append(await client.ask("And the street?"))
    assert [len(blocks(body)) for body in bodies[:2]] == [1, 2]
    assert "Peru" in blocks(bodies[1])[1]
    assert str(bodies[2]).count("lives in Porto") == 1, "it lies where it was laid, and nowhere else"
    moved = HOME.model_copy(update={"content": "The user lives in Rome.", "created_at": at("2025-06-01")})
    await know(runtime, owner, moved, known(3, "The user has a dog, Rex.", "pet"))
    bodies.append(await client.ask("Thanks!"))
    last = blocks(bodies[3])[-1].split("\\n")
    assert [line.partition("> ")[2] for line in last if "> The user" in line] == [
        "The user lives in Rome.",
        "The user has a dog, Rex.",
    ], "what is new of it, and no more"
    for earlier, later in pairwise(bodies):
        assert goes_on(CHAT, earlier, later)


async def test_what_was_deleted_or_is_of_another_user_is_not_in_it(runtime: Runtime) -> None:
    owner = Owner("acme", "dora")
    await know(runtime, owner, HOME, known(4, "The user has a cat.", "pet"))
    await know(runtime, Owner("acme", "eve"), known(5, "The user is called Eve.", "name"))
    assert "Porto" in str(await Client(runtime, name="one", user="dora").ask("Hi!"))
    await runtime.services.memories.delete(owner, HOME.id, previous=True)
    [block] = blocks(await Client(runtime, name="two", user="dora").ask("Hi!"))
    assert "The user has a cat." in block
    assert "Porto" not in block
    assert "Eve" not in block


async def test_who_wants_no_memory_gets_none_and_a_project_has_its_own_measure(runtime: Runtime) -> None:
    owner = Owner("acme", "fay")
    await know(
        runtime, owner, *(known(10 + n, f"The user has a dog called {pet}.", "pet") for n, pet in enumerate(PETS))
    )
    without = Client(runtime, user="fay", memory="off")
    without.history += CHAT.user("Hi!")
    assert not blocks(await without.send())

    async def shown(name: str) -> int:
        return str(await Client(runtime, user="fay", name=name).ask("Hi!")).count("has a dog called")

    assert await shown("more") == 5
    runtime.projects.learn(Recorded(settings={"acme": ProjectSettings(profile_tokens=40)}))
    assert await shown("less") == 2
    runtime.projects.learn(Recorded(settings={"acme": ProjectSettings(profile_tokens=0)}))
    assert await shown("without") == 0
    runtime.projects.learn(Recorded())


async def test_the_context_of_a_session_holds_it_and_the_service_tells_its_sources(runtime: Runtime) -> None:
    owner = Owner("acme", "gil")
    await know(runtime, owner, HOME)
    client = Client(runtime, user="gil")
    await client.ask("Hi!")
    context = await runtime.services.context.context(
        owner, client.call.session_id or "", Question("Hello!"), RecallOptions()
    )
    assert "<profile of the user>" in context.text
    assert context.memory_ids == (HOME.id,)
    assert context.session_ids == ("s1",)
    [line] = await runtime.services.profiles.lines(owner, now=datetime.now(UTC))
    assert (line.memory.id, line.memory.sources) == (HOME.id, ("m1",))
    await runtime.services.memories.pin(owner, HOME.id, pinned=True)
    [line] = await runtime.services.profiles.lines(owner, now=datetime.now(UTC))
    assert line.memory.pinned
