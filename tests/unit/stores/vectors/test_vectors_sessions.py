"""Sessions are written whole, read whole, and can be written again at any time."""

import pytest

from recallr_litellm.core.messages import Message, StoredMessage, ToolCall
from recallr_litellm.core.records import Turn
from recallr_litellm.errors import VectorsUnavailable
from recallr_litellm.stores.vectors import Engine, VectorStore
from recallr_litellm.stores.vectors.schema import Kind
from tests.unit.stores.vectors.vector_samples import ADA, START, count, passage, session, stored, terms, texts, turn


async def test_a_session_comes_back_as_it_was_saved(store: VectorStore) -> None:
    saved = session(messages=3, summary="They talked.", last_at=START + 5)
    asked = StoredMessage(
        id="a",
        exchange="x",
        position=4,
        at=START,
        message=Message(role="user", text="What is this? \u0000 — ü 🦜", attachments=("image_url",)),
    )
    called = StoredMessage(
        id="b",
        exchange="x",
        position=7,
        parent="a",
        at=START + 1,
        partial=True,
        message=Message(role="assistant", tool_calls=(ToolCall(id="t", name="look", arguments='{"n": 1e400}'),)),
    )
    result = StoredMessage(
        id="c", exchange="y", position=9, at=START + 2, message=Message(role="tool", text="{}", tool_call_id="t")
    )
    turns = [turn(result), turn(asked, passage("What is this?", 0, sparse=terms(1)), passage("🦜", 1)), turn(called)]

    await store.save_session(ADA, saved, turns, passage("They talked.", 2, sparse=terms(2)))

    assert await store.get_session(ADA, "s1") == saved
    assert await store.read_messages(ADA, "s1") == [asked, called, result], "whole messages, in order of position"


async def test_a_message_that_is_no_longer_in_the_session_vanishes_with_all_its_passages(
    store: VectorStore, engine: Engine
) -> None:
    kept = turn(stored(0, "kept"), passage("kept"))
    regenerated = turn(stored(1, "first try", role="assistant", id="old"), passage("first"), passage("try"))
    better = turn(stored(1, "better", role="assistant", id="new"), passage("better"))
    other = turn(stored(0, "untouched", id="elsewhere"), passage("untouched"))
    await store.save_session(ADA, session("s2"), [other], None)
    await store.save_session(ADA, session("s1"), [kept, regenerated], None)

    await store.save_session(ADA, session("s1"), [kept, better], None)

    assert texts(await store.read_messages(ADA, "s1")) == ["kept", "better"]
    assert await count(engine, ADA, Kind.TURN) == 3, "a passage of the replaced answer was left behind"
    assert texts(await store.read_messages(ADA, "s2")) == ["untouched"], "another session lost messages"


async def test_a_shortened_message_loses_the_passages_it_no_longer_has(store: VectorStore, engine: Engine) -> None:
    message = stored(0)
    await store.save_session(ADA, session(), [turn(message, passage("a"), passage("b"), passage("c"))], None)
    await store.save_session(ADA, session(), [turn(message, passage("a"))], None)
    assert await count(engine, ADA, Kind.TURN) == 1


async def test_1500_messages_come_back_complete_and_in_order(store: VectorStore) -> None:
    turns = [turn(stored(position, f"message {position}")) for position in reversed(range(1500))]
    await store.save_session(ADA, session(messages=1500), turns, None)
    expected = [f"message {position}" for position in range(1500)]
    assert texts(await store.read_messages(ADA, "s1")) == expected


@pytest.mark.parametrize("failing", ["upsert", "delete"])
async def test_an_interrupted_save_loses_nothing_and_can_be_repeated(
    store: VectorStore, engine: Engine, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = _conversation("before")
    after = _conversation("after")
    await store.save_session(ADA, session(), before, None)

    calls = 0
    real = getattr(engine, failing)

    async def dies_at_the_second_batch_or_the_delete(*args: object, **options: object) -> None:
        nonlocal calls
        calls += 1
        if failing == "delete" or calls == 2:
            raise VectorsUnavailable("pulled the plug")
        await real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine, failing, dies_at_the_second_batch_or_the_delete)
        with pytest.raises(VectorsUnavailable):
            await store.save_session(ADA, session(), after, None)

    in_between = {message.id for message in await store.read_messages(ADA, "s1")}
    assert {turn.stored.id for turn in before} <= in_between, "the interrupted save took messages away"

    await store.save_session(ADA, session(), after, None)
    assert await store.read_messages(ADA, "s1") == [turn.stored for turn in after]


def _conversation(name: str) -> list[Turn]:
    """More messages than are written at once."""
    return [turn(stored(n, f"{name} {n}", id=f"{name}{n}"), passage(f"{name} {n}")) for n in range(50)]


async def test_very_long_messages_are_written_too(store: VectorStore) -> None:
    turns = [turn(stored(position, "x" * 700_000), passage("x" * 400)) for position in range(4)]
    await store.save_session(ADA, session(), turns, None)
    assert [len(text) for text in texts(await store.read_messages(ADA, "s1"))] == [700_000] * 4
