"""A memory that changes while a chat goes on: what lies stays as it is, and what is new is shown next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from recallr_litellm.core.knowledge import Conflict, Reason
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.gateway.runtime import Runtime
from tests.unit.gateway.kit import CHAT, Client, blocks, goes_on, know, running
from tests.unit.learning.kit import at

pytestmark = pytest.mark.asyncio(loop_scope="module")
STRATEGIES = ["low_latency", "balanced", "agentic", "auto"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    async for runtime in running(tmp_path_factory.mktemp("data")):
        yield runtime


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_new_version_comes_into_the_next_block_and_the_old_bytes_stay(runtime: Runtime, strategy: str) -> None:
    owner = Owner("acme", strategy)
    home = Memory(id="1" * 32, content="User lives in Porto.", created_at=at("2025-03-01"), session="s1")
    client = Client(runtime, user=strategy, recall_strategy=strategy)
    await know(runtime, owner, home)
    bodies = [await client.ask("Where do I live?"), await client.ask("And what is the address where I live?")]
    assert len(blocks(bodies[1])) == 1, "nothing new, no block"
    june = at("2025-06-01")
    await know(
        runtime,
        owner,
        home.model_copy(
            update={"id": "2" * 32, "chain": home.id, "expired_at": june, "expiration_reason": Reason.CHANGE}
        ),
        home.model_copy(update={"content": "User lives in Rome.", "created_at": june, "reason": Reason.CHANGE}),
    )
    bodies.append(await client.ask("Which city do I live in?"))
    assert "<until Sun 1 Jun 2025> User lives in Porto." in blocks(bodies[2])[-1]
    assert "User lives in Rome." in blocks(bodies[2])[-1]
    raised = Conflict(
        id="c" * 32, memory=home.id, proposed="d" * 32, content="User lives in Oslo.", session="s2", created_at=june
    )
    await runtime._vectors.put_conflict(owner, raised)
    [current] = await runtime._vectors.get_memories(owner, [home.id])
    await know(runtime, owner, current.model_copy(update={"conflict": raised.id}))
    bodies.append(await client.ask("Is the city where I live large?"))
    assert "<disputed, ask the user> User lives in Oslo." in blocks(bodies[3])[-1]
    bodies.append(await client.ask("Do I live in a large city?"))
    assert len(blocks(bodies[4])) == 3, "nothing new, no block"
    for earlier, later in pairwise(bodies):
        assert goes_on(CHAT, earlier, later)
