"""What failed or was refused, in the console: listed, tried again, deleted, and in the audit list."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.gateway.call import now_ms
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.services.webhooks import LIMITS
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.learning_queue import LearningQueue
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")
LATER = now_ms() + 3_600_000
PAGE = "/operations"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        yield runtime, visitor


async def test_a_failed_session_is_processed_again(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    await Client(runtime).ask("My car is red.")
    [claim] = await runtime._state.claim(9, lease_seconds=60, now_ms=LATER)
    await runtime._state.set_failed(claim, "it is <damaged>")
    assert "it is <damaged>" in await visitor.page(PAGE)
    fields = {"session": claim.session_id}
    assert "It is tried again." in await visitor.send("/operations/retry-session", PAGE, **fields)
    said = await visitor.send("/operations/retry-session", PAGE, 404, **fields)
    assert f"Session {claim.session_id} is not among the failed ones" in said
    done, refused = await audit(runtime, "retry session")
    assert (done.who, done.target, done.refused, refused.refused) == ("RECALLR_PROJECTS", fields, False, True)
    assert "not made" in await visitor.page("/audit")


async def test_a_user_of_whom_learning_failed_is_learned_again(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    queue, owner = LearningQueue(runtime._state.link, timeout_seconds=60), Owner("acme", "bo & co")
    await runtime._state.remember_user(owner)
    await queue.add(owner, "s1", 1)
    for claim in await queue.claim(9, lease_seconds=60):
        await queue.set_failed(claim, "no such model")
    page = await visitor.page(PAGE)
    assert "bo & co" in page
    assert "no such model" in page
    await visitor.send("/operations/retry-learning", PAGE, user=owner.user)
    assert "Learning has failed of no user." in await visitor.page(PAGE)
    assert "is not among those" in await visitor.send("/operations/retry-learning", PAGE, 404, user=owner.user)


async def test_what_was_refused_is_sent_again_or_deleted(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    for names, receiver in ((keys.RECONIFY, "reconify"), (keys.WEBHOOKS, "webhook")):
        outbox = Outbox(runtime._state.link, names, LIMITS, timeout_seconds=60)
        for message in ("m1", "m2", "m3"):
            await outbox.add(Owner("acme", "ana"), f"s of {message}", message, b"{}")
        for delivery in await outbox.claim(9, lease_seconds=60, now_ms=LATER):
            await outbox.bury(delivery, status=400, reason="refused", lease_seconds=None)
        one = {"message": "m1", "receiver": receiver}
        assert "It was deleted." in await visitor.send("/operations/delete-letter", PAGE, **one)
        assert "Dead letter m1 not found" in await visitor.send("/operations/delete-letter", PAGE, 404, **one)
        await visitor.send("/operations/retry-letter", PAGE, receiver=receiver, message="m2")
        assert [delivery.message_id for delivery in await outbox.claim(9, lease_seconds=60, now_ms=LATER)] == ["m2"]
        assert [letter.message_id async for letter in outbox.dead()] == ["m3"]
        await visitor.send("/operations/delete-letter", PAGE, receiver=receiver)
        assert [letter.message_id async for letter in outbox.dead()] == []
    await visitor.send("/operations/retry-letter", PAGE, 422, receiver="nobody")


async def audit(runtime: Runtime, action: str):  # type: ignore[no-untyped-def]
    """The changes of this kind, oldest first."""
    entries, _ = await runtime.services.audit.page(["acme"], offset=0, limit=50, action=action)
    return [entry for _, entry in reversed(entries)]
