"""The outbox in Redis: order, leases, room, dead letters, purging. On one server and on a cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.outbox import MEMORY_SHARE, Outbox
from recallr_litellm.delivery.records import Added, Delivery
from recallr_litellm.errors import StateRefused
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
    return Outbox(
        connect(url, timeout_seconds=60), keys.RECONIFY, ReconifySettings(**settings).limits, timeout_seconds=60
    )


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


async def bury(outbox: Outbox, delivery: Delivery, reason: str = "no", lease_seconds: float | None = None) -> Any:
    return await outbox.bury(delivery, status=400, reason=reason, lease_seconds=lease_seconds)


async def test_what_was_added_comes_out_unchanged(outbox: Outbox) -> None:
    for message_id, text in (("m1", "Grüße, 你好, \x00 and {braces}"), ("m2", "half of \ud83d")):
        assert await outbox.add(ANA, message_id, message_id, payload(text)) is Added.ADDED
        delivery = await claim_one(outbox)
        assert (delivery.message_id, json.loads(delivery.payload)) == (message_id, {"reconify": {}, "text": text})
        assert delivery.attempts == 1


async def test_payloads_of_a_session_go_out_one_after_another_in_their_order(
    outbox: Outbox, everything: Everything
) -> None:
    for number in range(5):
        await add(outbox, f"m{number}")
    delivery: Delivery | None = await claim_one(outbox)
    sent = []
    while delivery:
        assert await claim(outbox) == [], "a session was leased twice: two of its payloads could go out at once"
        sent.append((delivery.message_id, delivery.attempts))
        delivery = await outbox.delivered(delivery, lease_seconds=LEASE)
    assert sent == [(f"m{number}", 1) for number in range(5)]
    assert await claim(outbox, now_ms=SOON) == [], "something is left after everything was delivered"
    kinds = {key.split(":")[3] for key in everything.scan_iter("*outbox*")}
    assert kinds == {"totals", "added"}, f"delivered payloads leave keys of these kinds behind: {kinds}"


async def test_sessions_of_the_same_name_of_two_users_and_of_nobody_are_three(outbox: Outbox) -> None:
    for owner in (ANA, BEN, None):
        await add(outbox, f"of {owner}", owner=owner, session="same")
    for number in range(3):
        await add(outbox, f"m{number}", owner=None, session="")
    assert len(await claim(outbox)) == 6, "payloads of others, or without a session, wait for each other"


async def test_a_session_whose_payloads_were_deleted_by_hand_is_leased_no_more(
    outbox: Outbox, everything: Everything
) -> None:
    await add(outbox, "m1")
    member = keys.outbox_member(ANA, "s1")
    everything.delete(keys.RECONIFY.queues(keys.outbox_bucket(member)) + member)
    assert await claim(outbox) == []
    assert await outbox.depth(now_ms=SOON) == {"due": 0, "waiting": 0, "failed": 0}, "it is leased again and again"
    assert await add(outbox, "m2") is Added.ADDED
    assert await drain(outbox) == ["m2"]


@pytest.mark.parametrize("damaged", ["queue", "state", "totals"])
async def test_what_could_not_be_added_for_a_damaged_key_is_added_once_it_is_repaired(
    outbox: Outbox, everything: Everything, damaged: str
) -> None:
    await add(outbox, "m1")
    member = keys.outbox_member(ANA, "s1")
    bucket = keys.outbox_bucket(member)
    name = {
        "queue": keys.RECONIFY.queues(bucket) + member,
        "state": keys.RECONIFY.states(bucket) + member,
        "totals": keys.RECONIFY.of(bucket, "totals"),
    }[damaged]
    everything.rename(name, f"{name} as it was")
    everything.set(name, "of another type")
    with pytest.raises(StateRefused):
        await add(outbox, "m2")
    everything.rename(f"{name} as it was", name)
    assert (await outbox.status()).queued == 1, "an entry is counted that is not there, or is there uncounted"
    assert await add(outbox, "m2") is Added.ADDED
    assert await drain(outbox) == ["m1", "m2"]


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
    assert (heir.message_id, heir.attempts) == ("m1", 2), "the payload of a worker that died was skipped"

    assert await outbox.delivered(dead_worker, lease_seconds=LEASE) is None
    await bury(outbox, dead_worker)
    await outbox.postpone(dead_worker, 0, "no answer", counts=True)
    status = await outbox.status()
    assert (status.queued, status.dead, status.delivered) == (2, 0, 0), "a worker whose lease had ended did something"
    following = await outbox.delivered(heir, lease_seconds=LEASE)
    assert following is not None
    assert following.message_id == "m2"


async def test_a_postponed_payload_keeps_its_session_waiting_and_no_other(outbox: Outbox) -> None:
    await add(outbox, "slow", session="s1")
    await add(outbox, "after slow", session="s1")
    await outbox.postpone(await claim_one(outbox), 3600, "no answer", counts=True)
    await add(outbox, "other", session="s2")

    assert (await claim_one(outbox)).message_id == "other"
    late = {delivery.message_id: delivery for delivery in await claim(outbox, now_ms=SOON)}
    assert set(late) == {"slow", "other"}, "a session was overtaken by its own later payload"
    assert late["slow"].attempts == 2
    await outbox.delivered(late["slow"], lease_seconds=None)
    following = await claim_one(outbox)
    assert (following.message_id, following.attempts) == ("after slow", 1), "failures of one payload count for the next"


async def test_a_full_outbox_refuses_what_is_new_and_counts_it(state_url: str) -> None:
    outbox = open_outbox(state_url, max_queued=32)  # two in each of 16 buckets
    found = [await add(outbox, f"m{number}") for number in range(4)]
    assert found == [Added.ADDED, Added.ADDED, Added.FULL, Added.FULL]
    status = await outbox.status()
    assert (status.queued, status.dropped) == (2, 2)
    assert await drain(outbox) == ["m0", "m1"], "what had been accepted was dropped for something newer"
    assert await add(outbox, "m4") is Added.ADDED, "there is room again, and it is not used"
    await outbox.close()


@pytest.mark.parametrize("bound_by", ["settings", "maxmemory"])
async def test_a_bucket_holds_no_more_bytes_than_its_share(
    state_url: str, request: pytest.FixtureRequest, bound_by: str
) -> None:
    megabyte = 1024 * 1024
    if bound_by == "maxmemory":
        set_max_memory(request, state_url, 16 * megabyte * MEMORY_SHARE)
    outbox = open_outbox(state_url, max_queued_mb=16 if bound_by == "settings" else 512)  # a megabyte in each bucket
    large = payload("x" * 600_000)
    assert await outbox.add(ANA, "s1", "m1", large) is Added.ADDED
    assert await outbox.add(ANA, "s1", "m2", large) is Added.FULL, "analytics take the memory that sessions need"
    assert (await outbox.status()).bytes == len(large)
    await bury(outbox, await claim_one(outbox))
    assert await outbox.add(ANA, "s1", "m3", large) is Added.ADDED, "the room of what was settled is not given back"
    await bury(outbox, await claim_one(outbox))
    assert [letter.message_id async for letter in outbox.dead()] == ["m3"], "dead letters are not bounded"
    await outbox.close()


def set_max_memory(request: pytest.FixtureRequest, state_url: str, most: int) -> None:
    """Until the end of the test, of each server behind the URL."""
    addresses = state_url.removeprefix("redis+cluster://").split(",") if "+cluster" in state_url else [state_url]
    for address in addresses:
        client = redis.Redis.from_url(address if "://" in address else f"redis://{address}")
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", most)
        request.addfinalizer(client.close)
        request.addfinalizer(lambda client=client, before=before: client.config_set("maxmemory", before))


async def test_dead_letters_are_sent_again_or_dropped(outbox: Outbox) -> None:
    async def let_all_die() -> None:
        while claims := await claim(outbox):
            for delivery in claims:
                await bury(outbox, delivery)

    for number in range(120):  # more than one script moves
        await add(outbox, f"m{number}", session=f"s{number % 3}")
    await let_all_die()
    assert await outbox.requeue_dead() == 120
    assert [letter async for letter in outbox.dead()] == []
    assert (await outbox.status()).queued == 120
    await let_all_die()
    assert await outbox.drop_dead() == 120
    assert await outbox.requeue_dead() == 0
    status = await outbox.status()
    assert (status.queued, status.bytes, status.dead) == (0, 0, 0)


async def test_purging_a_user_leaves_nothing_of_theirs_and_all_of_others(
    outbox: Outbox, everything: Everything
) -> None:
    for number in range(60):
        for owner in (ANA, BEN, None):
            await add(outbox, f"{number} of {owner}", owner=owner, session=f"s{number % 20}")
    await add(outbox, "set aside", session="broken")
    member = keys.outbox_member(ANA, "broken")
    state = keys.RECONIFY.states(keys.outbox_bucket(member)) + member
    everything.delete(state)
    everything.set(state, "of another type")
    for delivery in await claim(outbox, 100):
        await bury(outbox, delivery)
    in_flight = next(delivery for delivery in await claim(outbox, 100) if delivery.member.startswith(ANA.key))

    assert await outbox.purge(ANA) == 61

    assert await outbox.delivered(in_flight, lease_seconds=LEASE) is None, "a purged session goes on"
    status = await outbox.status()
    assert (status.queued, status.dead) == (80, 40), "payloads of others were deleted, or the counts are wrong"
    remaining = [key for key in everything.scan_iter("*") if ANA.key in key and ":added:" not in key]
    assert remaining == [], "something of a purged user is still in Redis"
    for bucket in range(keys.BUCKETS):
        for _, letter in everything.xrange(keys.RECONIFY.of(bucket, "dead")):
            assert ANA.key not in letter["member"], "a dead letter of a purged user is still there"


async def test_purging_a_session_leaves_one_whose_id_begins_alike(outbox: Outbox) -> None:
    for session in ("s1", "s10", "s2"):
        await add(outbox, f"of {session}", session=session)
    assert await outbox.purge(ANA, "s") == 0
    assert await outbox.purge(ANA, "s1") == 1
    assert {delivery.message_id for delivery in await claim(outbox)} == {"of s10", "of s2"}


async def test_what_an_earlier_version_has_queued_is_sent(outbox: Outbox, everything: Everything) -> None:
    """Its keys, as they were: a failure that counted, and a lease of a worker that is gone."""
    member = keys.outbox_member(ANA, "s1")
    bucket = keys.outbox_bucket(member)
    everything.xadd(keys.RECONIFY.queues(bucket) + member, {"message": "m1", "payload": payload("m1")})
    state = {"bytes": len(payload("m1")), "attempts": 1, "failed_at": 1_790_000_000_000, "lease": "gone"}
    everything.hset(keys.RECONIFY.states(bucket) + member, mapping=state)
    for name in ("due", "oldest", "leased"):
        everything.zadd(f"{{recallr:{bucket}}}:outbox:{name}", {member: 1})
    everything.hset(keys.RECONIFY.of(bucket, "totals"), mapping={"queued": 1, "bytes": len(payload("m1")), "added": 1})
    delivery = await claim_one(outbox)
    assert (delivery.message_id, delivery.attempts) == ("m1", 2)
    assert await outbox.delivered(delivery, lease_seconds=None) is None
    assert (await outbox.status()).bytes == 0
