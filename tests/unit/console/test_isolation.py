"""No page shows, and no form changes, anything of another project: all routes are tried, new ones too."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from recallr_litellm.console.pages import ROUTERS
from recallr_litellm.console.paths import PREFIX
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.gateway.call import now_ms
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.recall.by_strategy import Question
from recallr_litellm.services.webhooks import LIMITS
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.learning_queue import LearningQueue
from tests.unit.console.kit import ADDRESS, Visitor, visited
from tests.unit.gateway.kit import KEY, Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

OF_ALL = {"/", "/login", "/logout"}
"""Routes that are of no project."""
SECRET = "zebra"
"""Is in every text of the other project."""
AT = "2026-03-01T10:00:00Z"
MEMORY = {"created_at": AT, "session": "5" * 32, "sources": ["m1"]}
DOCUMENT = {
    "format": "recallr-user",
    "version": 1,
    "user": {"id": "ana", "metadata": {"pet": SECRET}},
    "sessions": [
        {"id": "5" * 32, "created_at": AT, "messages": [{"id": "m1", "role": "user", "text": f"I have a {SECRET}."}]}
    ],
    "memories": [
        {**MEMORY, "id": "a" * 32, "content": f"Has a {SECRET}.", "conflict": "c" * 32, "reason": "TEMPORAL_CONFLICT",
         "entities": [{"name": SECRET, "kind": "pet"}]},
        {**MEMORY, "id": "d" * 32, "content": f"Has two {SECRET}s.", "chain": "a" * 32, "expired_at": AT,
         "expiration_reason": "TEMPORAL_CONFLICT"},
    ],
    "conflicts": [
        {**MEMORY, "id": "c" * 32, "memory": "a" * 32, "proposed": "e" * 32, "content": f"Has no {SECRET}.",
         "questions": [{"question": f"Which {SECRET}?", "options": [f"A {SECRET}.", "None."]}]}
    ],
}  # fmt: skip


def routes(method: str) -> Iterator[tuple[str, APIRoute]]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and method in route.methods and route.path not in OF_ALL:
                yield route.path, route


GETS, POSTS = dict(routes("GET")), dict(routes("POST"))
assert {"/user", "/graph"} <= GETS.keys(), "the routes are not found"
assert {"/user/forget", "/projects/create-key"} <= POSTS.keys(), "the routes are not found"


@dataclass
class Place:
    runtime: Runtime
    visitor: Visitor
    """With a key of `acme`."""
    ids: dict[str, str]
    """Of what `globex` has, by the names that pages and forms give them."""

    async def of_globex(self) -> Any:
        """All that there is of it."""
        services, globex, ana = self.runtime.services, Project("globex"), Owner("globex", "ana")
        document = b"".join([part async for part in services.exporter.export(ana)])
        exported = orjson.loads(document)
        exported.pop("exported_at", None)
        return [
            exported,
            # without when they were used last, which is noted in the background
            [replace(key, last_used_at=None) for key in await services.project_admin.list_keys("globex")],
            await services.operations.failed_sessions(globex),
            await services.operations.failed_learning(globex),
            [await services.operations.dead_letters(globex, receiver) for receiver in ("reconify", "webhook")],
            await services.audit.page(["globex"], offset=0, limit=50),
        ]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async for runtime, visitor in visited(tmp_path_factory.mktemp("data")):
        yield Place(runtime, visitor, await fill(runtime))


async def fill(runtime: Runtime) -> dict[str, str]:
    """Have a project `globex` with a user of the same name as one of `acme`, and something of everything."""
    services, state = runtime.services, runtime._state
    await Client(runtime).ask("I am of acme.")
    await services.project_admin.create("globex")
    key, secret = await services.project_admin.create_key("globex", f"key of a {SECRET}")

    async def document() -> AsyncIterator[bytes]:
        yield orjson.dumps(DOCUMENT)

    await services.importer.take(Project("globex"), "ana", document())
    client = Client(runtime, project_id="globex", api_key=secret)
    await client.ask(f"Where is my {SECRET}?")
    assert client.call.session_id is not None
    for _ in range(2):  # of each user one is claimed at a time
        for claim in await state.claim(9, lease_seconds=60, now_ms=now_ms() + 3_600_000):
            if claim.owner.project == "globex":
                await state.set_failed(claim, f"{SECRET}s cannot be processed")
    ana, learning = Owner("globex", "ana"), LearningQueue(state.link, timeout_seconds=60)
    await learning.add(ana, "5" * 32, 1)
    for leased in await learning.claim(9, lease_seconds=60):
        await learning.set_failed(leased, f"{SECRET}s cannot be learned")
    for names in (keys.RECONIFY, keys.WEBHOOKS):
        outbox = Outbox(state.link, names, LIMITS, timeout_seconds=60)
        await outbox.add(ana, f"session of a {SECRET}", "m7", b"{}")
        for delivery in await outbox.claim(9, lease_seconds=60):
            await outbox.bury(delivery, status=400, reason=f"no {SECRET}s", lease_seconds=None)
    question = Question(f"What does a {SECRET} eat?")
    await services.context.context(ana, client.call.session_id, question, RecallOptions(), request_id="r" * 32)
    await services.explain.flush()
    assert await services.explain.get(Project("globex"), "r" * 32)
    await services.audit.note(Project("globex"), f"key of a {SECRET}", "edit memory", memory="a" * 32)
    return {
        "user": "ana",
        "session": client.call.session_id,
        "memory": "a" * 32,
        "version": "d" * 32,
        "conflict": "c" * 32,
        "id": "r" * 32,
        "key": key.id,
        "message": "m7",
    }


OTHERWISE = {"confirmed": "not ana", "content": "x", "answer0": "None.", "pinned": "true", "question": SECRET,
             "receiver": "webhook"}  # fmt: skip
"""What else pages and forms ask for."""
SHARED = {"user"}
"""Names that are of both projects."""


def query(place: Place, route: APIRoute) -> dict[str, str]:
    """An id for each that the page must be told, and for others that are known."""
    known = place.ids | {"question": "Where?"}
    for one in route.dependant.query_params:
        assert one.name in known or not one.field_info.is_required(), f"a {one.name} is to be named in this test"
    return {one.name: known[one.name] for one in route.dependant.query_params if one.name in known}


@pytest.mark.parametrize("path", GETS)
async def test_no_page_of_another_project_is_shown(place: Place, path: str) -> None:
    for project in ("globex", "nobody"):
        answer = await place.visitor.client.get(path, params={**query(place, GETS[path]), "project": project})
        assert answer.status_code in {401, 403, 404}, f"{path}: {answer.status_code}"
        assert SECRET not in answer.text


@pytest.mark.parametrize("path", GETS)
async def test_no_page_of_ones_own_project_shows_what_is_of_another(place: Place, path: str) -> None:
    asked = query(place, GETS[path])
    answer = await place.visitor.client.get(path, params=asked)
    named = asked.keys() & place.ids.keys() - SHARED
    required = {one.name for one in GETS[path].dependant.query_params if one.field_info.is_required()}
    if named & required:
        assert answer.status_code == 404, f"{path}: {answer.status_code}"
    assert answer.status_code < 500, answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize("path", GETS)
async def test_nobody_sees_a_page_without_having_come_in(place: Place, path: str) -> None:
    async with httpx.AsyncClient(transport=place.visitor.client._transport, base_url=ADDRESS) as nobody:
        answer = await nobody.get(path, params={**query(place, GETS[path]), "project": "globex"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{PREFIX}/login")
    assert SECRET not in answer.text


@pytest.mark.parametrize("path", POSTS)
async def test_no_form_changes_another_project(place: Place, path: str) -> None:
    before = await place.of_globex()
    for project in ("globex", "acme"):
        fields = {**OTHERWISE, **place.ids, "project": project, "token": await token(place.visitor.client)}
        answer = await place.visitor.client.post(path, data=fields)
        if project == "globex":
            assert answer.status_code in {401, 403, 404}, f"{path}: {answer.status_code}"
        assert SECRET not in answer.text.replace(html.escape(OTHERWISE["question"]), "")
    assert await place.of_globex() == before


@pytest.mark.parametrize("path", POSTS)
async def test_no_form_is_taken_that_was_not_sent_from_a_page_of_this_visit(place: Place, path: str) -> None:
    client = place.visitor.client
    own = await token(client)
    async with httpx.AsyncClient(transport=client._transport, base_url=ADDRESS, follow_redirects=True) as other:
        await other.post("/login", data={"project": "acme", "key": KEY})
        of_another_visit = await token(other)
    assert own != of_another_visit
    fields = {**OTHERWISE, **place.ids, "project": "acme"}
    forged: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"token": ""}, {}),
        ({"token": of_another_visit}, {}),
        ({"token": own}, {"Origin": "https://example.com"}),
        ({"token": own}, {"Sec-Fetch-Site": "cross-site"}),
        ({"token": own}, {"Sec-Fetch-Site": "same-site"}),
    ]
    for sent, headers in forged:
        answer = await client.post(path, data={**fields, **sent}, headers=headers)
        assert answer.status_code == 403, f"{path}, {sent.keys()}, {headers}: {answer.status_code}"
    async with httpx.AsyncClient(transport=client._transport, base_url=ADDRESS) as nobody:
        answer = await nobody.post(path, data={**fields, "token": own})
    assert answer.headers["location"].startswith(f"{PREFIX}/login")


async def token(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', (await client.get("/audit")).text)
    assert found
    return found[1]
