"""The last requests in the console: found by what they were, and each explained."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recallr_litellm.console.pages.request import funnel
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.gateway.explaining import record
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.services.explaining import moment
from recallr_litellm.services.explanation import Candidate, Outcome
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import Client, process, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data"), context_tokens=400):
        await tell(runtime, *(f"My sister number {n} lives in Porto, in house {n}, with {n} cats." for n in range(30)))
        await process(runtime)
        yield runtime, visitor


async def asked(runtime: Runtime, client: Client, text: str, http_status: int = 200) -> str:
    """The id of a request that is explained."""
    await client.ask(text)
    record(runtime.services.explain, client.call, http_status)
    await runtime.services.explain.flush()
    return client.call.request_id


async def test_a_request_is_explained_with_the_chat_as_it_was_then(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    client = Client(runtime, name="chat", min_top_k="30")
    await asked(runtime, client, "Where does my sister live?")
    second = await asked(runtime, client, "And how many <cats> has she?", 500)
    await asked(runtime, client, "Thanks a lot!")
    page = await visitor.page("/request", id=second)
    chat = page[page.index('<ol class="chat"') : page.index("</ol>")]
    assert "Where does my sister live?" in chat
    assert "And how many <cats> has she?" in chat
    assert "Thanks a lot!" not in page, "what was said later is shown"
    blocks = re.findall(r"Memory, in front of what the user said: \d+ tokens, ([^<]*)</p>", chat)
    assert blocks[0] == "laid by an earlier request"
    assert chat.index("<recallr_memory") < chat.index("Where does my sister live?"), "the block stood in front of it"
    assert "The call failed, so that what was said in this request was not stored." in page
    assert "What had no room" in page
    [found] = re.findall(r'<th scope="row">Found</th><td>(\d+)</td>', page)
    [shown] = re.findall(r'<th scope="row">Shown in the new block</th><td>(\d+)</td>', page)
    assert int(found) > int(shown)
    shares = re.findall(r"[+-]\d+\.\d\d, (\d+) %", page)
    assert shares
    assert all(int(share) <= 100 for share in shares)

    await runtime.services.forgetting.forget_session(Owner("acme", "ana"), client.call.session_id or "")
    assert "no longer kept" in await visitor.page("/request", 404, id=second), "forgetting leaves what quotes it"


async def test_of_a_request_that_was_refused_it_is_said_why(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    client = Client(runtime, max_top_k="900")
    client.history += client.format.user("Where does my sister live?")
    with pytest.raises(InvalidHeaders):
        await client.send()
    record(runtime.services.explain, client.call, 400)
    await runtime.services.explain.flush()
    page = await visitor.page("/request", id=client.call.request_id)
    assert "X-Recallr-Max-Top-K" in page
    assert "The chat is not there (any more)." in page
    assert "Where does my sister live?" not in page


async def test_requests_are_found_by_what_they_were(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    one = Client(runtime, user="bo", recall_strategy="low_latency")
    quick = await asked(runtime, one, "Hello, I am Bo & co.")
    agentic = await asked(runtime, Client(runtime, user="bo", recall_strategy="auto", name="b"), "Who am I?")
    other = await asked(runtime, Client(runtime, user="cy", recall_strategy="low_latency"), "Hello, I am Cy.")
    session = one.call.session_id or ""
    assert await found(visitor) >= {quick, agentic, other}
    assert await found(visitor, user="bo", strategy="low_latency") >= {quick}
    assert other not in await found(visitor, user="bo")
    assert await found(visitor, user="bo", session=session[:12]) == {quick}
    assert await found(visitor, user="bo", strategy="auto") == {agentic}
    assert await found(visitor, user="bo", status="degraded") == set()
    assert "No request that is kept fits." in await visitor.page("/requests", user="nobody")


async def found(visitor: Visitor, **wanted: str) -> set[str]:
    answer = await visitor.client.get("/requests", params=wanted)
    return set(re.findall(r"request\?project=acme&amp;id=([^\"]+)", answer.text))


def test_the_funnel_ends_with_what_is_shown() -> None:
    outcomes: list[Outcome] = ["shown", "no_room", "below_threshold", "below_threshold", "shown_before"]
    candidates = [Candidate("passage", str(n), "s", moment(0), "", outcome) for n, outcome in enumerate(outcomes)]
    assert funnel(candidates, 10) == [
        ("unlisted", 10, 5),
        ("below_threshold", 2, 3),
        ("no_room", 1, 2),
        ("shown_before", 1, 1),
    ]
