"""Failed sessions and users, refused payloads and webhooks: each project sees and retries its own."""

from __future__ import annotations

import pytest

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import Limits
from recallr_litellm.errors import DeadLetterNotFound, SessionNotFound, UserNotFound
from recallr_litellm.services.operations import QUEUES, Operations
from recallr_litellm.stores.state import Resolved, StateStore, keys
from recallr_litellm.stores.state.learning_queue import LearningQueue

pytest_plugins = ["tests.unit.stores.state_fixtures"]

ANA, ZOE = Owner("acme", "ana"), Owner("globex", "zoe")
ACME, GLOBEX = Project("acme"), Project("globex")
ROOM = Limits(max_queued=1000, max_queued_mb=10, max_attempts=1, timeout_seconds=1.0, max_pause_seconds=1.0)
LATER = 10**14
"""Milliseconds since the epoch at which everything is due."""


@pytest.fixture
def operations(store: StateStore) -> Operations:
    return Operations(store, timeout_seconds=60)


@pytest.fixture
def outbox(store: StateStore) -> Outbox:
    return Outbox(store.link, keys.RECONIFY, ROOM, timeout_seconds=60)


async def failed(store: StateStore, owner: Owner, *ids: str) -> None:
    """Sessions of the owner that are set aside."""
    for id in ids:
        await store.remember_user(owner)
        made = await store.resolve(owner, new_session_id=id, timeout_seconds=None, default_timeout_seconds=600)
        assert isinstance(made, Resolved)
        for claim in await store.claim(9, lease_seconds=60, now_ms=LATER):
            await store.set_failed(claim, f"{claim.session_id} cannot be read")
        await _leave(store, owner)


async def _leave(store: StateStore, owner: Owner) -> None:
    """The user's next request opens another session."""
    async with store._reaching():
        await store._client.delete(keys.current(owner))


async def bury(outbox: Outbox, owner: Owner | None, *messages: str) -> None:
    """Payloads that Reconify has refused."""
    for message in messages:
        await outbox.add(owner, f"session of {message}", message, b'{"text": "secret"}')
    for delivery in await outbox.claim(9, lease_seconds=60, now_ms=LATER):
        await outbox.bury(delivery, status=400, reason="refused", lease_seconds=None)


async def test_a_project_lists_and_retries_its_own_failed_sessions(store: StateStore, operations: Operations) -> None:
    await failed(store, ANA, "a1", "a2")
    await failed(store, ZOE, "z1")
    found = await operations.failed_sessions(ACME)
    assert [(one.owner, one.session_id, one.reason) for one in found] == [
        (ANA, "a1", "a1 cannot be read"),
        (ANA, "a2", "a2 cannot be read"),
    ]
    for unknown in ("z1", "a9"):
        with pytest.raises(SessionNotFound):
            await operations.retry_sessions(ACME, unknown)
    assert await operations.retry_sessions(ACME, "a2") == 1
    assert [one.session_id for one in await operations.failed_sessions(ACME)] == ["a1"]
    assert [claim.session_id for claim in await store.claim(9, lease_seconds=60)] == ["a2"]
    assert await operations.retry_sessions(ACME) == 1
    assert await operations.retry_sessions(ACME) == 0
    assert [one.session_id for one in await operations.failed_sessions(GLOBEX)] == ["z1"]


async def test_a_project_lists_and_retries_its_own_dead_letters(outbox: Outbox, operations: Operations) -> None:
    await bury(outbox, ANA, "m1", "m2")
    await bury(outbox, ZOE, "m3")
    await bury(outbox, None, "m4")
    assert sorted(letter.message_id for letter in await operations.dead_letters(ACME)) == ["m1", "m2"]
    assert len([letter async for letter in outbox.dead()]) == 4
    for unknown in ("m3", "m4", "m9"):
        with pytest.raises(DeadLetterNotFound):
            await operations.retry_dead_letters(ACME, unknown)
    assert await operations.retry_dead_letters(ACME, "m1") == 1
    [delivery] = await outbox.claim(9, lease_seconds=60, now_ms=LATER)
    assert (delivery.message_id, delivery.payload) == ("m1", '{"text": "secret"}')
    await outbox.bury(delivery, status=400, reason="refused again", lease_seconds=None)
    reasons = {letter.message_id: letter.reason for letter in await operations.dead_letters(ACME)}
    assert reasons == {"m1": "refused again", "m2": "refused"}, "it is no longer known whose it is"
    assert await operations.retry_dead_letters(ACME) == 2
    assert await operations.dead_letters(ACME) == []
    assert [letter.message_id for letter in await operations.dead_letters(GLOBEX)] == ["m3"]


async def test_the_queues_of_each_project_are_counted(
    store: StateStore, outbox: Outbox, operations: Operations
) -> None:
    await failed(store, ANA, "a1", "a2", "a3")
    await failed(store, ZOE, "z1")
    await operations.retry_sessions(ACME, "a1")
    await operations.retry_sessions(ACME, "a2")
    await bury(outbox, ANA, "m1")
    await bury(outbox, None, "m2")
    await bury(Outbox(store.link, keys.WEBHOOKS, ROOM, timeout_seconds=60), ZOE, "w1", "w2")
    [claim] = await store.claim(1, lease_seconds=60)
    for id in ("a4", "a5"):
        await store.resolve(ANA, new_session_id=id, timeout_seconds=None, default_timeout_seconds=600)
        await _leave(store, ANA)
    learning = LearningQueue(store.link, timeout_seconds=60)
    await learning.add(ANA, "a0", 1)
    await learning.add(ZOE, "z0", 1)
    [_, of_zoe] = sorted(await learning.claim(9, lease_seconds=60), key=lambda one: one.owner.user)
    await learning.set_failed(of_zoe, "too odd to be learned")

    nothing = dict.fromkeys(QUEUES, 0)
    acme = {"pending": 2, "due": 1, "processing": 1, "failed": 1, "learning": 1, "dead": 1}
    assert claim.owner == ANA
    assert await operations.queues() == {
        "acme": nothing | acme,
        "globex": nothing | {"failed": 1, "learning_failed": 1, "dead_webhooks": 2},
    }


async def test_a_project_deletes_what_was_refused_of_its_own(store: StateStore, operations: Operations) -> None:
    webhooks = Outbox(store.link, keys.WEBHOOKS, ROOM, timeout_seconds=60)
    await bury(webhooks, ANA, "e1", "e2")
    await bury(webhooks, ZOE, "e3")
    assert await operations.dead_letters(ACME) == [], "Reconify has refused nothing"
    for unknown in ("e3", "e9"):
        with pytest.raises(DeadLetterNotFound):
            await operations.delete_dead_letters(ACME, unknown, "webhook")
    assert await operations.delete_dead_letters(ACME, "e1", "webhook") == 1
    assert [letter.message_id for letter in await operations.dead_letters(ACME, "webhook")] == ["e2"]
    assert await operations.delete_dead_letters(ACME, receiver="webhook") == 1
    assert [letter.message_id for letter in await operations.dead_letters(GLOBEX, "webhook")] == ["e3"]
    assert await operations.retry_dead_letters(GLOBEX, "e3", "webhook") == 1
    [delivery] = await webhooks.claim(9, lease_seconds=60, now_ms=LATER)
    assert delivery.message_id == "e3"


async def test_a_project_lists_and_retries_its_own_users_of_whom_learning_failed(
    store: StateStore, operations: Operations
) -> None:
    queue = LearningQueue(store.link, timeout_seconds=60)
    for owner in (ANA, ZOE):
        await store.remember_user(owner)
        await queue.add(owner, "s1", 1)
        await queue.add(owner, "s2", 2)
    for claim in await queue.claim(9, lease_seconds=60, now_ms=LATER):
        await queue.set_failed(claim, f"{claim.owner.user} cannot be learned")
    assert await operations.failed_learning(ACME) == [(ANA, 2, "ana cannot be learned")]
    with pytest.raises(UserNotFound):
        await operations.retry_learning(ACME, "zoe")
    assert await operations.retry_learning(ACME, "ana") == 1
    assert await operations.failed_learning(ACME) == []
    assert [claim.owner for claim in await queue.claim(9, lease_seconds=60)] == [ANA]
    assert await operations.retry_learning(ACME) == 0
    assert await operations.retry_learning(GLOBEX) == 1
