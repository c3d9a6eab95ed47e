"""A session becomes knowledge: once, whatever the model answers and wherever it is cut off."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Turn
from recallr_litellm.errors import ModelBusy, ModelRefused, ModelSlow, ModelUnavailable
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.learner import AT_ONCE
from recallr_litellm.learning.model import Written
from recallr_litellm.learning.model_pause import ModelPause
from recallr_litellm.memory.budget import BudgetSpent
from recallr_litellm.metrics import REGISTRY
from recallr_litellm.stores.state import keys
from recallr_litellm.tasks import InFlight, end
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER, at

STEPS = ("facts", "decisions")
HOME = {"attribute": "home", "confidence": "high"}


def lives(place: str) -> dict[str, Any]:
    return {**HOME, "text": f"User lives in {place}.", "entities": [{"name": place, "kind": "place"}]}


async def moved_twice(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")], "Lisbon": [lives("Lisbon")], "Rome": [lives("Rome")]})
    world.model.decides({"Lisbon": ("change", "Porto"), "Rome": ("change", "Lisbon")})
    await world.learned("s1", "user: I live in Porto.", "assistant: Nice.", day="2025-05-01")
    await world.learned("s2", "user: I moved to Lisbon.", "assistant: Oh!", day="2025-06-01")
    await world.learned("s3", "user: Now it is Rome.", "assistant: Wow.", day="2025-07-01")


async def test_what_changes_over_sessions_is_one_memory_with_its_history(world: World) -> None:
    await moved_twice(world)
    assert await world.current() == ["User lives in Rome."]
    assert await world.history() == ["User lives in Porto.", "User lives in Lisbon."]
    [memory] = [one for one in await world.memories() if one.expired_at is None]
    earlier = (await world.vectors.versions(OWNER, [memory.id]))[memory.id]
    assert [one.content for one in earlier] == ["User lives in Porto.", "User lives in Lisbon."]
    assert memory.sources == ("s3-0",)


async def test_learning_again_asks_and_writes_nothing(world: World) -> None:
    await moved_twice(world)
    before, asked = await world.memories(), len(world.model.asked)
    for id in ("s1", "s2", "s3"):
        await world.learner.learn(OWNER, id)
    assert await world.memories() == before
    assert len(world.model.asked) == asked


async def test_a_session_heard_late_does_not_overwrite_what_is_newer(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")], "Rome": [lives("Rome")]})
    world.model.decides({"Porto": ("change", "Rome")})
    await world.learned("march", "user: I live in Rome.", day="2025-03-01")
    await world.learned("january", "user: I live in Porto.", day="2025-01-01")
    assert await world.current() == ["User lives in Rome."]
    [past] = [one for one in await world.memories() if one.expired_at is not None]
    assert (past.content, past.expired_at) == ("User lives in Porto.", at("2025-03-01"))


async def test_a_reopened_session_extracts_only_what_is_new(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")], "Rex": [{"text": "User has a dog, Rex.", "attribute": "pet"}]})
    await world.learned("s", "user: I live in Porto.", "assistant: Nice.", day="2025-05-01")
    await world.learned("s", "user: I live in Porto.", "assistant: Nice.", "user: My dog is Rex.", day="2025-05-01")
    assert await world.current() == ["User has a dog, Rex.", "User lives in Porto."]
    targets = [text.count("TARGET") for name, text in world.model.asked if name == "facts"]
    assert targets == [2, 1]


async def test_the_same_told_again_is_evidence(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")]})
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    await world.learned("s2", "user: As I said, Porto it is.", day="2025-06-01")
    [memory] = await world.memories()
    assert memory.sources == ("s1-0", "s2-0")
    assert not [name for name, _ in world.model.asked if name == "decisions"], "settled without the model"


@pytest.mark.parametrize(
    "answer",
    ["I would rather not.", '{"decisions": [{"fact": 99, "outcome": "change", "memory": 1}]}', ModelRefused("filter")],
    ids=["garbage", "invented numbers", "refused"],
)
async def test_a_nonsensical_decision_leaves_what_is_known(world: World, answer: str | Exception) -> None:
    world.model.says({"Porto": [lives("Porto")], "Rome": [lives("Rome")]})
    world.model.decisions = lambda _name, _text: answer
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    await world.learned("s2", "user: I live in Rome.", day="2025-06-01")
    assert await world.current() == ["User lives in Porto.", "User lives in Rome."]
    assert await world.history() == []


@pytest.mark.parametrize(
    "answer", ["As an AI I cannot.", "", ModelRefused("filter")], ids=["garbage", "empty", "refused"]
)
async def test_an_unreadable_answer_is_asked_for_once_more_and_then_noted(
    world: World, answer: str | Exception
) -> None:
    world.model.facts = lambda _name, _text: answer
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    assert await world.memories() == []
    [extraction] = await world.vectors.extractions(OWNER, "s1")
    assert extraction.unread
    assert len(world.model.asked) == (1 if isinstance(answer, Exception) else 2)


async def test_a_repaired_answer_counts(world: World) -> None:
    answers = iter(["Sure!", json.dumps({"facts": [{**lives("Porto"), "evidence": [1]}]})])
    world.model.facts = lambda _name, _text: next(answers)
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    assert await world.current() == ["User lives in Porto."]


SINCE_JUNE = "user: Ich wohne seit Juni in Berlin und arbeite bei Siemens."
IN_ENGLISH = {"text": "User lives in Berlin and works at Siemens.", "evidence": [1]}
IN_GERMAN = {"text": "User wohnt in Berlin und arbeitet bei Siemens.", "evidence": [1]}


@pytest.mark.parametrize(
    ("again", "learned"),
    [
        ({"facts": [IN_GERMAN]}, [IN_GERMAN["text"]]),
        ({"facts": [IN_ENGLISH]}, []),
        ("Sorry?", []),
        (ModelRefused("filter"), []),
        (ModelSlow("180 s"), []),
    ],
    ids=["mended", "still in English", "garbage", "refused", "slow"],
)
async def test_facts_in_another_language_than_the_users_are_asked_for_once_more(
    world: World, again: Any, learned: list[str]
) -> None:
    answers = iter([{"facts": [IN_ENGLISH]}, again])

    def script(_name: str, _text: str) -> Any:
        answer = next(answers)
        return json.dumps(answer) if isinstance(answer, dict) else answer

    world.model.facts = script
    await world.learned("s1", SINCE_JUNE, day="2025-07-01")
    assert await world.current() == learned
    assert next(answers, None) is None, "it was not asked once more"
    [extraction] = await world.vectors.extractions(OWNER, "s1")
    assert extraction.rejected == ({} if learned else {"language": 1})
    assert not extraction.unread


async def test_an_answer_that_was_cut_off_is_asked_for_in_two_parts(world: World) -> None:
    whole = world.model

    def script(_name: str, text: str) -> Written:
        if text.count("TARGET") > 1:
            return Written('{"facts": [{"text": "User li', cut_off=True)
        place = "Porto" if "Porto" in text.splitlines()[-1] else "Rome"
        number = len(text.splitlines())
        return Written(json.dumps({"facts": [{**lives(place), "evidence": [number]}]}))

    whole.facts = script
    await world.learned("s1", "user: I lived in Porto.", "user: I live in Rome.", day="2025-05-01")
    assert await world.current() == ["User lives in Porto.", "User lives in Rome."]


def places(text: str) -> str:
    """What a good model extracts of what is asked for."""
    lines = text.splitlines()
    found = [
        {**lives(place), "evidence": [number]}
        for number, line in enumerate(lines, 1)
        for place in ("Porto", "Rome", "Oslo", "Bern")
        if place in line and "TARGET" in line
    ]
    return json.dumps({"facts": found})


FOUR = [f"user: I lived in {place}." for place in ("Porto", "Rome", "Oslo", "Bern")]


ALLERGIES = ("nuts", "milk", "eggs", "fish", "wheat")


async def allergic_twice(world: World, decisions: Callable[[int, str], Written]) -> int:
    """A user who tells of five allergies, and of them again in other words; answers are made of the number of facts
    asked about and of a whole answer. Returns how many calls the second time took."""
    said = {"I am": [f"User is allergic to {one}." for one in ALLERGIES]}
    said["doctor"] = [f"According to the doctor {one} gives User an allergy." for one in ALLERGIES]
    world.model.says({part: [{"text": t, "attribute": "allergy"} for t in texts] for part, texts in said.items()})
    await world.learned("s1", f"user: I am allergic to {', '.join(ALLERGIES)}.", day="2025-05-01")
    before = len(world.model.asked)

    def script(_name: str, text: str) -> Written:
        found, fact, wanted = [], 0, ""
        for line in text.splitlines():
            if line.startswith("FACT"):
                fact += 1
                wanted = next(one for one in ALLERGIES if one in line)
            elif wanted in line:
                found.append({"fact": fact, "outcome": "same", "memory": int(line.split()[1])})
        return decisions(fact, json.dumps({"decisions": found}))

    world.model.decisions = script
    text = f"user: My doctor says that it is an allergy to {', '.join(ALLERGIES)}."
    await world.learned("s2", text, day="2025-06-01")
    return len(world.model.asked) - before - 1


@pytest.mark.parametrize("answered", [0, 1, 2], ids=["none", "one", "two"])
async def test_decisions_that_were_cut_off_are_asked_for_again_and_nothing_is_doubled(
    world: World, answered: int
) -> None:
    def short(facts: int, whole: str) -> Written:
        if facts <= 2:
            return Written(whole)
        some = json.dumps({"decisions": json.loads(whole)["decisions"][:answered]})
        return Written(some[:-2] + ', {"fact": 4, "outc', cut_off=True)

    assert await allergic_twice(world, short) <= 5
    assert await world.current() == sorted(f"User is allergic to {one}." for one in ALLERGIES)
    assert all(len(memory.sources) == 2 for memory in await world.memories())


async def test_decisions_that_are_always_cut_off_cost_a_bounded_number_of_calls(world: World) -> None:
    assert await allergic_twice(world, lambda _facts, _whole: Written("<think>Well", cut_off=True)) == 3
    assert len(await world.current()) == 10, "nothing that was known is lost"


async def test_a_model_that_loops_is_not_asked_for_more_of_it(world: World) -> None:
    fact = json.dumps({**lives("Porto"), "evidence": [1]})
    world.model.facts = lambda _name, _text: Written(f'{{"facts": [{", ".join([fact] * 60)}, {{"attr', cut_off=True)
    await world.learned("s1", *FOUR, day="2025-05-01")
    assert await world.current() == ["User lives in Porto."], "what it said before it ran out of tokens is kept"
    assert len(world.model.asked) == 1
    world.model.facts = lambda _name, _text: Written('{"facts": [{"text": "User ' + "very " * 2_000, cut_off=True)
    await world.learned("s2", *FOUR, day="2025-06-01")
    assert len(world.model.asked) == 2


async def test_an_answer_that_is_always_cut_off_costs_a_bounded_number_of_calls(world: World) -> None:
    world.model.facts = lambda _name, _text: Written("<think>Well", cut_off=True)
    await world.learned("s1", *FOUR * 16, day="2025-05-01")
    assert len(world.model.asked) == 15
    kept = await world.vectors.extractions(OWNER, "s1")
    assert (len(kept), all(one.unread for one in kept)) == (8, True)


@pytest.mark.parametrize("error", [ModelRefused("filter"), ModelSlow("180 s")])
async def test_a_message_that_is_refused_or_too_slow_costs_only_itself(world: World, error: Exception) -> None:
    world.model.facts = lambda _name, text: (
        error if text.count("TARGET") > 1 and "Oslo" in text.partition("TARGET")[2] else places(text)
    )
    await world.learned("s1", *FOUR, day="2025-05-01")
    assert len(await world.current()) == 4


async def test_a_text_that_is_always_too_slow_is_set_aside_in_the_end(world: World) -> None:
    world.model.facts = lambda _name, _text: ModelSlow("180 s")
    await world.remember("s1", "user: I live in Porto.", day="2025-05-01")
    await world.queue.add(OWNER, "s1", at("2025-05-01"))
    for _ in range(8):
        [claim] = await world.queue.claim(1, lease_seconds=60, now_ms=at("2100-01-01"))
        await world.learner._attempt(claim)
    assert (await world.queue.depth())["failed"] == 1
    await world.queue.add(OWNER, "s1", at("2025-05-01"))
    assert await world.queue.claim(1, lease_seconds=60, now_ms=at("2100-01-01")) == [], "it waits for somebody"
    world.model.says({"Porto": [lives("Porto")]})
    assert await world.queue.requeue_failed() == 1
    [claim] = await world.queue.claim(1, lease_seconds=60)
    await world.learner._attempt(claim)
    assert await world.current() == ["User lives in Porto."]


async def test_a_model_that_answers_429_is_left_alone_whoever_it_would_be_asked_for(world: World) -> None:
    world.model.facts = lambda _name, _text: ModelBusy("429", retry_after=600.0)
    owners = [Owner("p", f"user {number}") for number in range(4)]
    for owner in owners:
        await world.remember("s1", "user: I live in Porto.", day="2025-05-01", owner=owner)
        await world.queue.add(owner, "s1", at("2025-05-01"))
    running = asyncio.create_task(world.learner.run())
    async with asyncio.timeout(60):
        while not world.learner._pause.seconds_left:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # several looks for users who are due
    await end([running])
    assert len(world.model.asked) <= AT_ONCE
    assert await world.queue.depth() == {"due": 4 - AT_ONCE, "waiting": AT_ONCE, "failed": 0}
    claim, *_ = await world.queue.claim(4, lease_seconds=60, now_ms=at("2100-01-01"))
    assert claim.attempts == 1, "an outage is no attempt"


def test_the_pause_grows_with_failures_in_a_row_and_ends_with_an_answer() -> None:
    now = 0.0
    pause = ModelPause(clock=lambda: now)
    waited = []
    for _ in range(9):
        waited.append(pause.failed(ModelUnavailable("down")))
        assert pause.failed(ModelUnavailable("down")) == waited[-1], "the same outage"
        now += waited[-1]
    assert waited[0] <= 6.0 < waited[1] <= 12.0
    assert max(waited) <= 720.0
    pause.worked()
    assert pause.failed(ModelUnavailable("down")) <= 6.0
    now += 100.0
    assert 30.0 <= pause.failed(ModelBusy("429", retry_after=30.0)) <= 36.0


async def test_what_a_person_has_ended_stays_so_when_its_session_is_learned_again(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")], "Rex": [{"text": "User has a dog, Rex.", "attribute": "pet"}]})
    await world.learned("s", "user: I live in Porto.", day="2025-05-01")
    await world.learned("t", "user: In Porto I live.", day="2025-06-01")
    [memory] = await world.memories()
    await world.vectors.update_memories(OWNER, [memory.model_copy(update={"expired_at": at("2025-06-02")})])
    for id in ("s", "t"):
        await world.learned(id, "user: I live in Porto.", "user: My dog is Rex.", day="2025-05-01")
    assert await world.current() == ["User has a dog, Rex."]


@pytest.mark.parametrize("error", [ModelUnavailable("down"), ModelBusy("429", retry_after=1.0)])
async def test_an_outage_of_the_model_anywhere_gives_the_same_memory_later(world: World, error: Exception) -> None:
    await moved_twice(world)
    wanted = await world.memories()
    other = Owner("p", "bob")
    for failing in range(12):  # in the n-th call from the beginning
        bob = Owner("p", f"bob{failing}")
        calls = 0
        facts, decisions = world.model.facts, world.model.decisions

        def once(script: Any, failing: int = failing) -> Any:
            def answer(name: str, text: str) -> Any:
                nonlocal calls
                calls += 1
                return error if calls == failing + 1 else script(name, text)

            return answer

        world.model.facts, world.model.decisions = once(facts), once(decisions)
        lines = {"s1": "user: I live in Porto.", "s2": "user: I moved to Lisbon.", "s3": "user: Now it is Rome."}
        for number, (id, line) in enumerate(lines.items()):
            await world.remember(id, line, "assistant: Ok.", day=f"2025-0{5 + number}-01", owner=bob)
            try:
                await world.learner.learn(bob, id)
            except ModelUnavailable:
                await world.learner.learn(bob, id)
        world.model.facts, world.model.decisions = facts, decisions
        assert [(m.content, m.expired_at) for m in await world.memories(bob)] == [
            (m.content, m.expired_at) for m in wanted
        ]
    assert await world.memories(other) == []


async def test_a_contradiction_is_put_to_the_user_where_the_project_wants_it(world: World) -> None:
    world.rules = Rules(conflicts=True)
    dose = {"attribute": "medication", "kind": "fact"}
    world.model.says(
        {"10 mg": [{**dose, "text": "User takes 10 mg."}], "20 mg": [{**dose, "text": "User takes 20 mg."}]}
    )
    world.model.decides({"20 mg": ("contradiction", "10 mg")})
    await world.learned("s1", "user: My dose is 10 mg.", day="2025-05-01")
    await world.learned("s2", "user: The dose is 20 mg.", day="2025-05-01 15:00")
    assert await world.current() == ["User takes 10 mg."]
    [conflict] = await world.vectors.conflicts(OWNER)
    assert conflict.content == "User takes 20 mg."
    assert conflict.questions


async def test_facts_of_one_thing_are_connected_both_ways_and_strangers_are_not(world: World) -> None:
    rex = {"entities": [{"name": "Rex", "kind": "pet"}]}
    world.model.says(
        {
            "dog": [{"text": "User has a dog named Rex.", "attribute": "pet", "entities": rex}],
            "vet": [
                {"text": "Rex was at the vet for his paw.", "subject": "Rex", "attribute": "health", "entities": rex}
            ],
            "tax": [{"text": "User's taxes are due in May.", "attribute": "finance"}],
        }
    )
    await world.learned("s1", "user: My dog is Rex.", "user: The tax is due in May.", day="2025-05-01")
    await world.learned("s2", "user: We were at the vet with him.", day="2025-05-02")
    by_text = {memory.content.split()[1]: memory for memory in await world.memories()}
    dog, vet, taxes = by_text["has"], by_text["was"], by_text["taxes"]
    assert vet.connected == (dog.id,)
    assert dog.connected == (vet.id,)
    assert taxes.connected == ()


async def test_a_budget_that_is_spent_makes_sessions_wait_and_loses_nothing(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")]})
    world.budget = 50
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")  # the call that passes it is made
    await world.remember("s2", "user: I still live in Porto.", day="2025-06-01")
    with pytest.raises(BudgetSpent):
        await world.learner.learn(OWNER, "s2")
    world.budget = None
    await world.learner.learn(OWNER, "s2")
    assert [len(memory.sources) for memory in await world.memories()] == [2]


async def test_what_a_session_took_and_what_came_of_it_is_one_line_without_its_words(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def used() -> list[float]:
        names = ("recallr_learning_calls_total", "recallr_learning_tokens_total")
        return [REGISTRY.get_sample_value(name, {"step": step}) or 0.0 for name in names for step in STEPS]

    before = used()
    boat = {"text": "User may buy a boat.", "modality": "possible"}
    world.model.says({"Porto": [lives("Porto")], "Rome": [lives("Rome"), {"text": "User has a cat."}, boat]})
    world.model.decides({"Rome": ("change", "Porto")})
    with caplog.at_level("INFO", logger="recallr_litellm.learning"):
        await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
        await world.learned("s2", "user: Rome now, with my cat.", day="2025-06-01")
    lines = [re.sub(r"[0-9.]+ s:", "… s:", record.getMessage()) for record in caplog.records]
    assert lines == [
        "Session s1 of project p learned in … s: 1 facts, 1 calls, 100 tokens; 1 new",
        "Session s2 of project p learned in … s: 2 facts, 2 calls, 200 tokens; 1 change, 1 modality, 1 new",
    ]
    assert [after - was for after, was in zip(used(), before, strict=True)] == [2, 1, 200, 100]
    assert await world.state.spend_tokens("p", 0) == 300


async def test_learning_yields_to_requests(world: World) -> None:
    in_flight = InFlight()
    world.model.says({"Porto": [lives("Porto")]})
    await world.remember("s", "user: I live in Porto.", day="2025-05-01")
    await world.queue.add(OWNER, "s", at("2025-05-01"))
    with in_flight.one_more(), in_flight.first(within=3600.0):
        running = asyncio.create_task(world.learner.run())
        await asyncio.sleep(0.5)
        assert not world.model.asked, "as long as a request is served"
    while not world.model.asked:
        await asyncio.sleep(0)
    with in_flight.one_more():
        await asyncio.sleep(0.5)
        assert not await world.vectors.count_memories(OWNER), "what was extracted waits too"
    while not await world.vectors.count_memories(OWNER):
        await asyncio.sleep(0.05)
    await end([running])


async def test_the_queue_gives_a_users_sessions_in_order_of_time_to_one_worker(world: World) -> None:
    world.model.says({"Porto": [lives("Porto")], "Rome": [lives("Rome")]})
    world.model.decides({"Rome": ("change", "Porto")})
    await world.remember("later", "user: I live in Rome.", day="2025-06-01")
    await world.remember("earlier", "user: I live in Porto.", day="2025-05-01")
    await world.queue.add(OWNER, "later", at("2025-06-01"))
    await world.queue.add(OWNER, "earlier", at("2025-05-01"))
    running = asyncio.create_task(world.learner.run())
    async with asyncio.timeout(60):
        while await world.vectors.unlearned_sessions(OWNER):
            await asyncio.sleep(0.05)
    await end([running])
    assert await world.current() == ["User lives in Rome."]
    assert await world.history() == ["User lives in Porto."]
    assert await world.queue.depth() == {"due": 0, "waiting": 0, "failed": 0}
    # a second claim finds nobody while the first holds the user
    await world.queue.add(OWNER, "later", at("2025-06-01"))
    [claim] = await world.queue.claim(5, lease_seconds=60)
    assert await world.queue.claim(5, lease_seconds=60) == []
    waiting = await world.queue.next_session(claim)
    assert waiting is not None
    assert waiting.session_id == "later"
    await world.queue.add(OWNER, "later", at("2025-06-01"))
    assert await world.queue.done(claim, waiting), "what was put there again meanwhile is learned again"
    assert not await world.queue.done(claim, await world.queue.next_session(claim))


async def test_a_session_that_ends_the_process_each_time_is_set_aside(world: World) -> None:
    world.model.facts = lambda _name, _text: ValueError("a bug")
    await world.remember("s1", "user: I live in Porto.", day="2025-05-01")
    await world.queue.add(OWNER, "s1", at("2025-05-01"))
    for _ in range(8):
        [claim] = await world.queue.claim(1, lease_seconds=60, now_ms=at("2100-01-01"))
        await world.learner._attempt(claim)
    assert (await world.queue.depth())["failed"] == 1


@pytest.mark.parametrize("forgotten", [OWNER.key, f"{OWNER.key}:s1"], ids=["the user", "the session"])
async def test_who_is_forgotten_meanwhile_is_not_brought_back(world: World, forgotten: str) -> None:
    world.model.says({"Porto": [lives("Porto")]})
    await world.remember("s1", "user: I live in Porto.", day="2025-05-01")
    await world.queue.add(OWNER, "s1", at("2025-05-01"))
    said, gone = world.model.facts, keys.gone(OWNER).replace(OWNER.key, forgotten)
    url = world.queue.link.client.get_connection_kwargs()["path"]

    def facts(name: str, text: str) -> Any:
        with redis.Redis(unix_socket_path=url) as client:
            client.set(gone, 1)
        return said(name, text)

    world.model.facts = facts
    [claim] = await world.queue.claim(1, lease_seconds=60, now_ms=at("2100-01-01"))
    await world.learner._attempt(claim)
    assert await world.memories() == []
    assert await world.vectors.extractions(OWNER, "s1") == []
    await world.queue.add(OWNER, "s1", at("2025-05-01"))
    assert await world.queue.claim(1, lease_seconds=60, now_ms=at("2100-01-01")) == []


async def test_the_model_is_told_the_time_on_the_users_clock(world: World) -> None:
    said = await world.remember("s1", "user: My exam is tomorrow.", day="2025-05-04 15:30")
    [session] = await world.vectors.unlearned_sessions(OWNER)
    in_tokyo = [Turn(one.model_copy(update={"timezone": "Asia/Tokyo"}), ()) for one in said]
    await world.vectors.save_session(OWNER, session, in_tokyo, None)
    await world.learner.learn(OWNER, "s1")
    assert "user, Mon 5 May 2025 00:30: My exam is tomorrow." in world.model.asked[0][1]
