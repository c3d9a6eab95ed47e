"""Sessions become memory: at least once, with the same outcome; outages wait, faults are set aside, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis

from recallr_litellm.core.messages import Message
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Vector
from recallr_litellm.core.times import noon
from recallr_litellm.errors import (
    EmbeddingBusy,
    EmbeddingMisconfigured,
    EmbeddingRefused,
    EmbeddingUnavailable,
    StateUnavailable,
    VectorsRefused,
)
from recallr_litellm.memory import processing, remembering
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.stores.embedding.base import unit
from recallr_litellm.stores.state import Claim, keys
from recallr_litellm.stores.vectors.engine import Point
from recallr_litellm.tasks import end
from tests.unit.memory.conftest import ANA, Plugin

BEN = Owner("acme", "ben")

LATER = 700_000
"""Milliseconds after which a session with the default timeout is due."""


async def talked(plugin: Plugin, *pairs: tuple[str, str]) -> Exchange:
    for number, (question, answer) in enumerate(pairs):
        exchange = await plugin.exchange(f"x{number}-{question}", question, reply=answer)
        assert await plugin.capture.store_or_hold(exchange, within=60)
    return exchange


async def due(plugin: Plugin, exchange: Exchange, *, at: int = LATER) -> Claim:
    [claim] = await plugin.state.claim(1, lease_seconds=60, now_ms=exchange.request.at + at)
    return claim


async def test_a_session_becomes_searchable_memory_and_leaves_redis(plugin: Plugin) -> None:
    last = await talked(
        plugin, ("My cat is called Felix.", "What a nice name for a cat."), ("He loves tuna.", "Noted.")
    )
    assert last.session is not None
    await plugin.processor().process([await due(plugin, last)])

    assert await plugin.state.load(ANA, last.session.id) is None
    session = await plugin.vectors.get_session(ANA, last.session.id)
    assert session is not None
    assert session.message_count == 4
    assert "Felix" in session.summary
    messages = await plugin.vectors.read_messages(ANA, last.session.id)
    assert [stored.message.text for stored in messages] == [
        "My cat is called Felix.",
        "What a nice name for a cat.",
        "He loves tuna.",
        "Noted.",
    ]
    question = "what is the name of my cat?"
    hits, summaries, _, *_ = await plugin.vectors.search(
        ANA, await plugin.embedder.query(question, "acme"), plugin.sparse.query(question), exclude_sessions=()
    )
    best = max(hits, key=lambda hit: hit.dense)
    assert "cat" in best.text
    assert {hit.role for hit in hits} == {"user", "assistant"}, "what the assistant said is remembered too"
    assert all(hit.tokens == len(hit.text) + 2 for hit in hits), (
        "what it costs to show, with the space and the line end"
    )
    assert [hit.session for hit in summaries] == [last.session.id]


async def test_a_day_that_was_named_is_that_of_the_users_clock(plugin: Plugin) -> None:
    for timezone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # a day apart, whatever the time
        owner = Owner("acme", timezone)
        request = replace(plugin.request(owner), timezone=timezone)
        session = await plugin.sessions.open(request)
        exchange = replace(
            await plugin.exchange(timezone, "Yesterday the boiler broke.", session=session), request=request
        )
        assert await plugin.capture.store_or_hold(exchange, within=60)
        await plugin.processor().process([await due(plugin, exchange)])
        vector = await plugin.embedder.query("boiler", "acme")
        hits, *_ = await plugin.vectors.search(
            owner, vector, plugin.sparse.query("boiler"), exclude_sessions=(), names_times=True
        )
        today = datetime.fromtimestamp(request.at / 1000, ZoneInfo(timezone)).date()
        assert {time for hit in hits for time in hit.times} == {noon(today - timedelta(days=1))}


async def test_doing_it_twice_gives_the_same_memory(plugin: Plugin) -> None:
    last = await talked(plugin, ("My cat is called Felix.", "Nice."))
    assert last.session is not None
    with_finish = plugin.state.finish
    seen = []
    for finish in (never_finishes, with_finish):
        plugin.state.finish = finish  # type: ignore[method-assign]
        await plugin.processor().process([await due(plugin, last, at=(1 + len(seen)) * LATER)])
        seen.append(await plugin.vectors.read_messages(ANA, last.session.id))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


async def never_finishes(claim: Claim) -> bool:
    """As if the process had died just before."""
    return False


async def test_tool_results_are_kept_but_not_searched(plugin: Plugin) -> None:
    exchange = await plugin.exchange("x1", "weather?", reply="It rains.")
    result = Message(role="tool", text="SECRETWORD 12 degrees", tool_call_id="c1")
    exchange = Exchange(
        id=exchange.id,
        request=exchange.request,
        incoming=(*exchange.incoming, result),
        replies=exchange.replies,
        answered_at=exchange.answered_at,
        partial=False,
        session=exchange.session,
    )
    await plugin.capture.store_or_hold(exchange, within=60)
    assert exchange.session is not None
    await plugin.processor().process([await due(plugin, exchange)])
    messages = await plugin.vectors.read_messages(ANA, exchange.session.id)
    assert [stored.message.role for stored in messages] == ["user", "tool", "assistant"]
    hits, *_ = await plugin.vectors.search(
        ANA, await plugin.embedder.query("SECRETWORD", "acme"), plugin.sparse.query("SECRETWORD"), exclude_sessions=()
    )
    assert not any("SECRETWORD" in hit.text for hit in hits)


async def test_an_outage_of_the_vector_store_uses_up_no_attempt(plugin: Plugin) -> None:
    last = await talked(plugin, ("hello", "hi"))
    assert last.session is not None
    await plugin.vectors.close()
    for round in range(1, 4):
        claim = await due(plugin, last, at=round * 10 * LATER)
        assert claim.attempts == 1, "an outage is not the session's fault"
        await plugin.processor(max_attempts=1).process([claim])
    assert not plugin.vectors_breaker.allows_requests
    assert await plugin.state.failed() == []
    assert await plugin.texts(last.session.id) == ["hello", "hi"]


async def test_a_misconfigured_endpoint_uses_up_no_attempt(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    last = await talked(plugin, ("hello", "hi"))

    async def passages(texts: Sequence[str]) -> list[Vector]:
        raise EmbeddingMisconfigured("status 401")

    monkeypatch.setattr(plugin.embedder, "passages", passages)
    for round in range(1, 3):
        claim = await due(plugin, last, at=round * 10 * LATER)
        assert claim.attempts == 1
        await plugin.processor(max_attempts=1).process([claim])
    assert await plugin.state.failed() == []


@pytest.mark.parametrize(
    ("a_minute", "outage"),
    [
        (100, EmbeddingBusy("status 429", retry_after=0.0)),
        (20, EmbeddingUnavailable("status 503")),
        (1, EmbeddingBusy("status 429")),
    ],
    ids=str,
)
async def test_a_session_past_the_endpoints_limit_is_embedded_bit_by_bit_and_nothing_is_paid_for_twice(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, a_minute: int, outage: EmbeddingUnavailable
) -> None:
    monkeypatch.setattr(processing, "random", SimpleNamespace(uniform=lambda *_: 0.0))
    paid: list[str] = []
    left, refused = a_minute, 0

    async def passages(texts: Sequence[str]) -> list[Vector]:
        nonlocal left, refused
        if len(texts) > left:
            refused += 1
            if refused % 2 == 0:
                left = a_minute
            raise outage
        left -= len(texts)
        paid.extend(texts)
        return [unit(np.random.default_rng(len(text)).normal(size=384)) for text in texts]

    monkeypatch.setattr(plugin.embedder, "passages", passages)
    said = "\n\n".join(f"On day {day} we visited museum number {day * 7}. " * 12 for day in range(130))
    last = await talked(plugin, ("Tell me of our journey.", said[:60_000]))
    assert last.session is not None
    async with asyncio.timeout(120):
        await plugin.processor(max_attempts=1).process([await due(plugin, last)])
    assert await plugin.state.load(ANA, last.session.id) is None, "the session is begun anew"
    assert refused, "the limit was never reached"
    assert len(paid) > 100
    assert len(paid) == len(set(paid)), "a text was paid for twice"
    assert plugin.embedding_breaker.allows_requests == isinstance(outage, EmbeddingBusy)


def refusing(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The embedding model refuses what holds "poison". Returns the number of texts of each call."""
    calls: list[int] = []
    of_the_model = plugin.embedder.passages

    async def passages(texts: Sequence[str]) -> list[Vector]:
        calls.append(len(texts))
        if any("poison" in text for text in texts):
            raise EmbeddingRefused("status 400")
        return await of_the_model(texts)

    monkeypatch.setattr(plugin.embedder, "passages", passages)
    return calls


async def test_a_text_that_is_refused_loses_its_vector_and_not_its_session(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = refusing(plugin, monkeypatch)
    last = await talked(plugin, ("My cat is called Felix.", "This is poison."), ("He loves tuna.", "Noted."))
    assert last.session is not None
    await plugin.processor(max_attempts=1).process([await due(plugin, last)])
    assert await plugin.state.load(ANA, last.session.id) is None, "the session is tried again, and paid for again"
    assert len(await plugin.vectors.read_messages(ANA, last.session.id)) == 4, "nothing that was said is lost"
    hits, *_ = await plugin.vectors.search(
        ANA, await plugin.embedder.query("cat", "acme"), plugin.sparse.query("cat poison"), exclude_sessions=()
    )
    assert {hit.text for hit in hits} == {"My cat is called Felix.", "He loves tuna.", "Noted."}
    assert len(calls) <= 2 + 2 * 3, "the text that is refused is found by halving"


async def test_a_model_that_refuses_every_text_costs_no_session_its_vectors(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM answers 400 for a model that the gateway does not have."""
    refusing(plugin, monkeypatch)

    async def probe() -> None:
        raise EmbeddingMisconfigured("no such model")

    monkeypatch.setattr(plugin.embedder, "probe", probe)
    last = await talked(plugin, ("poison", "more poison"))
    assert last.session is not None
    await plugin.processor(max_attempts=1).process([await due(plugin, last)])
    assert await plugin.texts(last.session.id) == ["poison", "more poison"]
    assert await plugin.state.failed() == []


@pytest.mark.embedded
async def test_a_message_that_qdrant_refuses_is_cut_and_its_session_goes_on(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = plugin.vectors._engine
    upsert = engine.upsert

    async def refuses(points: Sequence[Point], *, keep_existing: bool = False) -> None:
        if sum(len(str(point.payload)) for point in points) > 130_000:
            raise VectorsRefused("status 413")
        await upsert(points, keep_existing=keep_existing)

    monkeypatch.setattr(engine, "upsert", refuses)
    last = await talked(plugin, ("My cat is called Felix.", "word " * 30_000))
    assert last.session is not None
    await plugin.processor(max_attempts=1).process([await due(plugin, last)])
    felix, long = await plugin.vectors.read_messages(ANA, last.session.id)
    assert felix.message.text == "My cat is called Felix."
    assert long.message.text.startswith("word word")
    assert len(long.message.text) < 101_000


async def test_a_session_that_fails_again_and_again_is_set_aside_with_all_it_holds(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await talked(plugin, ("hello", "hi"))
    assert last.session is not None

    def broken(text: str) -> list[str]:
        raise ZeroDivisionError(text)

    with monkeypatch.context() as patched:
        patched.setattr(remembering, "split", broken)
        for round in range(1, 3):
            await plugin.processor(max_attempts=2).process([await due(plugin, last, at=round * 10 * LATER)])
    assert [(owner, session) for owner, session, _ in await plugin.state.failed()] == [(ANA, last.session.id)]
    assert await plugin.texts(last.session.id) == ["hello", "hi"]
    assert await plugin.state.requeue_failed() == 1
    await plugin.processor().process([await due(plugin, last, at=100 * LATER)])
    assert await plugin.vectors.get_session(ANA, last.session.id) is not None


async def test_a_worker_that_lost_its_lease_does_not_write_the_older_state_over_the_newer(plugin: Plugin) -> None:
    first = await talked(plugin, ("hello", "hi"))
    assert first.session is not None
    stale = await due(plugin, first)
    last = await talked(plugin, ("one more thing", "yes?"))
    await plugin.processor().process([await due(plugin, last, at=2 * LATER)])
    await plugin.processor().process([stale])
    messages = await plugin.vectors.read_messages(ANA, first.session.id)
    assert [stored.message.text for stored in messages] == ["hello", "hi", "one more thing", "yes?"]


async def test_an_attempt_whose_lease_is_lost_is_given_up(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await talked(plugin, ("hello", "hi"))
    claim = await due(plugin, first)
    begun = asyncio.Event()

    async def never(texts: list[str]) -> list[Vector]:
        begun.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(plugin.embedder, "passages", never)
    working = asyncio.create_task(plugin.processor(lease_seconds=3).process([claim]))
    await begun.wait()
    await talked(plugin, ("one more thing", "yes?"))
    async with asyncio.timeout(120):
        await working
    assert first.session is not None
    assert await plugin.texts(first.session.id) == ["hello", "hi", "one more thing", "yes?"]


async def test_a_session_that_killed_the_process_each_time_is_set_aside(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await talked(plugin, ("hello", "hi"))
    assert last.session is not None
    for death in range(2):
        assert (await due(plugin, last, at=(1 + death) * LATER)).attempts == 1 + death
    monkeypatch.setattr(remembering, "split", None)  # would fail in another way
    await plugin.processor(max_attempts=2).process([await due(plugin, last, at=3 * LATER)])
    [(owner, session, reason)] = await plugin.state.failed()
    assert (owner, session) == (ANA, last.session.id)
    assert reason == "the process ended while processing it"
    assert await plugin.texts(session) == ["hello", "hi"]


async def test_a_session_that_is_damaged_while_it_is_processed_costs_no_other_anything(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await talked(plugin, ("My cat is called Felix.", "Nice."))
    theirs = replace(mine, id="y", request=plugin.request(BEN), session=None)
    assert await plugin.capture.store_or_hold(theirs, within=60)
    assert mine.session is not None
    claims = await plugin.state.claim(2, lease_seconds=60, now_ms=mine.request.at + LATER)
    flush = plugin.vectors.flush

    async def damaged_meanwhile() -> None:
        with redis.Redis.from_url(plugin.url) as client:
            client.set(keys.session(ANA, mine.session.id), "garbage")
        await flush()

    monkeypatch.setattr(plugin.vectors, "flush", damaged_meanwhile)
    await plugin.processor().process(sorted(claims, key=lambda claim: claim.owner != ANA))
    [other] = [claim for claim in claims if claim.owner == BEN]
    assert await plugin.state.load(BEN, other.session_id) is None, "a session is not taken out of Redis for another's"
    assert plugin.state_breaker.allows_requests


async def test_a_session_without_messages_leaves_redis_without_becoming_memory(plugin: Plugin) -> None:
    session = await plugin.sessions.open(plugin.request())
    [claim] = await plugin.state.claim(1, lease_seconds=60, now_ms=plugin.request().at + LATER)
    await plugin.processor().process([claim])
    assert await plugin.state.load(ANA, session.id) is None
    assert await plugin.vectors.get_session(ANA, session.id) is None


async def test_a_strangers_session_overtakes_one_that_takes_long_and_a_shutdown_gives_that_one_back(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    of_the_model = plugin.embedder.passages

    async def passages(texts: Sequence[str]) -> list[Vector]:
        if "flood" in texts[0]:
            begun.set()
            await asyncio.Event().wait()
        return await of_the_model(texts)

    monkeypatch.setattr(plugin.embedder, "passages", passages)
    session = await plugin.sessions.open(plugin.request(timeout_seconds=1))
    flood = await plugin.exchange("x1", "a flood of words", session=session)
    assert await plugin.capture.store_or_hold(flood, within=60)
    processor = plugin.processor()
    running = asyncio.create_task(processor.run())
    stranger = plugin.request(Owner("acme", "ben"), timeout_seconds=1)
    async with asyncio.timeout(120):
        await begun.wait()
        session = await plugin.sessions.open(stranger)
        said = (Message(role="user", text="I am Ben, and I live in Leeds."),)
        late = Exchange("x9", stranger, said, (), stranger.at, partial=False, session=session)
        await plugin.capture.store_or_hold(late, within=60)
        while await plugin.vectors.get_session(stranger.owner, session.id) is None:
            await asyncio.sleep(0.05)
    await end({running})
    await processor.give_back()
    [again] = await plugin.state.claim(10, lease_seconds=60, busy=[stranger.owner])
    assert (again.owner, again.attempts) == (ANA, 1), "it waits until its lease ends, or a shutdown counts as its fault"


async def test_the_loop_processes_what_is_due_and_survives_an_outage(plugin: Plugin) -> None:
    request = plugin.request(timeout_seconds=1)
    session = await plugin.sessions.open(request)
    await plugin.capture.store_or_hold(await plugin.exchange("x1", "hello there", session=session), within=60)
    running = asyncio.create_task(plugin.processor(lease_seconds=3).run())
    watching = asyncio.create_task(plugin.state_breaker.watch())
    plugin.valkey.stop()
    await asyncio.sleep(0.3)
    await asyncio.to_thread(plugin.valkey.start)
    async with asyncio.timeout(120):
        while await plugin.vectors.get_session(ANA, session.id) is None:
            await asyncio.sleep(0.05)
    assert not running.done()
    await end({running, watching})


async def test_a_fault_that_ends_the_keeping_of_leases_ends_the_run_so_that_it_is_taken_up_again(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(texts: list[str]) -> list[Vector]:
        await asyncio.Event().wait()
        return []

    async def fails(claim: Claim, lease_seconds: float) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(plugin.embedder, "passages", never)
    monkeypatch.setattr(plugin.state, "extend", fails)
    session = await plugin.sessions.open(plugin.request(timeout_seconds=1))
    said = await plugin.exchange("x1", "My cat is called Felix.", session=session)
    assert await plugin.capture.store_or_hold(said, within=60)
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(60):
            await plugin.processor(lease_seconds=0.5).run()


async def test_a_session_of_nothing_to_index_is_kept_all_the_same(plugin: Plugin) -> None:
    exchange = await plugin.exchange("x1", "   ", reply="🙂")
    await plugin.capture.store_or_hold(exchange, within=60)
    assert exchange.session is not None
    await plugin.processor().process([await due(plugin, exchange)])
    assert await plugin.vectors.get_session(ANA, exchange.session.id) is not None


async def test_a_flush_that_fails_does_not_keep_sessions_in_redis(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, failed = plugin.vectors.flush, asyncio.Event()

    async def fails_once() -> None:
        if not failed.is_set():
            failed.set()
            raise VectorsRefused("Qdrant Edge could not flush")
        await flush()

    monkeypatch.setattr(plugin.vectors, "flush", fails_once)
    session = await plugin.sessions.open(plugin.request(timeout_seconds=1))
    said = await plugin.exchange("x1", "My cat is called Felix.", session=session)
    assert await plugin.capture.store_or_hold(said, within=60)
    running = asyncio.create_task(plugin.processor(lease_seconds=2.0, max_attempts=9).run())
    async with asyncio.timeout(30):
        while await plugin.state.load(ANA, session.id) is not None:
            await asyncio.sleep(0.05)
    assert failed.is_set()
    await end({running})


async def test_a_session_stays_in_redis_until_it_was_told_that_it_became_memory(plugin: Plugin) -> None:
    told: list[tuple[Owner, str, int]] = []
    last = await talked(plugin, ("My cat is called Felix.", "ok"))
    assert last.session is not None
    session_id = last.session.id

    async def tell(*what: object) -> None:
        told.append(what)  # type: ignore[arg-type]
        if len(told) == 1:
            raise StateUnavailable("no answer")

    processor = plugin.processor(on_processed=tell)
    await processor.process([await due(plugin, last)])
    assert await plugin.texts(session_id), "it has left Redis, and nobody was told"
    await plugin.state_breaker.probe()
    await processor.process([await due(plugin, last, at=2 * LATER)])
    assert not await plugin.texts(session_id)
    session = await plugin.vectors.get_session(ANA, session_id)
    assert session is not None
    assert told == [(ANA, session_id, session.last_at)] * 2
