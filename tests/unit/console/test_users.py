"""The users of a project: found by a part of their name, in an order, page by page, whatever they are called."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recallr_litellm.core.owner import Project
from recallr_litellm.gateway.runtime import Runtime
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import process, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACME = Project("acme")
ODD = ("a b/c?d=e&f#g", "Zoë <b>'\"", "100%+_\\", "用户 ١٢٣", "x" * 256, "../users")
LONG_AGO = 1_700_000_000_000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    """Ana, who was heard of just now, users with odd names, and more than a page of others."""
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        names = [*ODD, *(f"visitor-{n:02}@example.com" for n in range(60))]
        for number, name in enumerate(names):
            await runtime.services.users.create(ACME, name, metadata={}, at=LONG_AGO + number)
        await runtime.services.users.create(Project("other"), "ana of another project", metadata={})
        await tell(runtime, "My sister lives in Porto.", "I have a dog called Rex.")
        await process(runtime)
        yield runtime, visitor


async def listed(visitor: Visitor, address: str = "/users", **query: str | int) -> tuple[list[str], str | None]:
    """Names on a page, and the address of the next one."""
    answer = await visitor.client.get(address, params=query or None)
    assert answer.status_code == 200, answer.text
    names = re.findall(r'<th scope="row"><a href="[^"]*">([^<]*)</a>', answer.text)
    later = re.search(r'<a href="([^"]*)" rel="next"', answer.text)
    return [html.unescape(name) for name in names], html.unescape(later[1]) if later else None


async def test_each_is_listed_once_page_by_page_in_the_order_asked_for(place: tuple[Runtime, Visitor]) -> None:
    for order, first in (("last_seen", "ana"), ("created", "ana"), ("name", "../users")):
        names, later = await listed(place[1], order=order)
        assert names[0] == first, order
        while later is not None:
            assert f"order={order}" in later, "an address that can be sent to a colleague"
            more, later = await listed(place[1], later.removeprefix("/recallr/console"))
            names += more
        assert len(names) == len(set(names)) == 67, order
        assert set(ODD) < set(names)


async def test_a_part_of_the_name_is_enough(place: tuple[Runtime, Visitor]) -> None:
    assert (await listed(place[1], name="TOR-07"))[0] == ["visitor-07@example.com"]
    assert len((await listed(place[1], name="@example.com", offset=50))[0]) == 10
    assert (await listed(place[1], name="an"))[0] == ["ana"], "another project's user is shown"
    assert (await listed(place[1], name="ZOË"))[0] == [ODD[1]]
    page = await place[1].page("/users", name="nobody at all")
    assert "No user has this in its name" in page
    assert "The list ends before." in await place[1].page("/users", offset=100)


async def test_how_much_there_is_of_a_user_is_told(place: tuple[Runtime, Visitor]) -> None:
    page = await place[1].page("/users", name="ana")
    assert re.search(r"<td>2</td>\s*<td>0</td>", page)


@pytest.mark.parametrize("name", ODD)
async def test_any_name_has_a_page_that_its_address_leads_to(place: tuple[Runtime, Visitor], name: str) -> None:
    answer = await place[1].client.get("/users", params={"name": name})
    [address] = re.findall(r'href="/recallr/console(/user\?[^"]*)"', answer.text)
    page = await place[1].page(html.unescape(address))
    assert f"<h1>User {name}</h1>" in page
    assert "Nothing was said yet." in page
