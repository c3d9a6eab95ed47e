"""The overview: what there is, requests over time, what waits, and whether all works."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recallr_litellm.errors import VectorsUnavailable
from recallr_litellm.gateway.runtime import Runtime
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import Client, process, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        await tell(runtime, "My sister lives in Porto.", "I have a dog called Rex.")
        await process(runtime)
        await Client(runtime).ask("Where does my sister live?")
        runtime.services.operations._count_at = 0.0  # the visitor has seen the overview before
        yield runtime, visitor


def numbers(page: str) -> dict[str, str]:
    """Name → number, as the page shows them."""
    found = re.findall(r"<dt>(?:<a[^>]*>)?([^<]*)(?:</a>)?</dt><dd>([^<]*)</dd>", page)
    return dict(found)


async def test_it_says_what_there_is_and_what_waits(place: tuple[Runtime, Visitor]) -> None:
    shown = numbers(await place[1].page("/overview"))
    assert shown["Users"] == "1"
    assert shown["Processed sessions"] == "2"
    assert shown["Sessions in progress"] == "1"
    assert shown["Failed sessions"] == shown["Webhook events that were refused"] == "0"
    assert "No requests in this time" in await place[1].page("/overview", span="day")


async def test_requests_and_queues_are_plotted_and_told_as_numbers(place: tuple[Runtime, Visitor]) -> None:
    runtime, visitor = place
    for status, seconds in (("ok", 0.004), ("ok", 0.009), ("degraded", 2.5)):
        runtime.services.series.count("acme", status=status, seconds=seconds, tokens=50)
    runtime.services.series.count("other", status="off", seconds=9.0, tokens=7)
    await runtime.services.series.flush()
    await runtime.services.series.sample()
    for span in ("hour", "day", "week"):
        page = await visitor.page("/overview", span=span)
        shown = numbers(page)
        assert (shown["All"], shown["ok"], shown["degraded"]) == ("3", "2", "1"), span
        assert (shown["Tokens put into prompts"], float(shown["Milliseconds added, p99"])) == (
            "150",
            pytest.approx(3000, rel=0.2),
        )
        assert page.count("data-plot=") == 4
        [row] = re.findall(r"<tr><td>.*?</tr>", page, re.DOTALL)
        assert "1 degraded, 2 ok" in row
        assert "1 Sessions in progress" in row


async def test_what_does_not_work_is_named_and_the_rest_is_shown(
    place: tuple[Runtime, Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, visitor = place
    assert (await visitor.page("/overview")).count(": works") == 4

    async def away() -> None:
        raise VectorsUnavailable("an address that is nobody's business")

    with monkeypatch.context() as patched:
        patched.setattr(runtime._vectors, "_opened", None)
        patched.setattr(runtime._vectors, "open", away)
        assert not await runtime._vectors_breaker.probe()
        page = await visitor.page("/overview")
    assert "Qdrant: does not work (VectorsUnavailable)" in page
    assert "nobody's business" not in page
    assert "Requests are served without memory" in page
    assert "cannot be reached now" in page
    assert "Users" not in numbers(page)
    assert numbers(page)["Failed sessions"] == "0"
