"""The outbox in Redis: order, leases, room, dead letters, purging. On one server and on a cluster."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.reconify.outbox import Outbox
from recallr_litellm.reconify.records import Added, Delivery
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.reconify.wire import encoded
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.connection import connect
from tests.unit.stores.state_kit import ANA, BEN, Everything

pytest_plugins = ("tests.unit.stores.state_fixtures",)

LEASE = 30.0
SOON = 10_000_000_000_000
"""A moment, ms, at which everything is due and all leases have ended."""


def open_outbox(url: str, **settings: Any) -> Outbox:
    return Outbox(connect(url, timeout_seconds=60), ReconifySettings(**settings), timeout_seconds=60)


@pytest.fixture
async def outbox(state_url: str) -> AsyncIterator[Outbox]:
    outbox = open_outbox(state_url)
    await outbox.probe()  # as the gateway's breaker does before anything else
    yield outbox
    await outbox.close()


def payload(text: str) -> bytes:
    return encoded({"reconify": {}, "text": text})


async def add(outbox: Outbox, message_id: str, *, owner: Owner | None = ANA, session: str = "s1") -> Added:
    return await outbox.add(owner, session, message_id, payload(message_id))


async def claim(outbox: Outbox, limit: int = 10, **options: Any) -> list[Delivery]:
    return await outbox.claim(limit, lease_seconds=LEASE, **options)


async def claim_one(outbox: Outbox, **options: Any) -> Delivery:
    claims = await claim(outbox, **options)
    assert len(claims) == 1, f"one session has something to send, but {len(claims)} were leased"
    return claims[0]


async def drain(outbox: Outbox) -> list[str]:
    """Deliver all there is; the message ids in their order."""
    sent = []
    while claims := await claim(outbox):
        for delivery in claims:
            sent.append(delivery.message_id)
            await outbox.delivered(delivery, lease_seconds=None)
    return sent


async def test_what_was_added_comes_out_unchanged(outbox: Outbox) -> None:
    for message_id, text in (("m1", "Grüße, 你好, \x00 and {braces}"), ("m2", "half of \ud83d")):
        assert await outbox.add(ANA, message_id, message_id, payload(text)) is Added.ADDED
        delivery = await claim_one(outbox)
        assert (delivery.message_id, json.loads(delivery.payload)) == (message_id, {"reconify": {}, "text": text})
        assert (delivery.attempts, delivery.failed_at) == (0, 0)


async def test_payloads_of_a_session_go_out_one_after_another_in_their_order(outbox: Outbox) -> None:
    for number in range(5):
        await add(outbox, f"m{number}")
    delivery: Delivery | None = await claim_one(outbox)
    sent = []
    while delivery:
        assert await claim(outbox) == [], "a session was leased twice: two of its payloads could go out at once"
        sent.append(delivery.message_id)
        delivery = await outbox.delivered(delivery, lease_seconds=LEASE)
    assert sent == ["m0", "m1", "m2", "m3", "m4"]
    assert await claim(outbox, now_ms=SOON) == [], "something is left after everything was delivered"


async def test_concurrent_claims_get_each_session_once(outbox: Outbox) -> None:
    sessions = {f"s{number}" for number in range(60)}
    await asyncio.gather(*(add(outbox, f"of-{session}", session=session) for session in sessions))
    claims = await asyncio.gather(*(claim(outbox, 8) for _ in range(12)))
    leased = [delivery.message_id for found in claims for delivery in found]
    leased += [delivery.message_id for delivery in await claim(outbox, 100)]
    assert sorted(leased) == sorted(f"of-{session}" for session in sessions)


async def test_what_becomes_due_during_a_claim_is_claimed(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim looks first which buckets have something due, and may find that another worker changes that."""
    await add(outbox, "m1")
    await add(outbox, "m2")
    sent_elsewhere = await claim_one(outbox)
    look = outbox._queues

    async def look_just_before() -> dict[int, float]:
        seen = await look()
        await outbox.delivered(sent_elsewhere, lease_seconds=None)
        return seen

    monkeypatch.setattr(outbox, "_queues", look_just_before)
    assert (await claim_one(outbox)).message_id == "m2", "leased, but nobody was told: it waits until the lease ends"


async def test_a_claim_can_be_of_what_this_object_knows(outbox: Outbox, state_url: str) -> None:
    """So that nobody has to look in all buckets each time a payload was added."""

    async def known(limit: int = 10) -> list[str]:
        return [delivery.message_id for delivery in await claim(outbox, limit, everywhere=False)]

    elsewhere = open_outbox(state_url)
    await add(elsewhere, "of another", session="s0")
    assert await known() == [], "a look in all buckets that nobody has asked for"
    await claim_one(outbox)

    for number in range(1, 8):
        await add(outbox, f"m{number}", session=f"s{number}")
    found = [await known(3) for _ in range(3)]
    assert [len(part) for part in found] == [3, 3, 1], "what a claim had no room for is forgotten"
    assert sorted(itertools.chain(*found)) == [f"m{number}" for number in range(1, 8)]

    await add(outbox, "turn 1", session="s8")
    await add(outbox, "turn 2", session="s8")
    [delivery] = await claim(outbox, everywhere=False)
    await outbox.delivered(delivery, lease_seconds=None)
    assert await known() == ["turn 2"], "a session that was let go is forgotten"
    await elsewhere.close()


async def test_sessions_of_the_same_name_of_two_users_and_of_nobody_are_three(outbox: Outbox) -> None:
    for owner in (ANA, BEN, None):
        await add(outbox, f"of {owner}", owner=owner, session="same")
    assert len(await claim(outbox)) == 3, "one user's payloads wait for another's"


async def test_without_a_session_nothing_waits_for_anything(outbox: Outbox) -> None:
    for number in range(3):
        await add(outbox, f"m{number}", owner=None, session="")
    assert len(await claim(outbox)) == 3, "interactions without a session wait for each other"


async def test_a_message_id_is_queued_once(outbox: Outbox) -> None:
    assert await add(outbox, "m1") is Added.ADDED
    assert await add(outbox, "m1") is Added.DUPLICATE
    assert await add(outbox, "m1", owner=BEN) is Added.ADDED, "another user's message was taken for this one"
    assert sorted(await drain(outbox)) == ["m1", "m1"]


async def test_a_lease_that_has_ended_decides_nothing(outbox: Outbox) -> None:
    await add(outbox, "m1")
    await add(outbox, "m2")
    dead_worker = await claim_one(outbox)
    heir = await claim_one(outbox, now_ms=SOON)
    assert heir.message_id == "m1", "the payload of a worker that died was skipped"

    assert await outbox.delivered(dead_worker, lease_seconds=LEASE) is None
    await outbox.bury(dead_worker, status=400, reason="", lease_seconds=None)
    await outbox.postpone(dead_worker, 0, failed_at=1, counts=True)
    status = await outbox.status()
    assert (status.queued, status.dead, status.delivered, status.retried) == (2, 0, 0, 0), (
        "a worker whose lease had ended changed the outbox"
    )
    following = await outbox.delivered(heir, lease_seconds=LEASE)
    assert following is not None
    assert following.message_id == "m2"


async def test_a_postponed_payload_keeps_its_session_waiting_and_no_other(outbox: Outbox) -> None:
    await add(outbox, "slow", session="s1")
    await add(outbox, "after slow", session="s1")
    delivery = await claim_one(outbox)
    await outbox.postpone(delivery, 3600, failed_at=123, counts=True)
    await add(outbox, "other", session="s2")

    assert (await claim_one(outbox)).message_id == "other"
    late = {delivery.message_id: delivery for delivery in await claim(outbox, now_ms=SOON)}
    assert set(late) == {"slow", "other"}, "a session was overtaken by its own later payload"
    assert (late["slow"].attempts, late["slow"].failed_at) == (1, 123)


async def test_the_failures_of_a_payload_are_not_the_next_ones(outbox: Outbox) -> None:
    await add(outbox, "m1")
    await add(outbox, "m2")
    await outbox.postpone(await claim_one(outbox), 0, failed_at=123, counts=True)
    await outbox.delivered(await claim_one(outbox), lease_seconds=None)
    following = await claim_one(outbox)
    assert (following.message_id, following.attempts, following.failed_at) == ("m2", 0, 0)


async def test_a_session_that_is_let_go_waits_behind_the_others(outbox: Outbox) -> None:
    member = keys.outbox_member(ANA, "s1")
    # Of the same bucket: between buckets, the one that waits longest comes first too, but by its first session only.
    other = next(
        name
        for name in (f"t{number}" for number in range(1000))
        if keys.outbox_bucket(keys.outbox_member(ANA, name)) == keys.outbox_bucket(member)
    )
    await outbox.add(ANA, "s1", "m1", payload("m1"), now_ms=1000)
    await outbox.add(ANA, "s1", "m2", payload("m2"), now_ms=1000)
    await outbox.add(ANA, other, "o1", payload("o1"), now_ms=2000)
    [delivery] = await claim(outbox, 1)
    assert delivery.message_id == "m1"
    assert await outbox.delivered(delivery, lease_seconds=None) is None
    [following] = await claim(outbox, 1)
    assert following.message_id == "o1", "one busy session keeps the others from their turn"


async def test_a_full_outbox_refuses_what_is_new_and_counts_it(state_url: str) -> None:
    outbox = open_outbox(state_url, max_queued=32)  # two in each of 16 buckets
    found = [await add(outbox, f"m{number}") for number in range(4)]
    assert found == [Added.ADDED, Added.ADDED, Added.FULL, Added.FULL]
    status = await outbox.status()
    assert (status.queued, status.dropped) == (2, 2)
    assert await drain(outbox) == ["m0", "m1"], "what had been accepted was dropped for something newer"
    assert await add(outbox, "m4") is Added.ADDED, "there is room again, and it is not used"
    await outbox.close()


async def test_a_bucket_holds_no_more_bytes_than_its_share(state_url: str) -> None:
    outbox = open_outbox(state_url, max_queued_mb=16)  # one megabyte in each bucket
    large = payload("x" * 600_000)
    assert await outbox.add(ANA, "s1", "m1", large) is Added.ADDED
    assert await outbox.add(ANA, "s1", "m2", large) is Added.FULL
    assert (await outbox.status()).bytes == len(large)
    await drain(outbox)
    assert (await outbox.status()).bytes == 0, "the room of delivered payloads is not given back"
    assert await outbox.add(ANA, "s1", "m3", large) is Added.ADDED
    await outbox.close()


async def test_the_oldest_dead_letter_goes_for_the_newest(state_url: str) -> None:
    outbox = open_outbox(state_url, max_queued=32)
    for number in range(3):
        await add(outbox, f"m{number}")
        await outbox.bury(await claim_one(outbox), status=400, reason="no", lease_seconds=None)
    assert [letter.message_id async for letter in outbox.dead()] == ["m1", "m2"]
    assert (await outbox.status()).dropped == 1, "a dead letter was deleted and nobody counted it"
    await outbox.close()


async def test_a_dead_letter_says_what_happened_and_does_not_stop_its_session(outbox: Outbox) -> None:
    await add(outbox, "m1")
    await add(outbox, "m2")
    following = await outbox.bury(await claim_one(outbox), status=400, reason="bad user", lease_seconds=LEASE)
    assert following is not None
    assert following.message_id == "m2"
    [letter] = [letter async for letter in outbox.dead()]
    assert (letter.session, letter.message_id, letter.status, letter.reason) == ("s1", "m1", "400", "bad user")


async def test_requeued_dead_letters_are_sent_again(outbox: Outbox) -> None:
    for number in range(120):  # more than one script moves
        await add(outbox, f"m{number}", session=f"s{number % 3}")
    while claims := await claim(outbox):
        for delivery in claims:
            await outbox.bury(delivery, status=400, reason="no", lease_seconds=None)
    assert (await outbox.status()).dead == 120

    assert await outbox.requeue_dead() == 120
    assert [letter async for letter in outbox.dead()] == []
    assert sorted(await drain(outbox)) == sorted(f"m{number}" for number in range(120))
    status = await outbox.status()
    assert (status.queued, status.bytes, status.dead) == (0, 0, 0)


async def test_dropped_dead_letters_are_gone(outbox: Outbox) -> None:
    await add(outbox, "m1")
    await outbox.bury(await claim_one(outbox), status=400, reason="no", lease_seconds=None)
    assert await outbox.drop_dead() == 1
    assert await outbox.requeue_dead() == 0
    assert await drain(outbox) == []


async def test_purging_a_user_leaves_nothing_of_theirs_and_all_of_others(
    outbox: Outbox, everything: Everything
) -> None:
    for number in range(60):
        for owner in (ANA, BEN, None):
            await add(outbox, f"{number} of {owner}", owner=owner, session=f"s{number % 20}")
    buried = {delivery.member: delivery for delivery in await claim(outbox, 100)}
    for delivery in buried.values():
        await outbox.bury(delivery, status=400, reason="no", lease_seconds=None)
    in_flight = next(delivery for delivery in await claim(outbox, 100) if delivery.member.startswith(ANA.key))

    assert await outbox.purge(ANA) == 60

    assert await outbox.delivered(in_flight, lease_seconds=LEASE) is None, "a purged session goes on"
    status = await outbox.status()
    assert (status.queued, status.dead) == (80, 40), "payloads of others were deleted, or the counts are wrong"
    remaining = [key for key in everything.scan_iter("*") if ANA.key in key and ":added:" not in key]
    assert remaining == [], "something of a purged user is still in Redis"
    for bucket in range(keys.BUCKETS):
        for _, letter in everything.xrange(keys.outbox(bucket, "dead")):
            assert ANA.key not in letter["member"], "a dead letter of a purged user is still there"


async def test_the_status_counts_what_there_is(outbox: Outbox) -> None:
    empty = await outbox.status()
    assert (empty.queued, empty.oldest_ms) == (0, -1)
    await outbox.add(ANA, "s1", "m1", payload("m1"), now_ms=1_000_000)
    await outbox.add(ANA, "s1", "m2", payload("m2"), now_ms=1_500_000)
    await outbox.add(ANA, "s2", "m3", payload("m3"), now_ms=1_200_000)
    await claim(outbox, 1)
    status = await outbox.status(now_ms=1_600_000)
    assert (status.queued, status.in_flight, status.added, status.oldest_ms) == (3, 1, 3, 600_000)


async def test_nothing_is_left_in_redis_of_what_was_delivered(outbox: Outbox, everything: Everything) -> None:
    for number in range(40):
        await add(outbox, f"m{number}", session=f"s{number % 7}")
    await drain(outbox)
    kinds = {key.split(":")[3] for key in everything.scan_iter("*")}
    assert kinds == {"totals", "added"}, f"delivered payloads leave keys of these kinds behind: {kinds}"
