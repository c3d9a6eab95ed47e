"""Who a name is: one user at a time, whatever it is called, and nobody who was forgotten."""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

import pytest

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import User
from recallr_litellm.errors import UserExists, UserForgotten, UserNotFound
from recallr_litellm.memory.users import UserDirectory
from recallr_litellm.services.forgetting import Forgetting
from recallr_litellm.services.sessions import SessionService
from recallr_litellm.services.users import Users
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.vectors import schema
from recallr_litellm.stores.vectors.engine import Point
from recallr_litellm.stores.vectors.points import point_id
from recallr_litellm.stores.vectors.users import UserOrder
from tests.unit.memory.conftest import ANA, Plugin

ACME = Project("acme")
PASSED = int(time.time() * 1000) - 60_000


@pytest.fixture
def directory(plugin: Plugin) -> UserDirectory:
    return plugin.sessions.users


async def test_of_many_who_make_a_user_at_once_all_get_the_same(plugin: Plugin) -> None:
    directories = [UserDirectory(plugin.state, plugin.vectors) for _ in range(6)]
    ana = Owner("acme", "ana")
    owners = await asyncio.gather(*(one.admit(ana, at=PASSED, create=True) for one in directories))
    assert {owner.key for owner in owners} == {ana.key}
    users, total = await plugin.vectors.list_users(ACME, offset=0, limit=10)
    assert ([one.user.user for one in users], total) == (["ana"], 1)


async def test_a_user_that_is_not_to_be_made_is_not_found(directory: UserDirectory) -> None:
    with pytest.raises(UserNotFound, match="Allow-New-User-Creation"):
        await directory.admit(Owner("acme", "nobody"), at=PASSED, create=False)


async def test_a_renamed_user_keeps_its_sessions_and_its_old_name_is_nobodys(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    before = await plugin.sessions.open(plugin.request(Owner("acme", "ana"), at=PASSED))
    renamed = await directory.change(before.owner, name="anna")
    assert (renamed.owner.key, renamed.user) == (before.owner.key, "anna")
    after = await plugin.sessions.open(plugin.request(Owner("acme", "anna"), allow_new_user=False))
    assert (after.owner.key, after.id) == (before.owner.key, before.id)
    with pytest.raises(UserNotFound):
        await plugin.sessions.open(plugin.request(Owner("acme", "ana"), allow_new_user=False))
    assert await directory.find(ACME, "ana") is None


async def test_a_name_that_was_given_up_can_be_anothers(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    first = (await directory.create(ACME, "ana", metadata={})).owner
    await directory.change(first, name="anna")
    second = (await directory.create(ACME, "ana", metadata={})).owner
    assert second.key != first.key
    for _ in range(2):  # also when the process knows it
        session = await plugin.sessions.open(plugin.request(Owner("acme", "ana"), allow_new_user=False))
        assert session.owner.key == second.key, "a request got the memory of who had the name before"
    assert (await plugin.sessions.open(plugin.request(Owner("acme", "anna")))).owner.key == first.key


async def test_a_process_that_knows_an_outdated_name_notices(plugin: Plugin) -> None:
    """What another worker changes holds for this one at its next request."""
    directory = plugin.sessions.users
    first = (await directory.create(ACME, "ana", metadata={})).owner
    await directory.change(first, name="anna")
    second = (await directory.create(ACME, "ana", metadata={})).owner
    await plugin.sessions.open(plugin.request(Owner("acme", "ana")))  # now this process knows whose the name is
    elsewhere = UserDirectory(plugin.state, plugin.vectors)
    await elsewhere.change(second, name="other")
    await elsewhere.change(first, name="ana")
    assert (await plugin.sessions.open(plugin.request(Owner("acme", "ana")))).owner.key == first.key


async def test_a_taken_name_is_refused(directory: UserDirectory) -> None:
    ana = (await directory.create(ACME, "ana", metadata={})).owner
    await directory.create(ACME, "ben", metadata={})
    for attempt in (directory.change(ana, name="ben"), directory.create(ACME, "ben", metadata={})):
        with pytest.raises(UserExists, match="User ben already exists"):
            await attempt
    assert (await directory.change(ana, name="ana")).user == "ana", "its own name is not taken"


async def test_of_two_who_take_a_name_at_once_one_gets_it(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    owners = [(await directory.create(ACME, f"user {n}", metadata={})).owner for n in range(4)]
    outcomes = await asyncio.gather(
        *(directory.change(owner, name="wanted") for owner in owners),
        directory.create(ACME, "wanted", metadata={}),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, User) for outcome in outcomes) == 1, outcomes
    assert sum(isinstance(outcome, UserExists) for outcome in outcomes) == 4, outcomes


@pytest.mark.embedded
async def test_a_reader_sees_a_renamed_user_under_exactly_one_name(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    owner = (await directory.create(ACME, "name 0", metadata={"n": 0})).owner
    seen: list[list[str]] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            users, _ = await plugin.vectors.list_users(ACME, offset=0, limit=10)
            seen.append([one.user.user for one in users])
            assert all(one.user.metadata == {"n": int(one.user.user.split()[1])} for one in users), (
                "half of a change is seen"
            )

    reading = asyncio.create_task(read())
    for n in range(1, 20):
        await directory.change(owner, name=f"name {n}", metadata={"n": n})
    done.set()
    await reading
    assert all(len(names) == 1 for names in seen), "a renamed user is there twice, or not at all"
    assert len({names[0] for names in seen}) > 1, "nothing was read while it was renamed"


async def test_users_are_listed_by_project_and_metadata(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    for n in range(5):
        plan = {"plan": "paid" if n % 2 else "free", "tags": ["a", {"b": n}]}
        await directory.create(ACME, f"user {n}", metadata=plan, at=PASSED + n)
    await directory.create(Project("other"), "user 9", metadata={"plan": "paid"})

    async def listed(offset: int, limit: int, **metadata: object) -> tuple[list[str], int]:
        users, total = await plugin.vectors.list_users(ACME, offset=offset, limit=limit, metadata=metadata)  # type: ignore[arg-type]
        return [one.user.user for one in users], total

    assert await listed(0, 2) == (["user 4", "user 3"], 5)
    assert await listed(4, 2) == (["user 0"], 5)
    assert await listed(0, 9, plan="paid") == (["user 3", "user 1"], 2)
    assert await listed(0, 9, plan="paid", tags=["a", {"b": 3}]) == (["user 3"], 1)
    assert await listed(0, 9, plan="none") == ([], 0)


async def test_who_is_there_now_is_listed_first_before_any_session_is_processed(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    sessions = SessionService(plugin.state, plugin.vectors, min_timeout_seconds=600, heard_of=directory.heard_of)
    for n, name in enumerate(("ana", "ben", "zoe")):
        await directory.create(ACME, name, metadata={}, at=PASSED - 1000 + n)

    async def listed() -> list[str]:
        await directory.note_seen()
        users, _ = await plugin.vectors.list_users(ACME, offset=0, limit=9, order=UserOrder.LAST_SEEN)
        return [one.user.user for one in users]

    assert await listed() == ["zoe", "ben", "ana"]
    await plugin.sessions.open(plugin.request(Owner("acme", "ana")))
    assert await listed() == ["ana", "zoe", "ben"]
    await asyncio.sleep(0.002)
    await sessions.create(Owner("acme", "ben"), timeout_seconds=600, metadata={})
    assert await listed() == ["ben", "ana", "zoe"]


async def test_users_of_an_earlier_version_are_known_and_become_listed(plugin: Plugin) -> None:
    ana = Owner("acme", "ana")
    record = json.dumps({"project": "acme", "user": "ana", "created_at": PASSED, "metadata": {}})
    payload = {schema.SCOPE: f"{ana.key}/user", schema.RECORD: record}
    await plugin.vectors._engine.upsert([Point(point_id(ana, schema.Kind.USER), payload)])
    await plugin.state._client.set(keys.user(ana), 1)
    assert await plugin.sessions.users.find(ACME, "ana") == ana
    assert (await plugin.sessions.open(plugin.request(ana, allow_new_user=False))).owner == ana
    assert await plugin.vectors.list_earlier() == 1
    users, total = await plugin.vectors.list_users(ACME, offset=0, limit=10)
    assert ([one.user.user for one in users], total) == (["ana"], 1)
    assert await plugin.vectors.list_earlier() == 0, "it is done once"
    assert (await plugin.sessions.users.change(ana, name="anna")).owner.key == ana.key


async def test_what_came_before_a_user_was_forgotten_makes_no_user(plugin: Plugin) -> None:
    ana = Owner("acme", "ana")
    await plugin.state.forget_name(ana, PASSED)
    for replay in (False, True):
        with pytest.raises(UserForgotten):
            await plugin.sessions.open(plugin.request(ana, at=PASSED - 1), replay=replay)
    assert await plugin.sessions.users.find(ACME, "ana") is None
    assert await plugin.sessions.open(plugin.request(ana, at=PASSED + 1)), "the name can be used again"


async def test_a_request_that_made_no_user_fails_again_when_it_is_sent_again(plugin: Plugin) -> None:
    directory = plugin.sessions.users
    users = Users(plugin.state, plugin.vectors, directory, cast(Forgetting, None))
    await directory.create(ACME, "ana", metadata={})
    for _ in range(2):
        with pytest.raises(UserExists):
            await users.create(ACME, "ana", metadata={}, key="k")
    made = [await users.create(ACME, "ben", metadata={}, key="k") for _ in range(2)]
    assert made[0].user == made[1].user


async def test_a_session_is_told_of_by_the_name_that_its_user_has_now(plugin: Plugin) -> None:
    told: list[str] = []

    async def tell(owner: Owner, session: str, at: int) -> None:
        told.append(owner.user)

    exchange = await plugin.exchange("x", "Hello.")
    assert await plugin.capture.store_or_hold(exchange, within=60)
    await plugin.sessions.users.change(ANA, name="anna")
    await plugin.sessions.users.create(ACME, ANA.user, metadata={})
    claims = await plugin.state.claim(16, lease_seconds=60, now_ms=2**45)
    await plugin.processor(on_processed=tell).process(claims)
    assert told == ["anna"]
