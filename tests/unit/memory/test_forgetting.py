"""What is forgotten is gone from both stores, and nothing that is under way brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recallr_litellm.api.mcp.tools import Caller, DeleteArguments, delete
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import Memory, Session
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import Limits
from recallr_litellm.errors import SessionNotFound, UserForgotten, UserNotFound, VectorsUnavailable
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.request_headers import RecallrHeaders
from recallr_litellm.services import Services
from recallr_litellm.services.forgetting import Forgetting, Forgotten
from recallr_litellm.services.retention import Retention
from recallr_litellm.services.sessions import SessionService
from recallr_litellm.stores.embedding.passages import embed_passages
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.vectors import schema
from tests.unit.memory.conftest import ANA, Plugin
from tests.unit.stores.state_kit import kept_blocks

BEN = Owner("acme", "ben")
SECRET = "My locker number is 4711."
LIMITS = Limits(max_queued=1600, max_queued_mb=16, max_attempts=1, timeout_seconds=1.0, max_pause_seconds=1.0)
DAY = 24 * 60 * 60 * 1000


def forgetting_of(plugin: Plugin, *, lease_seconds: float = 60.0, **options: Any) -> Forgetting:
    return Forgetting(
        Knowing(plugin.state, plugin.vectors, plugin.embedder, plugin.sparse),
        plugin.state_breaker,
        timeout_seconds=60,
        interval=0.02,
        lease_seconds=lease_seconds,
        **options,
    )


@pytest.fixture
def forgetting(plugin: Plugin) -> Forgetting:
    return forgetting_of(plugin)


async def say(plugin: Plugin, owner: Owner, *texts: str, **changes: Any) -> str:
    """A session in which this was said. Returns its id."""
    request = plugin.request(owner, **changes)
    session = await plugin.sessions.open(request)
    exchange = await plugin.exchange(f"{session.id} {texts}", *texts, session=session)
    assert await plugin.capture.store_or_hold(replace(exchange, request=request), within=60)
    return session.id


async def process(plugin: Plugin) -> None:
    """Process every session now."""
    claims = await plugin.state.claim(16, lease_seconds=60, now_ms=2**45)
    if claims:
        await plugin.processor().process(claims)


async def remember(plugin: Plugin, owner: Owner, session: str) -> None:
    """A memory that came from a session."""
    [passage] = await embed_passages(plugin.embedder, plugin.sparse, [SECRET])
    assert passage is not None
    memory = Memory(id=session, content=SECRET, created_at=1, session=session)
    await plugin.vectors.save_memories(owner, [(memory, passage)])


async def names_of(plugin: Plugin, owner: Owner) -> list[str]:
    """Of the keys in Redis that have to do with somebody."""
    found = [name async for name in plugin.state._client.scan_iter(match=f"*{owner.key}*")]
    return sorted(name for name in found if name.split(":")[2] not in {"gone", "forgotten", "forgetting"})


async def held_by_qdrant(plugin: Plugin, owner: Owner) -> list[str]:
    """Kinds of points that there are of somebody, whatever their number."""
    page, after = await plugin.vectors._engine.scroll(None, 1000, fields=[schema.SCOPE])
    assert after is None
    return sorted(
        str(point.payload[schema.SCOPE]) for point in page if owner.key in str(point.payload.get(schema.SCOPE))
    )


async def nothing_is_left(plugin: Plugin, owner: Owner) -> None:
    assert await names_of(plugin, owner) == []
    assert await held_by_qdrant(plugin, owner) == []


async def finished(forgetting: Forgetting, plugin: Plugin) -> None:
    """Run until no job is left."""
    running = asyncio.create_task(forgetting.run())
    try:
        async with asyncio.timeout(60):
            while any([await plugin.state._client.zcard(keys.FORGETTING_QUEUE.due(n)) for n in range(keys.BUCKETS)]):
                await asyncio.sleep(0.02)
    finally:
        running.cancel()


async def test_a_forgotten_user_is_gone_with_all_that_it_had_and_nobody_else(
    plugin: Plugin, forgetting: Forgetting
) -> None:
    for owner in (ANA, BEN):
        processed = await say(plugin, owner, SECRET, "And a second thing.")
        await process(plugin)
        await remember(plugin, owner, processed)
        outbox = Outbox(plugin.state.link, keys.RECONIFY, LIMITS, timeout_seconds=60)
        await outbox.add(owner, processed, f"message {owner.user}", b"{}")
    for owner in (ANA, BEN):
        await say(plugin, owner, "It is still going on.")
    there = await held_by_qdrant(plugin, BEN), await names_of(plugin, BEN)

    assert await forgetting.forget_user(ANA) == Forgotten(
        open_sessions=1, processed_sessions=1, messages=5, memories=1, payloads=1
    )
    await nothing_is_left(plugin, ANA)
    assert (await held_by_qdrant(plugin, BEN), await names_of(plugin, BEN)) == there, "another user lost something"
    assert await plugin.sessions.users.find(Project("acme"), "ana") is None
    with pytest.raises(UserNotFound):
        await plugin.sessions.open(plugin.request(ANA, allow_new_user=False))


async def test_who_comes_back_under_the_name_is_somebody_new(plugin: Plugin, forgetting: Forgetting) -> None:
    await say(plugin, ANA, SECRET)
    await forgetting.forget_user(ANA)
    session = await plugin.sessions.open(plugin.request(ANA))
    assert session.owner.key != ANA.key
    assert session.entries == ()
    assert await plugin.sessions.users.find(Project("acme"), "ana") == session.owner


async def test_an_exchange_in_flight_or_held_does_not_bring_the_user_back(
    plugin: Plugin, forgetting: Forgetting
) -> None:
    opened = await plugin.exchange("in flight", SECRET)
    unopened = replace(opened, id="held", session=None)
    plugin.capture.hold(replace(opened, id="held with its session"))
    plugin.capture.hold(unopened)
    await forgetting.forget_user(ANA)
    assert not await plugin.capture.store_or_hold(opened, within=60)
    assert not await plugin.capture.store_or_hold(replace(unopened, id="later"), within=60)
    await plugin.capture.flush()
    assert plugin.capture.held == 0, "an exchange of a forgotten user is held for ever"
    await nothing_is_left(plugin, ANA)
    assert await plugin.sessions.users.find(Project("acme"), "ana") is None


async def test_what_was_held_is_not_given_to_who_has_the_name_now(plugin: Plugin, forgetting: Forgetting) -> None:
    exchange = replace(await plugin.exchange("held", SECRET), session=None)
    await forgetting.forget_user(ANA)
    session = await plugin.sessions.open(plugin.request(ANA, at=exchange.request.at + 60_000))
    assert not await plugin.capture.store_or_hold(exchange, within=60)
    assert await plugin.texts(session.id, session.owner) == []


@pytest.mark.parametrize("of", ["user", "session"])
async def test_a_job_under_way_deletes_what_it_writes(
    plugin: Plugin, forgetting: Forgetting, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    session = await say(plugin, ANA, SECRET)
    save = plugin.vectors.save_session

    async def save_when_forgotten(*arguments: Any) -> None:
        await (forgetting.forget_user(ANA) if of == "user" else forgetting.forget_session(ANA, session))
        await save(*arguments)

    monkeypatch.setattr(plugin.vectors, "save_session", save_when_forgotten)
    told: list[str] = []

    async def tell(owner: Owner, session_id: str, at: int) -> None:
        told.append(session_id)

    claims = await plugin.state.claim(16, lease_seconds=60, now_ms=2**45)
    await plugin.processor(on_processed=tell).process(claims)
    if of == "user":
        await nothing_is_left(plugin, ANA)
    else:
        assert all("/user" in scope for scope in await held_by_qdrant(plugin, ANA))
    assert told == [], "a session that was forgotten is said to be processed"


@pytest.mark.parametrize("after", ["begin", "delete_user", "delete_all_of"])
async def test_a_deletion_that_dies_on_its_way_is_finished_by_somebody_else(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    await say(plugin, ANA, SECRET)
    await process(plugin)
    await say(plugin, ANA, "And more.")
    dying = forgetting_of(plugin, lease_seconds=0.2)

    def dies(method: Callable[..., Any]) -> Callable[..., Any]:
        async def die(*arguments: Any, **options: Any) -> Any:
            await method(*arguments, **options)
            raise asyncio.CancelledError

        return die

    target = dying._queue if after == "begin" else plugin.vectors
    with monkeypatch.context() as patch:
        patch.setattr(target, after, dies(getattr(target, after)))
        with pytest.raises(asyncio.CancelledError):
            await dying.forget_user(ANA)
    await finished(forgetting_of(plugin, lease_seconds=0.2), plugin)
    await nothing_is_left(plugin, ANA)


async def test_a_deletion_is_repeated_until_the_store_answers(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    await say(plugin, ANA, SECRET)
    await process(plugin)

    async def unreachable(*_: Any) -> None:
        raise VectorsUnavailable("Qdrant is away")

    with monkeypatch.context() as patch:
        patch.setattr(plugin.vectors, "delete_all_of", unreachable)
        with pytest.raises(VectorsUnavailable):
            await forgetting_of(plugin, lease_seconds=0.2).forget_user(ANA)
    await finished(forgetting_of(plugin, lease_seconds=0.2), plugin)
    await nothing_is_left(plugin, ANA)


async def test_what_a_worker_wrote_before_it_died_is_found_later(plugin: Plugin) -> None:
    """It was at work on a session when the user was forgotten, and came not so far as to look."""
    await say(plugin, ANA, SECRET)
    forgetting = forgetting_of(plugin, lease_seconds=0.2)
    await forgetting.forget_user(ANA)
    session = Session(id="f" * 32, created_at=1, last_at=1, timeout_seconds=600, message_count=0)
    await plugin.vectors.save_session(ANA, session, [], None)
    await finished(forgetting, plugin)
    await nothing_is_left(plugin, ANA)


async def test_two_deletions_at_once(plugin: Plugin) -> None:
    await say(plugin, ANA, SECRET)
    await process(plugin)
    told: list[Owner] = []

    async def tell(owner: Owner) -> None:
        told.append(owner)

    both = [forgetting_of(plugin, lease_seconds=0.2, on_user_forgotten=tell) for _ in range(2)]
    counts = await asyncio.gather(*(one.forget_user(ANA) for one in both))
    assert any(one.processed_sessions == 1 for one in counts)
    await nothing_is_left(plugin, ANA)
    await finished(both[0], plugin)
    await nothing_is_left(plugin, ANA)
    assert set(told) == {ANA}


async def test_a_forgotten_session_is_gone_and_the_others_stay(plugin: Plugin, forgetting: Forgetting) -> None:
    first = await say(plugin, ANA, SECRET)
    await process(plugin)
    await remember(plugin, ANA, first)
    second = await say(plugin, ANA, "My cat is called Felix.")
    running = await plugin.exchange("in flight", "It is grey.")
    assert await forgetting.forget_session(ANA, first) == Forgotten(processed_sessions=1, messages=2, memories=1)
    assert await plugin.vectors.read_messages(ANA, first) == []
    with pytest.raises(SessionNotFound):
        await plugin.sessions.open(plugin.request(session_id=first))
    assert "My cat is called Felix." in await plugin.texts(second)

    assert await forgetting.forget_session(ANA, second) == Forgotten(open_sessions=1, messages=2)
    assert not await plugin.capture.store_or_hold(running, within=60), "an exchange in flight brought the session back"
    assert await plugin.texts(second) == []
    assert (await plugin.sessions.open(plugin.request())).id not in {first, second}


async def test_a_tool_forgets_whole_sessions_that_are_there_and_marks_no_others(
    plugin: Plugin, forgetting: Forgetting
) -> None:
    id = await say(plugin, ANA, SECRET)
    before = [name async for name in plugin.state._client.scan_iter("*")]
    sessions = SessionService(plugin.state, plugin.vectors, min_timeout_seconds=600)
    services = cast(Services, SimpleNamespace(sessions=sessions, forgetting=forgetting))
    caller = Caller(ANA, RecallrHeaders())
    for unknown in (id[:1], id + "0", "nothing"):
        with pytest.raises(SessionNotFound):
            await delete(services, caller, DeleteArguments(session_id=unknown))
    assert sorted([name async for name in plugin.state._client.scan_iter("*")]) == sorted(before)
    assert (await delete(services, caller, DeleteArguments(session_id=id))).messages == 2


async def test_blocks_of_open_sessions_that_quote_a_forgotten_session_are_gone(
    plugin: Plugin, forgetting: Forgetting
) -> None:
    first = await say(plugin, ANA, SECRET)
    await process(plugin)
    second = await say(plugin, ANA, "What is my locker number?")
    others = (await plugin.sessions.open(plugin.request(BEN))).id
    block = LaidBlock("r", "e", "turn", SECRET)
    for owner, session in ((ANA, second), (BEN, others)):
        await plugin.state.lay_block(owner, session, block, most_bytes=1_000)
    await forgetting.forget_session(ANA, first)
    assert await kept_blocks(plugin.state, ANA, second) == (), "the chat still quotes the forgotten session"
    assert await kept_blocks(plugin.state, BEN, others) == (block,)
    assert "What is my locker number?" in await plugin.texts(second)


async def test_a_former_name_is_forgotten_with_its_user_and_not_with_another(
    plugin: Plugin, forgetting: Forgetting
) -> None:
    directory = plugin.sessions.users
    held = replace(await plugin.exchange("held", SECRET), session=None)
    await asyncio.sleep(0.01)
    await directory.change(ANA, name="anna")
    other = await plugin.sessions.open(plugin.request(ANA))
    assert other.owner.key != ANA.key
    await forgetting.forget_user(Owner("acme", "anna", ANA.key))
    with pytest.raises(UserForgotten):
        await plugin.sessions.open(held.request, replay=True)
    again = await plugin.sessions.open(plugin.request(Owner("acme", "ana")), replay=True)
    assert again.owner.key == other.owner.key, "who has the name now lost it with who had it before"


async def test_sessions_are_deleted_when_their_projects_days_are_over(plugin: Plugin, forgetting: Forgetting) -> None:
    old = await say(plugin, ANA, SECRET)
    await process(plugin)
    await remember(plugin, ANA, old)
    stored = await plugin.vectors.get_session(ANA, old)
    assert stored is not None
    beside = Session(id="b" * 32, created_at=1, last_at=stored.last_at + DAY, timeout_seconds=600, message_count=0)
    await plugin.vectors.save_session(ANA, beside, [], None)

    retention = Retention(plugin.state, plugin.vectors, forgetting, lambda: {"acme": 10, "other": 1}, interval=60)
    assert await retention.sweep(now_ms=stored.last_at + 10 * DAY - 1) == 0
    await plugin.sessions.reopen(ANA, old)
    assert await retention.sweep(now_ms=stored.last_at + 10 * DAY) == 0, "a session that is in use was deleted"
    await process(plugin)
    again = await plugin.vectors.get_session(ANA, old)
    assert again is not None
    assert again.last_at > stored.last_at
    assert await retention.sweep(now_ms=again.last_at + 10 * DAY) == 1
    assert await plugin.vectors.get_session(ANA, old) is None
    assert await plugin.vectors.get_memories(ANA, [old]) == []
    assert await plugin.vectors.get_session(ANA, beside.id) is not None


async def test_a_request_while_its_user_is_half_forgotten_is_of_somebody_new(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is left, but the record of the user is still there, for who began to delete it has died."""
    await say(plugin, ANA, SECRET)
    forgetting = forgetting_of(plugin, lease_seconds=0.2)

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "_work", dies)
        with pytest.raises(asyncio.CancelledError):
            await forgetting.forget_user(ANA)
    await asyncio.sleep(0.01)
    with pytest.raises(UserNotFound):
        await plugin.sessions.open(plugin.request(ANA, allow_new_user=False))
    session = await plugin.sessions.open(plugin.request(ANA))
    assert session.owner.key != ANA.key
    await finished(forgetting, plugin)
    await nothing_is_left(plugin, ANA)
    assert await plugin.sessions.users.find(Project("acme"), "ana") == session.owner, "somebody else was deleted too"
