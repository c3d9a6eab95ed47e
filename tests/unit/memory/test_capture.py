"""Storing exchanges: once each, whatever happens in between; held while Redis is away; counted when lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis

from recallr_litellm.core import bounds
from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.core.owner import Owner
from recallr_litellm.memory import capture
from recallr_litellm.memory.capture import Capture, beginning_of
from recallr_litellm.metrics import EXCHANGES
from recallr_litellm.stores.state import keys
from tests.unit.memory.conftest import ANA, Plugin

BEN = Owner("acme", "ben")


def counted(outcome: str) -> float:
    return EXCHANGES.labels(outcome)._value.get()


async def test_storing_twice_stores_once(plugin: Plugin) -> None:
    exchange = await plugin.exchange("x1", "hello", reply="hi")
    assert exchange.session is not None
    for _ in range(3):
        assert await plugin.capture.store_or_hold(exchange, within=60)
    assert await plugin.texts(exchange.session.id) == ["hello", "hi"]


async def test_the_whole_answer_takes_the_place_of_its_beginning(plugin: Plugin) -> None:
    whole = await plugin.exchange("x1", "tell me", reply="Once upon a time.")
    assert whole.session is not None
    begun = beginning_of(replace(whole, replies=(Message(role="assistant", text="Once"),)))
    assert await plugin.capture.store_or_hold(begun, within=60)
    assert await plugin.texts(whole.session.id) == ["tell me", "Once"]
    assert await plugin.capture.store_or_hold(whole, within=60)
    assert await plugin.texts(whole.session.id) == ["tell me", "Once upon a time."]
    assert await plugin.capture.store_or_hold(begun, within=60), "a late beginning is not an error"
    assert await plugin.texts(whole.session.id) == ["tell me", "Once upon a time."], "and changes nothing"


async def test_an_answer_that_goes_on_after_its_end_is_stored_whole_and_counted_once(plugin: Plugin) -> None:
    whole = await plugin.exchange("x1", "tell me", reply="Once upon a time.")
    assert whole.session is not None
    before = counted("stored")
    assert await plugin.capture.store_or_hold(whole, within=60)
    longer = replace(whole, replies=(Message(role="assistant", text="Once upon a time. The end."),), amends=True)
    assert await plugin.capture.store_or_hold(longer, within=60)
    assert await plugin.capture.store_or_hold(whole, within=60), "what comes late"
    assert await plugin.texts(whole.session.id) == ["tell me", "Once upon a time. The end."]
    assert counted("stored") - before == 1


async def test_concurrent_exchanges_of_one_session_are_all_stored(plugin: Plugin) -> None:
    session = await plugin.sessions.open(plugin.request())
    exchanges = [
        await plugin.exchange(f"x{n}", f"question {n}", reply=f"answer {n}", session=session) for n in range(20)
    ]
    stored = await asyncio.gather(*(plugin.capture.store_or_hold(exchange, within=60) for exchange in exchanges))
    assert all(stored)
    texts = await plugin.texts(session.id)
    assert sorted(texts) == sorted(text for n in range(20) for text in (f"question {n}", f"answer {n}"))


async def test_a_session_that_was_processed_meanwhile_is_reopened(plugin: Plugin) -> None:
    first = await plugin.exchange("x1", "my cat is Felix", reply="nice")
    assert first.session is not None
    await plugin.capture.store_or_hold(first, within=60)
    session = await plugin.sessions.open(plugin.request())
    [claim] = await plugin.state.claim(1, lease_seconds=60, now_ms=first.request.at + 700_000)
    await plugin.processor().process([claim])
    assert await plugin.state.load(first.request.owner, session.id) is None, "it is processed"
    late = await plugin.exchange("x2", "and my dog is Rex", reply="good", session=session)
    assert await plugin.capture.store_or_hold(late, within=60)
    assert await plugin.texts(session.id) == ["my cat is Felix", "nice", "and my dog is Rex", "good"]


async def test_what_a_client_put_around_a_message_goes_once_it_sends_the_message_alone(plugin: Plugin) -> None:
    context = "### Context\n" + "The contract runs for two years.\n" * 2000
    first = await plugin.exchange("x1", f"{context}\nWhat is the notice period?", reply="Three months.")
    assert first.session is not None
    await plugin.capture.store_or_hold(first, within=60)
    history = [Message(role="user", text="What is the notice period?"), Message(role="assistant", text="Three months.")]
    second = await plugin.exchange("x2", f"{context}\nAnd for part-timers?", reply="Two.")
    second = replace(second, incoming=(*history, *second.incoming))
    assert await plugin.capture.store_or_hold(beginning_of(second), within=60)
    assert (await plugin.texts(first.session.id))[0].startswith(context), "the beginning of an answer changes nothing"
    assert await plugin.capture.store_or_hold(second, within=60)
    texts = await plugin.texts(first.session.id)
    assert texts == ["What is the notice period?", "Three months.", f"{context}\nAnd for part-timers?", "Two."]


async def test_while_redis_is_away_exchanges_are_held_and_stored_in_order_when_it_is_back(
    plugin: Plugin, caplog: pytest.LogCaptureFixture
) -> None:
    session = await plugin.sessions.open(plugin.request())
    exchanges = [await plugin.exchange(f"x{n}", f"q{n}", reply=f"a{n}", session=session) for n in range(3)]
    plugin.valkey.stop()
    for exchange in exchanges:
        assert not await plugin.capture.store_or_hold(exchange, within=60)
    assert plugin.capture.held == 3
    assert sum("held in memory" in record.getMessage() for record in caplog.records) == 1, "once per outage is enough"
    assert not plugin.state_breaker.allows_requests, "the first failure stops requests to Redis"
    await asyncio.to_thread(plugin.valkey.start)
    assert await plugin.state_breaker.probe()
    await plugin.capture.flush()
    assert plugin.capture.held == 0
    assert await plugin.texts(session.id) == ["q0", "a0", "q1", "a1", "q2", "a2"]


async def test_an_exchange_whose_session_could_not_be_opened_finds_it_later(plugin: Plugin) -> None:
    known = await plugin.exchange("x1", "hello", reply="hi")
    assert known.session is not None
    await plugin.capture.store_or_hold(known, within=60)
    plugin.capture.hold(replace(await plugin.exchange("x2", "more", reply="yes"), session=None))
    await plugin.capture.flush()
    assert await plugin.texts(known.session.id) == ["hello", "hi", "more", "yes"]


async def test_past_its_capacity_the_oldest_is_dropped_and_counted(plugin: Plugin) -> None:
    before = counted("dropped")
    exchanges = [await plugin.exchange(f"x{n}", f"q{n}") for n in range(5)]
    for exchange in exchanges:
        plugin.capture.hold(exchange)
    assert plugin.capture.held == 3
    assert counted("dropped") - before == 2
    await plugin.capture.flush()
    assert exchanges[0].session is not None
    texts = await plugin.texts(exchanges[0].session.id)
    assert [text for text in texts if text != "ok"] == ["q2", "q3", "q4"], "the newest are kept"


async def test_a_cancelled_write_is_held(plugin: Plugin) -> None:
    exchange = await plugin.exchange("x1", "hello", reply="hi")
    assert exchange.session is not None
    task = asyncio.create_task(plugin.capture.store_or_hold(exchange, within=60))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await plugin.capture.flush()
    assert await plugin.texts(exchange.session.id) == ["hello", "hi"], "whether it was written or not, it is there once"


async def test_an_exchange_held_elsewhere_is_not_doubled_by_the_next_one_that_came_before_it(plugin: Plugin) -> None:
    first = await plugin.exchange("x0", "u0", reply="a0")
    assert first.session is not None
    await plugin.capture.store_or_hold(first, within=60)
    history = (Message(role="user", text="u0"), Message(role="assistant", text="a0"))
    u1, a1 = Message(role="user", text="u1"), Message(role="assistant", text="a1")
    held = replace(await plugin.exchange("x1", reply="a1"), incoming=(*history, u1))
    other_worker = Capture(plugin.state, plugin.sessions, plugin.state_breaker, capacity=3)
    other_worker.hold(held)
    later = replace(
        await plugin.exchange("x2", reply="a2"), incoming=(*history, u1, a1, Message(role="user", text="u2"))
    )
    assert await plugin.capture.store_or_hold(later, within=60)
    await other_worker.flush()
    assert await plugin.texts(first.session.id) == ["u0", "a0", "u1", "a1", "u2", "a2"]


async def test_a_damaged_session_costs_no_other_user_anything_and_nothing_once_it_is_repaired(plugin: Plugin) -> None:
    before = counted("dropped")
    damaged = await plugin.exchange("x1", "mine")
    assert damaged.session is not None
    other = replace(damaged, id="x2", request=plugin.request(BEN), session=None)
    with redis.Redis.from_url(plugin.url) as client:
        client.rename(keys.session(ANA, damaged.session.id), "kept")
        client.set(keys.session(ANA, damaged.session.id), "garbage")

        assert not await plugin.capture.store_or_hold(damaged, within=60)
        assert plugin.state_breaker.allows_requests, "one user's damage stops everybody"
        plugin.capture.hold(other)
        await plugin.capture.flush()
        assert await plugin.texts((await plugin.sessions.open(plugin.request(BEN))).id, BEN) == ["mine", "ok"]
        assert (plugin.capture.held, counted("dropped") - before) == (1, 0)

        client.rename("kept", keys.session(ANA, damaged.session.id))
    await plugin.capture.flush()
    assert await plugin.texts(damaged.session.id) == ["mine", "ok"]
    assert plugin.capture.held == 0


async def test_what_fails_by_itself_for_too_long_is_dropped_and_counted(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counted("dropped")
    monkeypatch.setattr(capture, "_REFUSED_SECONDS", 0.0)
    exchange = await plugin.exchange("x1", "hello")
    assert exchange.session is not None
    with redis.Redis.from_url(plugin.url) as client:
        client.set(keys.session(ANA, exchange.session.id), "garbage")
    plugin.capture.hold(exchange)
    await plugin.capture.flush()
    assert (plugin.capture.held, counted("dropped") - before) == (0, 1)


async def test_an_exchange_too_large_to_hold_costs_nobody_else_theirs(plugin: Plugin) -> None:
    before = counted("dropped")
    plugin.capture.hold(await plugin.exchange("x1", "small"))
    plugin.capture.hold(await plugin.exchange("x2", "x" * 3_000_000))
    assert (plugin.capture.held, counted("dropped") - before) == (1, 1)


@pytest.mark.embedded
async def test_a_session_past_its_bound_becomes_memory_early_and_loses_nothing(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SESSION_BYTES", 20_000)
    said = [f"My locker number {n} is {n * 7919}. " + "So much for that. " * 50 for n in range(60)]
    history: tuple[Message, ...] = ()
    for number, text in enumerate(said):  # a client that sends its whole history, which the session no longer holds
        session = await plugin.sessions.open(plugin.request())
        history += (Message(role="user", text=text),)
        exchange = replace(await plugin.exchange(f"x{number}", session=session), incoming=history)
        assert await plugin.capture.store_or_hold(exchange, within=60)
        history += exchange.replies
    assert 0 < sum(entry.size for entry in session.entries) <= 21_500, "what a request reads is bounded"
    assert session.other_ids, "what it no longer holds is shown as another open session until it is memory"

    processor = plugin.processor()
    while claims := await plugin.state.claim(8, lease_seconds=60):
        await processor.process(claims)
    index = await plugin.state.load_index(ANA, session.id)
    assert index is not None, "the chat goes on"
    kept = await plugin.texts(session.id)
    early = [stored.message.text for _, stored in await plugin.vectors.last_user_messages(ANA, 99, exclude_sessions=())]
    assert [*early, *(text for text in kept if text != "ok")] == said, "each once, in order"


async def test_a_tool_result_is_cut_and_its_history_is_recognised_all_the_same(plugin: Plugin) -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(id="c1", name="read", arguments="{}"),))
    result = Message(role="tool", text="beginning " + "x" * 800_000 + " end", tool_call_id="c1")
    question = Message(role="user", text="read it")
    first = replace(await plugin.exchange("x1"), incoming=(question,), replies=(call,))
    assert await plugin.capture.store_or_hold(first, within=60)
    second = replace(await plugin.exchange("x2", reply="done"), incoming=(question, call, result))
    assert await plugin.capture.store_or_hold(second, within=60)
    again = (question, call, result, *second.replies, Message(role="user", text="thanks"))
    third = replace(await plugin.exchange("x3", reply="welcome"), incoming=again)
    assert await plugin.capture.store_or_hold(third, within=60)

    assert first.session is not None
    kept = await plugin.texts(first.session.id)
    assert [kept[0], *kept[3:]] == ["read it", "done", "thanks", "welcome"]
    assert kept[2].startswith("beginning x")
    assert kept[2].endswith("x end")
    assert "characters left out" in kept[2]
    assert len(kept[2]) <= bounds.TOOL_RESULT_CHARACTERS


async def test_a_session_that_vanished_without_being_processed_is_made_again(plugin: Plugin) -> None:
    session = await plugin.sessions.open(plugin.request())
    [claim] = await plugin.state.claim(1, lease_seconds=60, now_ms=plugin.request().at + 700_000) or [None]
    if claim is not None:
        await plugin.state.finish(claim)
    assert await plugin.state.load(plugin.request().owner, session.id) is None, "an empty session leaves nothing"
    late = await plugin.exchange("x1", "hello", reply="hi", session=session)
    assert await plugin.capture.store_or_hold(late, within=60)
    assert await plugin.texts(session.id) == ["hello", "hi"]


async def test_an_exchange_of_a_user_that_may_not_be_created_is_dropped_when_that_turns_out(plugin: Plugin) -> None:
    before = counted("dropped")
    exchange = await plugin.exchange("x1", "hello")
    stranger = replace(exchange.request, owner=Owner("acme", "stranger"), allow_new_user=False)
    plugin.capture.hold(replace(exchange, request=stranger, session=None))
    await plugin.capture.flush()
    assert (plugin.capture.held, counted("dropped") - before) == (0, 1)


async def test_a_session_of_thousands_of_messages_is_stored_whole(plugin: Plugin) -> None:
    exchange = await plugin.exchange("x1", *(f"message {n}" for n in range(4500)), reply="ok")
    assert exchange.session is not None
    assert await plugin.capture.store_or_hold(exchange, within=60)
    kept = len(await plugin.texts(exchange.session.id))
    [claim] = await plugin.state.claim(1, lease_seconds=60)
    assert kept <= bounds.SESSION_MESSAGES
    assert kept + len(await plugin.texts(claim.session_id)) == 4501, "the oldest are to become memory now"
