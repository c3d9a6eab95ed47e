"""The users of a project: found by a part of their name, in an order, page by page, whatever they are called; and all
that there is of one."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import pytest_asyncio

from recallr_litellm.console.pages.memory import differences
from recallr_litellm.console.pages.user import by_day
from recallr_litellm.console.rendering import duration
from recallr_litellm.core.knowledge import Attribute, EntityKind, EntityName
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import Memory
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.printable import printable
from recallr_litellm.services.sessions import SessionInfo, SessionStatus
from tests.unit.console.kit import Visitor, visited
from tests.unit.gateway.kit import know, process, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACME = Project("acme")
ODD = ("a b/c?d=e&f#g", "Zoë <b>'\"", "100%+_\\", "用户 ١٢٣", "x" * 256, "../users")
LONG_AGO = 1_700_000_000_000
ANA = Owner("acme", "ana")
TOLD: dict[str, Any] = {"created_at": LONG_AGO, "session": "5" * 32}
PORTO = EntityName(name="Porto", kind=EntityKind.PLACE)
MEMORIES = (
    Memory(id="a" * 32, content="Lives in Rome, works there.", categories=("home",), attribute=Attribute.HOME, **TOLD),
    Memory(
        id="b" * 32, content="Lives in Porto, works there.", chain="a" * 32, expired_at=LONG_AGO + 1, entities=(PORTO,),
        **TOLD,
    ),
    Memory(id="c" * 32, content="Has a cat.", categories=("pets",), expired_at=LONG_AGO + 2, **TOLD),
    Memory(id="d" * 32, content="<b>Sister</b> lives in Porto.", categories=("family",), entities=(PORTO,), **TOLD),
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Runtime, Visitor]]:
    """Ana, who was heard of just now, users with odd names, and more than a page of others."""
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data"), profile_tokens=200):
        names = [*ODD, *(f"visitor-{n:02}@example.com" for n in range(60))]
        for number, name in enumerate(names):
            await runtime.services.users.create(ACME, name, metadata={}, at=LONG_AGO + number)
        await runtime.services.users.create(Project("other"), "ana of another project", metadata={})
        await tell(runtime, "My sister lives in Porto.", "I have a dog called Rex.")
        await process(runtime)
        await know(runtime, ANA, *MEMORIES)
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
    assert re.search(r"<td>2</td>\s*<td>2</td>", page)


@pytest.mark.parametrize("name", ODD)
async def test_any_name_has_a_page_that_its_address_leads_to(place: tuple[Runtime, Visitor], name: str) -> None:
    answer = await place[1].client.get("/users", params={"name": name})
    [address] = re.findall(r'href="/recallr/console(/user\?[^"]*)"', answer.text)
    page = await place[1].page(html.unescape(address))
    assert f"<h1>User {name}</h1>" in page
    assert "Nothing was said yet." in page


async def test_a_user_has_a_profile_entities_and_sessions_by_day(place: tuple[Runtime, Visitor]) -> None:
    page = await place[1].page("/user", user="ana")
    parts = dict(re.findall(r"<h2>([^<(]*)(?: \(\d+\))?</h2>(.*?)</section>", page, re.DOTALL))
    assert set(parts) == {"Profile", "Sessions", "Memories", "Who and what they speak of"}
    assert "Lives in Rome, works there." in parts["Profile"]
    assert "Sister" not in parts["Profile"]
    assert re.search(r"Porto</a></th>\s*<td>place</td>\s*<td>2</td>", parts["Who and what they speak of"])
    assert parts["Sessions"].count("2 messages, processed") == 2
    assert re.search(r"<h3>\w+day, \d+ \w+ \d{4}</h3>", parts["Sessions"])
    assert "My sister lives in Porto." in parts["Sessions"]
    session, *_ = re.findall(r'href="/recallr/console(/session\?[^"]*)"', page)
    said = await place[1].page(session)
    assert "Noted." in said
    assert "Lasted" in said


async def test_memories_are_chosen_by_what_they_say_their_category_and_whether_they_are_true(
    place: tuple[Runtime, Visitor],
) -> None:
    async def found(**query: str) -> set[str]:
        answer = await place[1].client.get("/user", params={"user": "ana", **query})
        [part] = re.findall(r'<section id="memories">(.*?)</section>', answer.text, re.DOTALL)
        assert "No memory is like this." in part or "<tbody>" in part
        return {id[0] for id in re.findall(r"memory=(\w{32})", part)}

    assert await found() == {"a", "d"}
    assert await found(search="PORTO") == {"d"}
    assert await found(state="expired") == {"c"}, "an earlier version is no memory of its own"
    assert await found(state="all", category="pets") == {"c"}
    assert await found(category="pets") == set()
    assert await found(state="all", search="in", memories="2") == set()
    assert await found(state="all") == {"a", "c", "d"}
    assert (await place[1].client.get("/user", params={"user": "ana", "state": "none"})).status_code == 422


async def test_versions_are_told_apart_by_eye_and_by_ear(place: tuple[Runtime, Visitor]) -> None:
    page = await place[1].page("/memory", user="ana", memory="a" * 32)
    changed = re.search(r"Lives in <del>(.*?)</del> <ins>(.*?)</ins>works there\.", page)
    assert changed, page
    heard = [re.sub(r"<[^>]*>", "", one) for one in changed.groups()]
    assert heard == ["[removed:] Porto, ", "[added:] Rome, "]


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        ("", "new", [("same", "new")]),
        ("a b", "a  b", [("same", "a  b")]),
        ("我住在罗马", "我住在波尔图", [("same", "我住在"), ("removed", "罗马"), ("added", "波尔图")]),
        ("a b", "", [("removed", "a b")]),
    ],
)
async def test_a_difference_is_of_words(old: str, new: str, pieces: list[tuple[str, str]]) -> None:
    assert [tuple(piece) for piece in differences(old, new)] == pieces


async def test_a_day_is_the_viewers() -> None:
    at = 1_764_547_200_000  # midnight in London, 2025-12-01
    sessions = [SessionInfo(str(at), SessionStatus.PROCESSED, at, at, 1, {}) for at in (at + 1, at - 1, at + 3_600_000)]

    def days(zone: str) -> list[tuple[int, int]]:
        return [(day.day, len(of_day)) for day, of_day in by_day(sessions, ZoneInfo(zone))]

    assert days("Europe/London") == [(1, 2), (30, 1)]
    assert days("America/New_York") == [(30, 3)]
    assert [duration(one) for one in (0, 61_000, 3_600_000, 26 * 3_600_000 + 60_000)] == [
        "under a minute", "1 min", "1 h", "1 d 2 h",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [" ana ", *ODD[:3]])
async def test_whoever_is_forgotten_is_named_and_written_down(place: tuple[Runtime, Visitor], name: str) -> None:
    runtime, visitor = place
    await runtime.services.users.create(Project("acme"), name := f"{name}!{name}", metadata={})
    page = str(httpx.URL("/user", params={"user": name}))
    refused = await visitor.send("/user/forget", page, status=422, user=name, confirmed="ana")
    assert "nobody was forgotten" in refused
    assert (await visitor.client.get("/user/export", params={"user": name})).json()["user"]["id"] == name
    assert "The user was forgotten." in await visitor.send("/user/forget", page, user=name, confirmed=name)
    await visitor.page(page, status=404)
    audit = await visitor.page("/audit")
    assert audit.index("forget user") < audit.index("export user")
    assert printable(name) in audit
