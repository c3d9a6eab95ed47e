"""The playground: every header of recall, two settings side by side, nothing stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.api.rest.errors import detail_of
from recallr_litellm.console.controls import recall_controls
from recallr_litellm.console.pages.playground import compared
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.request_headers import HEADER_NAMES, RawHeaders, parse
from recallr_litellm.services.shown import Piece
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import process, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASKED = {"user": "ana", "question": "Where does my sister live?"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        await tell(runtime, "My sister lives in Porto.", "I have a dog called Rex.")
        await process(runtime)
        yield runtime, visitor


async def test_every_header_that_recall_reads_is_a_control(place: tuple[Runtime, Visitor]) -> None:
    page = await place[1].page("/playground")
    assert len(recall_controls()) == len(RecallOptions.__slots__)
    for one in recall_controls():
        assert one.header in HEADER_NAMES.values()
        assert page.count(f'name="a_{one.field}"') == page.count(f'name="b_{one.field}"') == 1, one.field


async def test_what_only_one_side_shows_is_named(place: tuple[Runtime, Visitor]) -> None:
    page = await place[1].page(
        "/playground", **ASKED, a_memories_threshold="0", b_min_top_k="0", b_max_top_k="0", b_summaries_threshold="1"
    )
    assert "only A" in page
    assert "only B" not in page
    text_of_a, text_of_b = page.rsplit("<h2>Settings ", 2)[1:]
    assert "My sister lives in Porto." in text_of_a
    assert "My sister lives in Porto." not in text_of_b
    same = await place[1].page("/playground", **ASKED, a_max_top_k="20", b_max_top_k="20")
    assert "0 only by A, 0 only by B" in same


async def test_a_bad_value_is_answered_as_by_the_api(place: tuple[Runtime, Visitor]) -> None:
    with pytest.raises(InvalidHeaders) as refused:
        parse(
            RawHeaders((("x-recallr-max-top-k", "500"), ("x-recallr-timezone", "Mars"))), min_session_timeout_seconds=1
        )
    said = detail_of(refused.value)[1]
    page = await place[1].page("/playground", **ASKED, a_max_top_k="500", a_timezone="Mars")
    assert page.count(str(said)) == 2, "beside the controls, and where the answer would be"
    assert 'value="500"' in page, "what was entered is gone"
    await place[1].page("/playground", 404, user="nobody", question="Who am I?")


async def test_nothing_is_stored(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    await visitor.page("/playground", **ASKED)  # what any page notes of a user who is looked at is noted by now
    before = await everything(runtime)
    for strategy in ("low_latency", "balanced", "agentic", "auto"):
        query = {**ASKED, "question": f"Has my sister a dog? ({strategy})", "a_recall_strategy": strategy}
        await visitor.page("/playground", **query, b_last_n_user_messages="9", b_last_n_summaries="9")
    await runtime.services.explain.flush()
    assert await everything(runtime) == before


async def everything(runtime: Runtime) -> dict[str, Any]:
    """All that Redis holds, and how much Qdrant does."""
    redis: Any = runtime._state._client
    found = {
        str(key): await redis.execute_command("DUMP", key, NEVER_DECODE=True)
        for key in await redis.keys("*")
        if ":series:" not in key
    }
    owner = Owner("acme", "ana")
    sessions = await runtime._vectors.newest_sessions(owner)
    messages = [len(await runtime._vectors.read_messages(owner, session.id)) for session in sessions]
    requests = await runtime.services.explain.list(Project("acme"))
    return found | {"sessions": len(sessions), "messages": messages, "requests": requests[1]}


def test_what_differs_comes_first() -> None:
    one, two, three = (Piece("passage", id, ("s",), id, relevance=0.5) for id in ("one", "two", "three"))
    found = compared([[one, two], [one, three]])
    assert [(each.piece.id, each.shown) for each in found] == [
        ("two", [True, False]),
        ("three", [False, True]),
        ("one", [True, True]),
    ]
