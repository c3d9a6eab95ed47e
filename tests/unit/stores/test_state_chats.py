"""Each chat of a user has its session, however many there are at once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from recallr_litellm.core.chats import Chat
from recallr_litellm.core.messages import Message
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import Candidate, CommitResult, Resolved, StateStore, Why, keys
from tests.unit.stores.state_kit import (
    ANA,
    BEN,
    NOW,
    SECOND,
    TIMEOUT,
    Everything,
    resolve,
    said,
    session_with,
    texts_in,
)

pytest_plugins = ("tests.unit.stores.state_fixtures",)

A, B = Chat(key="a" * 32, named_by="header"), Chat(key="b" * 32, named_by="client")


def history(*texts: str, opening: str = "c" * 32) -> Chat:
    """Of a request with these messages of the user before its last answer."""
    return Chat(history=tuple(Message(role="user", text=text) for text in texts), opening=opening, otherwise="opening")


async def find(store: StateStore, chat: Chat, owner: Owner = ANA, *, at: int = NOW, **changes: Any) -> Resolved:
    found = await store.resolve(
        owner,
        new_session_id=uuid.uuid4().hex,
        timeout_seconds=changes.pop("lasting", None),
        default_timeout_seconds=TIMEOUT,
        chat=chat,
        now_ms=at,
        **changes,
    )
    assert isinstance(found, Resolved), found
    return found


async def test_a_name_leads_to_the_chats_own_session(store: StateStore) -> None:
    unnamed = await resolve(store)
    a, b = await find(store, A), await find(store, B)
    assert len({unnamed.session_id, a.session_id, b.session_id}) == 3
    assert (a.why, b.why) == (Why.NEW, Why.NEW)
    again = await find(store, A)
    assert (again.session_id, again.why, again.created) == (a.session_id, Why.CHAT, False)
    assert (await resolve(store)).session_id == unnamed.session_id, (
        "named chats are not what a lone message goes on with"
    )
    assert (await find(store, A, BEN)).session_id != a.session_id, "another user's chat of that name is another"


async def test_the_timeout_slides_for_each_chat_by_itself(store: StateStore) -> None:
    a, b = await find(store, A, lasting=60), await find(store, B)
    assert (await find(store, A, at=NOW + 59 * SECOND)).session_id == a.session_id
    assert (await find(store, A, at=NOW + 118 * SECOND)).session_id == a.session_id
    later = NOW + 178 * SECOND
    next_a = await find(store, A, at=later)
    assert next_a.why is Why.NEW
    assert (await find(store, A, at=later)).session_id == next_a.session_id != a.session_id
    assert (await find(store, B, at=later)).session_id == b.session_id


async def test_concurrent_first_requests_of_a_chat_make_one_session(store: StateStore) -> None:
    for chat in (A, history("Hi"), Chat(key="d" * 32, part=True, otherwise="new")):
        found = await asyncio.gather(*(find(store, chat) for _ in range(30)))
        assert len({each.session_id for each in found}) == 1
        assert sum(each.created for each in found) == 1


async def test_names_of_chats_expire(store: StateStore, everything: Everything) -> None:
    await find(store, A, lasting=700)
    [name] = [key for key in everything.keys("*:chat:*") if ANA.key in key]
    assert 700 < everything.ttl(name) <= 700 + 24 * 3600


async def test_a_session_asked_for_by_its_id_becomes_that_of_the_chat(store: StateStore) -> None:
    await find(store, A)
    session_id = (await find(store, B)).session_id
    found = await find(store, A, requested=session_id)
    assert (found.session_id, found.why) == (session_id, Why.REQUESTED)
    assert (await find(store, A)).session_id == session_id


async def test_a_history_leads_to_the_session_that_holds_most_of_it(store: StateStore) -> None:
    one = await session_with(store, "red", "green", "blue")
    await find(store, Chat(key="e" * 32, named_by="client"))
    two = (await find(store, history("unknown"))).session_id
    add = [said(number, text, exchange="y") for number, text in enumerate(("blue", "cyan"))]
    assert (
        await store.commit(ANA, two, exchange="y", expected_version=0, add=add, drop=[], final=True, now_ms=NOW)
        == "stored"
    )
    assert (await resolve(store)).session_id == two, "the user is in the last one"

    found = await find(store, history("red", "green", "blue", opening="f" * 32))
    assert (found.session_id, found.why) == (one, Why.HISTORY)
    assert (await resolve(store)).session_id == one, "and now in this one"
    assert (await find(store, history("blue", "cyan"))).session_id == two
    refused = await find(store, history("blue", "cyan", opening="f" * 32), refused=[two, one])
    assert refused.why is Why.NEW
    over = await find(store, history("red", "green", opening="9" * 32), at=NOW + TIMEOUT * SECOND)
    assert over.why is Why.NEW, "a session whose time is up is not gone on with"


async def test_a_session_that_holds_one_message_is_not_touched_until_it_is_known_to_be_the_one(
    store: StateStore, everything: Everything
) -> None:
    session_id = await session_with(store, "ok", "red")
    before = sorted(everything.keys("*"))
    found = await store.resolve(
        ANA,
        new_session_id="0" * 32,
        timeout_seconds=9999,
        default_timeout_seconds=TIMEOUT,
        chat=history("ok", "who?"),
        now_ms=NOW + 5,
    )
    assert isinstance(found, Candidate)
    assert (found.session_id, len(found.entries)) == (session_id, 2)
    assert sorted(everything.keys("*")) == before
    assert (await find(store, history("ok", "who?"), preferred=session_id)).why is Why.PREFERRED
    assert (await find(store, history("ok", "who?"), refused=[session_id])).why is Why.NEW


async def test_a_chat_that_gets_its_name_late_keeps_the_session_of_its_history(store: StateStore) -> None:
    session_id = await session_with(store, "red", "green")
    named = Chat(
        key=A.key, named_by="client", history=history("red", "green").history, opening="c" * 32, otherwise="opening"
    )
    assert (await find(store, named)).session_id == session_id
    assert (await find(store, A)).session_id == session_id
    assert (await resolve(store)).session_id != session_id, "a lone message does not go on with a named chat"
    fork = Chat(key=B.key, named_by="client", history=named.history, opening="c" * 32, otherwise="opening")
    assert (await find(store, fork)).session_id != session_id, "the session of another name is never taken over"


async def test_an_answer_leads_back_to_its_chat(store: StateStore) -> None:
    first = await find(store, A)
    answer = Chat(key="7" * 32, named_by="client", part=True)
    unknown = await find(store, answer)
    assert unknown.session_id != first.session_id, "an unknown one goes on as a lone message"
    stored = await store.commit(
        ANA,
        first.session_id,
        exchange="x",
        expected_version=0,
        add=[said(0, "red")],
        drop=[],
        final=True,
        answer="8" * 32,
        now_ms=NOW,
    )
    assert stored is CommitResult.STORED
    known = Chat(key="8" * 32, named_by="client", part=True)
    assert (await find(store, known)).session_id == first.session_id
    over = await find(store, known, at=NOW + TIMEOUT * SECOND)
    assert over.why is Why.NEW, "its chat goes on, its session does not"
    assert (await find(store, known, at=NOW + TIMEOUT * SECOND)).session_id == over.session_id


async def test_messages_of_two_chats_part(store: StateStore, everything: Everything) -> None:
    session_id = await session_with(store, "letter", "pancakes")
    found = await resolve(store)
    ids = [found.entries[1].id]
    new = "5" * 32

    async def part(version: int) -> bool:
        return await store.part(ANA, session_id, new, ids=ids, expected_version=version, enter=True, now_ms=NOW)

    assert not await part(found.version - 1), "somebody wrote to it since"
    assert await part(found.version)
    assert await texts_in(store, session_id) == ["letter"]
    assert await texts_in(store, new) == ["pancakes"]
    entered = await resolve(store)
    assert (entered.session_id, entered.version, entered.other_sessions) == (new, 0, (session_id,))
    assert everything.zscore(keys.due(keys.bucket_of(ANA)), keys.member(ANA, new)) == NOW + TIMEOUT * SECOND
