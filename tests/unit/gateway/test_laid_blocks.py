"""Blocks stay where they were laid, and a new one holds only what is new: what a provider caches stays the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.room import Model
from recallr_litellm.gateway.answer import Answer
from recallr_litellm.gateway.asgi import Event
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.memory.capture import Exchange
from tests.support.client_history import FORMATS, ClientFormat
from tests.unit.gateway.kit import CHAT, Client, blocks, goes_on, process, running, tell
from tests.unit.stores.state_kit import kept_blocks

MARK = {"cache_control": {"type": "ephemeral"}}
FACTS = {"cat": "My cat is called Felix.", "car": "My car is a red Volvo.", "home": "I live in Bergen in a blue house."}
pytestmark = pytest.mark.usefixtures("quick_stores")
every_format = pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async for runtime in running(tmp_path):
        yield runtime


@every_format
async def test_what_was_sent_is_the_beginning_of_what_is_sent_next(runtime: Runtime, format: ClientFormat) -> None:
    client = Client(runtime, format)
    await tell(runtime, FACTS["cat"])
    bodies = [await client.ask("What is my cat called?")]
    await tell(runtime, FACTS["car"])
    bodies.append(await client.ask("And which car do I drive?"))
    assert client.call.status == "ok"
    bodies.append(await client.ask("Where could we go together?"))
    for earlier, later in pairwise(bodies):
        assert goes_on(format, earlier, later)
    assert ["Felix" in block for block in blocks(bodies[1])] == [True, False], "what a block shows is not shown again"
    assert ["Volvo" in block for block in blocks(bodies[1])] == [False, True]
    assert len(blocks(bodies[2])) == 2, "nothing new, no block"
    assert client.call.status == "ok", "earlier blocks are memory too"


@every_format
async def test_through_the_steps_of_an_agent_all_blocks_stay(runtime: Runtime, format: ClientFormat) -> None:
    client = Client(runtime, format)
    tools = {"tools": [{"type": "function", "name": "look", "function": {"name": "look"}}]}
    bodies: list[dict[str, Any]] = []
    for number, (name, question) in enumerate(
        {"cat": "Feed my cat.", "car": "Wash my car.", "home": "Paint my home."}.items()
    ):
        await tell(runtime, FACTS[name])
        client.history += client.format.user(question)
        for step in range(3):
            bodies.append(await client.send(**tools))
            await client.answered(tool=f"call_{number}_{step}")
            client.history += client.format.result(f"call_{number}_{step}", "done " * 50)
            await tell(runtime, f"Said {number} {step} while the agent was at work.")
        bodies.append(await client.send(**tools))
        await client.answered(text="Done.")
    for earlier, later in pairwise(bodies):
        assert goes_on(format, earlier, later)
    assert [len(blocks(body)) for body in bodies] == [1] * 4 + [2] * 4 + [3] * 4, "a turn has one block"


async def test_a_retried_request_has_the_block_that_it_had(runtime: Runtime) -> None:
    client = Client(runtime)
    await client.ask("Hello.")
    await tell(runtime, FACTS["cat"])
    first = await client.ask("What is my cat called?")
    await tell(runtime, FACTS["car"])
    client.history.pop()
    again = await client.send()
    assert again["messages"] == first["messages"], "an answer that is made again"


async def test_the_same_words_said_twice_are_two_messages(runtime: Runtime) -> None:
    client = Client(runtime)
    bodies = []
    for name in FACTS:
        await tell(runtime, FACTS[name])
        bodies.append(await client.ask("go on, please", f"About your {name}."))
    for earlier, later in pairwise(bodies):
        assert goes_on(CHAT, earlier, later)
    assert len(blocks(bodies[2])) == 3


async def test_of_a_history_without_its_beginning_the_blocks_of_the_rest_stay_and_what_went_is_shown_again(
    runtime: Runtime,
) -> None:
    client = Client(runtime)
    await tell(runtime, FACTS["cat"])
    await client.ask("What is my cat called?", "Felix, said the block.")
    await tell(runtime, FACTS["car"])
    before = await client.ask("And which car do I drive?")
    client.history = client.history[2:]
    after = await client.ask("And what else do you know?")
    assert after["messages"][1] == before["messages"][3], "the message that is still there has its block"
    assert FACTS["cat"] in blocks(after)[-1], "its block is gone: what it showed is new"


async def test_an_edited_history_loses_the_blocks_of_the_branch_that_was_dropped(runtime: Runtime) -> None:
    client = Client(runtime)
    await tell(runtime, FACTS["cat"])
    await client.ask("What is my cat called?")
    kept = list(client.history)
    await tell(runtime, FACTS["car"])
    before = await client.ask("And which car do I drive?")
    client.history = kept
    after = await client.ask("Tell me about the vehicles I own.")
    assert after["messages"][:3] == before["messages"][:3], "the part before the edit is as it was"
    assert len(blocks(after)) == 2
    assert FACTS["car"] in blocks(after)[1], "what only the dropped branch showed is new again"


async def test_a_client_that_sends_its_last_message_only_gets_a_whole_block_each_time(runtime: Runtime) -> None:
    client = Client(runtime, name="lone")
    await tell(runtime, FACTS["cat"])
    for question in ("What is my cat called?", "Where does my cat sleep?"):
        client.history = []
        body = await client.ask(question)
        assert len(blocks(body)) == 1
        assert FACTS["cat"] in blocks(body)[0]


@pytest.mark.parametrize("newer_goes_on", [True, False], ids=["the newer", "the older"])
async def test_the_blocks_of_chats_that_part_stay(runtime: Runtime, newer_goes_on: bool) -> None:
    older, newer = Client(runtime, name=None), Client(runtime, name=None)
    await tell(runtime, FACTS["cat"])
    await tell(runtime, FACTS["car"])
    begun = {client: await client.ask(text) for client, text in ((older, "Feed my cat."), (newer, "Wash my car."))}
    assert older.call.session_id == newer.call.session_id, "what begins without a name is in one session at first"
    client = newer if newer_goes_on else older
    bodies = [begun[client], await client.ask("And then?"), await client.ask("What else?")]
    assert older.call.session_id != newer.call.session_id or not newer_goes_on
    for earlier, later in pairwise(bodies):
        assert goes_on(CHAT, earlier, later)
    assert blocks(bodies[0])


async def test_a_later_block_takes_less_unless_it_shows_the_conversation_itself(tmp_path: Path) -> None:
    async for runtime in running(tmp_path, context_tokens=1_000, context_tokens_later=200):
        for number in range(12):
            await tell(runtime, *(f"The {name} number {number} is {'very ' * 25}{name}." for name in ("tree", "boat")))
        await process(runtime)
        client = Client(runtime)
        first = blocks(await client.ask("Which trees do I know?"))
        second = blocks(await client.ask("Which boats do I know?"))
        assert 400 < count_tokens(first[0]) <= 1_000
        assert count_tokens(second[1]) <= 200
        assert "The boat number" in second[1]
        await tell(runtime, f"A letter of {'many ' * 400}words.")
        third = blocks(await client.ask("Which towers do I know?"))
        assert count_tokens(third[2]) > 400, "what is going on elsewhere is shown as far as ever"


async def test_where_all_blocks_together_have_no_room_the_oldest_go_for_good(tmp_path: Path) -> None:
    async for runtime in running(tmp_path, context_tokens=200):
        client = Client(runtime)
        counted: list[list[int]] = []
        for number in range(7):
            await tell(runtime, f"Fact {number}: " + " ".join(f"word{number}x{word}" for word in range(30)))
            body = await client.ask(f"What is fact {number} about?", f"It is number {number}.")
            counted.append([count_tokens(block) for block in blocks(body)])
            assert f"Fact {number}:" in blocks(body)[-1], "what is new has room"
        assert all(sum(each) <= 800 for each in counted)
        kept = [len(each) for each in counted]
        assert max(kept) > 2, "as long as they have room, all stay"
        drops = [later <= earlier for earlier, later in pairwise(kept)]
        assert any(drops)
        assert not any(first and second for first, second in pairwise(drops)), "several go at once"
        laid = await kept_blocks(runtime._state, Owner("acme", "ana"), client.call.session_id or "")
        assert len(laid) == kept[-1], "what gave way does not come back"


async def test_the_model_does_not_wait_for_a_block_to_be_kept_but_the_end_of_the_answer_does(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(runtime, FACTS["cat"])
    released, keep, events = asyncio.Event(), runtime._state.lay_block, list[str]()

    async def slowly(*args: Any, **kwargs: Any) -> None:
        await released.wait()
        await keep(*args, **kwargs)
        events.append("kept")

    async def store(exchange: Exchange, within: float) -> bool:
        events.append("stored")
        return await runtime.store(exchange, within)

    async def send(event: Event) -> None:
        events.append(event["type"])

    monkeypatch.setattr(runtime._state, "lay_block", slowly)
    monkeypatch.setattr("recallr_litellm.gateway.laid_blocks._KEEPING_SECONDS", 60.0)
    client = Client(runtime)
    client.history += CHAT.user("What is my cat called?")
    assert blocks(await client.send())
    answer = Answer(
        client.call, send, store=store, later=runtime.store_later, deadline=lambda _: 60.0, reporter=Reporter()
    )
    kind = [(b"content-type", b"application/json")]
    await answer({"type": "http.response.start", "status": 200, "headers": kind})
    said = {"choices": [{"message": {"role": "assistant", "content": "Felix."}, "finish_reason": "stop"}]}
    ending = asyncio.create_task(answer({"type": "http.response.body", "body": json.dumps(said).encode()}))
    released.set()
    await ending
    assert events == ["kept", "stored", "http.response.start", "http.response.body"]


async def test_where_the_window_is_short_the_oldest_go_first(tmp_path: Path) -> None:
    async for runtime in running(tmp_path, window=1_500):
        client = Client(runtime)
        await tell(runtime, FACTS["cat"])
        await client.ask("What is my cat called?")
        await tell(runtime, FACTS["car"])
        await client.ask("Which car do I drive?", "word " * 1_140)
        await tell(runtime, FACTS["home"])
        body = await client.ask("Where do I live?")
        assert client.call.status == "degraded; reason=window"
        assert len(blocks(body)) == 1
        assert FACTS["home"] in blocks(body)[0]


QUESTION = "What is my cat called?"


@pytest.mark.parametrize(
    ("name", "marked", "as_sent_later"),
    [
        ("chat", {"role": "user", "content": QUESTION, **MARK}, QUESTION),
        ("chat", {"role": "user", "content": [{"type": "text", "text": QUESTION, **MARK}]}, QUESTION),
        ("messages", {"role": "user", "content": [{"type": "text", "text": QUESTION, **MARK}]}, QUESTION),
        (
            "messages",
            {
                "role": "user",
                "content": [{"type": "text", "text": "A text."}, {"type": "text", "text": "Why?", **MARK}],
            },
            [{"type": "text", "text": "A text."}, {"type": "text", "text": "Why?"}],
        ),
    ],
)
async def test_memory_stands_behind_what_is_marked_for_caching_and_stays_there(
    runtime: Runtime, name: str, marked: dict[str, Any], as_sent_later: Any
) -> None:
    format = FORMATS[name]
    client = Client(runtime, format)
    await tell(runtime, FACTS["cat"])
    client.history = [marked]
    first = await client.send()
    text = json.dumps(first["messages"])
    assert text.index("cache_control") < text.index("<recallr_memory now="), "what is cached has no memory in it"
    await client.answered(text="Felix.")
    client.history[0] = {"role": "user", "content": as_sent_later}
    later = await client.ask("And since when?")
    without_mark = json.loads(json.dumps(first).replace(f", {json.dumps(MARK)[1:-1]}", ""))
    assert goes_on(format, without_mark, later), "the mark goes with the last message, the block stays"


async def test_with_a_mark_for_the_whole_request_earlier_blocks_are_the_same_bytes(runtime: Runtime) -> None:
    client = Client(runtime, FORMATS["messages"])
    await tell(runtime, FACTS["cat"])
    first = await client.ask("What is my cat called?", **MARK)
    await tell(runtime, FACTS["car"])
    later = await client.ask("And which car do I drive?", **MARK)
    assert goes_on(client.format, first, later)
    assert len(blocks(later)) == 2
    assert later["cache_control"] == MARK["cache_control"]


async def test_memory_stands_behind_a_marked_system_message_after_the_users(runtime: Runtime) -> None:
    client = Client(runtime)
    await tell(runtime, FACTS["cat"])
    rules = {"role": "system", "content": [{"type": "text", "text": "Be brief.", **MARK}]}
    client.history = [*CHAT.user("What is my cat called?"), rules]
    first = await client.send()
    assert first["messages"][:1] == client.history[:1]
    assert "Felix" in first["messages"][-1]["content"], "in a message of its own"
    assert first["messages"][-1]["role"] == "user"


async def test_the_instructions_stand_before_the_oldest_block_where_a_model_takes_no_system_message(
    tmp_path: Path,
) -> None:
    async for runtime in running(tmp_path):
        runtime.recollection._model_behind = lambda *_, **__: Model(takes_system=False)
        client = Client(runtime)
        await tell(runtime, FACTS["cat"])
        first = await client.ask("What is my cat called?")
        await tell(runtime, FACTS["car"])
        second = await client.ask("Which car do I drive?")
        assert goes_on(CHAT, first, second)
        assert json.dumps(second).count("# Memory") == 1


async def test_a_block_that_a_guardrail_refused_is_not_laid_again(runtime: Runtime) -> None:
    client = Client(runtime)
    await tell(runtime, FACTS["cat"])
    await client.ask("Hello.", "Hi.")
    await tell(runtime, FACTS["car"])
    client.history += CHAT.user("Which car do I drive?")
    body = await client.send()
    assert "Volvo" in blocks(body)[-1]
    client.call.refused = True
    client.call.take_back()
    body = CHAT.body(client.history)
    await runtime.recollection.enrich(client.call, body, CHAT.call_type)
    assert blocks(body) == []
    await client.answered(text="A car.")
    again = await client.ask("Thank you.")
    assert "recallr" not in json.dumps(again["messages"][3:4]), "the message whose block was refused stays without"


@pytest.mark.parametrize("name", ["chat", "responses"])
async def test_into_the_system_message_goes_what_is_found_for_this_turn(tmp_path: Path, name: str) -> None:
    format = FORMATS[name]
    async for runtime in running(tmp_path, inject="system"):
        client = Client(runtime, format)
        await tell(runtime, FACTS["cat"])
        for question in ("What is my cat called?", "Where does my cat sleep?"):
            client.history += format.user(question)
            first = await client.send(tools=[{}])
            await client.answered(tool=question)
            client.history += format.result(question, "nothing")
            await tell(runtime, f"Said after: {question}")
            second = await client.send(tools=[{}])
            await client.answered(text="I see.")
            assert FACTS["cat"] in blocks(first)[0]
            assert blocks(second) == blocks(first), "a turn has one block"
            system = [body.get(format.system) or body[format.messages][0]["content"] for body in (first, second)]
            assert "<recallr_memory now=" in system[0]
            assert system[0] == system[1]
