"""The last messages of the user and the last summaries, across sessions."""

from recallr_litellm.core.records import Memory, Session, Span
from recallr_litellm.stores.vectors import VectorStore
from tests.unit.stores.vectors.vector_samples import ADA, BOB, START, passage, session, stored, turn


async def test_last_messages_come_from_all_sessions_oldest_first(store: VectorStore) -> None:
    await store.save_session(
        ADA,
        session("s1"),
        [
            turn(stored(0, "one", at=START), passage("one")),
            turn(stored(1, "an answer", role="assistant", at=START + 1), passage("an answer")),
            turn(stored(2, "four", at=START + 40)),
        ],
        None,
    )
    await store.save_session(
        ADA,
        session("s2"),
        [
            turn(stored(0, "two", at=START + 20), passage("t"), passage("w"), passage("o")),
            turn(stored(1, "a result", role="tool", at=START + 50), passage("a result")),
            turn(stored(2, "three", at=START + 30), passage("thr"), passage("ee")),
        ],
        None,
    )

    assert await _last(store, 3) == [("s2", "two"), ("s2", "three"), ("s1", "four")], "a message counts once"
    assert await _last(store, 99) == [("s1", "one"), ("s2", "two"), ("s2", "three"), ("s1", "four")]
    assert await _last(store, 2, exclude={"s1"}) == [("s2", "two"), ("s2", "three")]


async def test_of_messages_that_came_together_the_last_by_position_are_the_newest(store: VectorStore) -> None:
    # A client that sends its whole history at once: one time for all of it.
    history = [turn(stored(n, f"message {n}", at=START), passage(f"message {n}")) for n in range(40)]
    await store.save_session(ADA, session(), history, None)
    assert await _last(store, 3) == [("s1", "message 37"), ("s1", "message 38"), ("s1", "message 39")]


async def test_last_summaries_leave_out_sessions_without_one(store: VectorStore) -> None:
    for number, summary in enumerate(["first", "", "third", "fourth"]):
        saved = session(f"s{number}", summary=summary, last_at=START + number)
        await store.save_session(ADA, saved, [], passage(summary) if summary else None)

    assert await _summaries(store, 2) == ["third", "fourth"]
    assert await _summaries(store, 9) == ["first", "third", "fourth"]
    assert await _summaries(store, 2, exclude={"s3"}) == ["first", "third"]


async def test_page_by_page_everything_comes_once_whatever_came_together(store: VectorStore) -> None:
    at = [START + n // 4 for n in range(15)]  # four at a time
    for number, moment in enumerate(at):
        await store.save_session(ADA, session(f"s{number:02}", last_at=moment), [], None)
    memories = [
        (Memory(id=f"{number:032x}", content="It is so.", created_at=moment, session="s00"), None)
        for number, moment in enumerate(at)
    ]
    await store.save_memories(ADA, memories)
    every_session, every_memory = await store.newest_sessions(ADA), await store.newest_memories(ADA)
    assert len(every_session) == len(every_memory) == 15
    for size in (1, 2, 3, 7, 20):
        offsets = range(0, 20, size)
        sessions = [one for skip in offsets for one in await store.newest_sessions(ADA, size, offset=skip)]
        assert sessions == every_session, f"sessions, {size} at a time"
        told = [one for skip in offsets for one in await store.newest_memories(ADA, size, offset=skip)]
        assert told == every_memory, f"memories, {size} at a time"


async def _last(store: VectorStore, n: int, exclude: set[str] = frozenset()) -> list[tuple[str, str]]:
    found = await store.last_user_messages(ADA, n, exclude_sessions=exclude)
    return [(session_id, message.message.text) for session_id, message in found]


async def _summaries(store: VectorStore, n: int, exclude: set[str] = frozenset()) -> list[str]:
    return [found.summary for found in await store.last_summaries(ADA, n, exclude_sessions=exclude)]


async def test_of_the_sessions_of_a_time_those_that_ended_last_come_oldest_first(store: VectorStore) -> None:
    for number in range(6):
        await store.save_session(ADA, lasted(f"s{number}", 10 * number - 4, 10 * number), [], None)
    await store.save_session(BOB, lasted("bobs", 6, 10), [], None)

    async def between(since: int, until: int, n: int = 9, exclude: set[str] = frozenset()) -> list[str]:
        found = await store.sessions_between(ADA, Span(START + since, START + until), n, exclude_sessions=exclude)
        return [session.id for session in found]

    assert await between(10, 30) == ["s1", "s2", "s3"], "both ends are included, and nothing of another user"
    assert await between(8, 8) == ["s1"], "it began before and ended after"
    assert await between(-100, 100, n=2) == ["s4", "s5"]
    assert await between(-100, 20, n=1) == ["s2"], "later sessions take no room"
    assert await between(10, 30, exclude={"s2"}) == ["s1", "s3"]
    assert await between(11, 15) == []
    assert await between(30, 10) == []


def lasted(id: str, began: int, ended: int) -> Session:
    return session(id, last_at=START + ended).model_copy(update={"created_at": START + began})
