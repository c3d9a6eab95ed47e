"""The official SDK `recallrai`, unchanged, against the gateway: each public method and each exception, sync and async.

A method that a later SDK adds fails `test_every_public_method_is_called` until a test calls it.
"""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
import pytest
import recallrai
from recallrai import AsyncRecallrAI, RecallrAI, exceptions
from recallrai.models import MergeConflictStatus, MessageRole, RecallStrategy, SessionStatus
from recallrai.models.merge_conflict import MergeConflictAnswer, MergeConflictModel

from recallr_litellm.api.rest.errors import answer
from recallr_litellm.errors import TooManyRequests
from tests.support.api import async_sdk, sdk
from tests.support.listeners import Listener, free_port
from tests.support.proxy import API_KEY, PROJECT, Proxy

UNKNOWN = "0" * 32
KINDS = {
    "client": (RecallrAI, AsyncRecallrAI),
    "user": (recallrai.User, recallrai.AsyncUser),
    "session": (recallrai.Session, recallrai.AsyncSession),
    "conflict": (recallrai.MergeConflict, recallrai.AsyncMergeConflict),
}
OF_THE_CLIENT = {"close"}
"""Of the asynchronous client: calls no endpoint."""


class Caller:
    """Calls methods of either SDK alike, by their names, and notes which."""

    called: ClassVar[set[tuple[bool, str]]] = set()
    """Whether asynchronous, and the method as `kind.method`; of all tests of this file."""

    def __init__(self, proxy: Proxy, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.client = async_sdk(proxy) if asynchronous else sdk(proxy)

    async def __call__(self, target: Any, method: str, *args: Any, **named: Any) -> Any:
        """What the method returns; a stream as a list."""
        kind = next(kind for kind, classes in KINDS.items() if isinstance(target, classes[self.asynchronous]))
        self.called.add((self.asynchronous, f"{kind}.{method}"))
        found = getattr(target, method)(*args, **named)
        if inspect.isasyncgen(found):
            return [one async for one in found]
        if inspect.isgenerator(found):
            return list(found)
        return await found if inspect.isawaitable(found) else found


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def call(proxy: Proxy, request: pytest.FixtureRequest) -> Caller:
    return Caller(proxy, asynchronous=request.param)


async def test_users(call: Caller, user: str) -> None:
    name, renamed, metadata = f"{user} ü@x.org", f"{user}, renamed", {"plan": "pro", "run": user, "deep": {"a": [1]}}
    person = await call(call.client, "create_user", name, metadata=metadata, merge_conflict_enabled=True)
    assert (person.user_id, person.metadata, person.merge_conflict_enabled) == (name, metadata, True)
    found = await call(call.client, "get_user", name)
    assert (found.user_id, found.metadata, found.created_at) == (name, metadata, person.created_at)
    listed = await call(call.client, "list_users", offset=0, limit=5, metadata_filter={"run": user})
    assert ([one.user_id for one in listed.users], listed.total, listed.has_more) == ([name], 1, False)
    assert (await call(call.client, "list_users", metadata_filter={"run": user, "plan": "free"})).total == 0

    await call(person, "update", new_metadata={"plan": "free"}, new_user_id=renamed, merge_conflict_enabled=False)
    assert (person.user_id, person.metadata, person.merge_conflict_enabled) == (renamed, {"plan": "free"}, False)
    await call(person, "refresh")
    assert (person.user_id, person.metadata) == (renamed, {"plan": "free"})
    with pytest.raises(exceptions.UserNotFoundError):
        await call(found, "refresh")
    await call(person, "delete")
    for method in ("refresh", "delete", "update", "list_sessions", "list_memories", "list_merge_conflicts"):
        with pytest.raises(exceptions.UserNotFoundError, match=f"User {renamed} not found"):
            await call(person, method)


async def test_sessions_and_messages(call: Caller, user: str) -> None:
    person = await call(call.client, "create_user", user)
    then = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
    session = await call(
        person,
        "create_session",
        auto_process_after_seconds=900,
        metadata={"channel": "web"},
        custom_created_at_utc=then,
    )
    assert (session.status, session.created_at, session.metadata) == (SessionStatus.PENDING, then, {"channel": "web"})
    await call(session, "add_message", MessageRole.USER, "I have a goat called Heidi. 🐐")
    await call(session, "add_message", MessageRole.ASSISTANT, "How old is she?")
    page = await call(session, "get_messages", offset=1, limit=1)
    assert ([message.content for message in page.messages], page.total, page.has_more) == (
        ["How old is she?"],
        2,
        False,
    )
    last = await call(person, "get_last_n_messages", 1)
    assert [(one.content, one.session_id, one.timestamp.date()) for one in last.messages] == [
        ("How old is she?", session.session_id, then.date())
    ]
    await call(session, "update", new_metadata={"channel": "app"})
    again = await call(person, "get_session", session.session_id)
    assert again.metadata == session.metadata == {"channel": "app"}
    listed = await call(person, "list_sessions", metadata_filter={"channel": "app"}, status_filter=[session.status])
    assert [one.session_id for one in listed.sessions] == [session.session_id]
    await call(person, "refresh")
    assert person.last_active_at > person.created_at - timedelta(seconds=1)

    for strategy in RecallStrategy:
        context = await call(session, "get_context", recall_strategy=strategy, timezone="Europe/Berlin")
        assert context.is_final
        [*_, final] = await call(session, "get_context_stream", recall_strategy=strategy)
        assert final.is_final
        assert final.metadata is not None

    await call(session, "process")
    await call(session, "refresh")
    assert session.status in (SessionStatus.PROCESSING, SessionStatus.PROCESSED)
    for method, arguments in (("process", ()), ("add_message", (MessageRole.USER, "More."))):
        with pytest.raises(exceptions.InvalidSessionStateError):
            await call(session, method, *arguments)
    await call(session, "delete")
    with pytest.raises(exceptions.SessionNotFoundError):
        await call(person, "get_session", session.session_id)
    for method, arguments in (
        ("refresh", ()),
        ("delete", ()),
        ("process", ()),
        ("get_context", ()),
        ("get_messages", ()),
        ("update", ({"a": 1},)),
        ("add_message", (MessageRole.USER, "More.")),
    ):
        with pytest.raises(exceptions.SessionNotFoundError, match=f"Session {session.session_id} not found"):
            await call(session, method, *arguments)
    await call(person, "delete")
    with pytest.raises(exceptions.UserNotFoundError):
        await call(session, "refresh")


async def test_memories_and_conflicts_where_there_are_none(call: Caller, user: str) -> None:
    person = await call(call.client, "create_user", user)

    memories = await call(
        person,
        "list_memories",
        session_id_filter=[UNKNOWN],
        session_metadata_filter={"channel": "web"},
        include_previous_versions=False,
        include_connected_memories=False,
    )
    assert (memories.items, memories.total, memories.has_more) == ([], 0, False)
    for method in ("get_memory", "delete_memory"):
        with pytest.raises(exceptions.RecallrAIError, match=f"Memory {UNKNOWN} not found") as error:
            await call(person, method, UNKNOWN)
        assert error.value.http_status == 404
    with pytest.raises(exceptions.InvalidCategoriesError) as invalid:
        await call(person, "list_memories", categories=["no such category"])
    assert invalid.value.invalid_categories == ["no such category"]

    conflicts = await call(person, "list_merge_conflicts", status=MergeConflictStatus.PENDING, sort_by="resolved_at")
    assert (conflicts.conflicts, conflicts.total, conflicts.has_more) == ([], 0, False)
    with pytest.raises(exceptions.MergeConflictNotFoundError):
        await call(person, "get_merge_conflict", UNKNOWN)
    conflict = KINDS["conflict"][call.asynchronous](person._http, user, _conflict())
    with pytest.raises(exceptions.MergeConflictNotFoundError):
        await call(conflict, "refresh")
    with pytest.raises(exceptions.MergeConflictNotFoundError):
        await call(conflict, "resolve", [MergeConflictAnswer(question="Cat or dog?", answer="Cat", message=None)])


async def test_errors_of_any_request(proxy: Proxy, user: str) -> None:
    for asynchronous in (False, True):
        call = Caller(proxy, asynchronous=asynchronous)
        person = await call(call.client, "create_user", f"{user}-{asynchronous}")
        with pytest.raises(exceptions.UserAlreadyExistsError):
            await call(call.client, "create_user", person.user_id)
        other = await call(call.client, "create_user", f"other-{person.user_id}")
        with pytest.raises(exceptions.UserAlreadyExistsError):
            await call(other, "update", new_user_id=person.user_id)
        with pytest.raises(exceptions.ValidationError):
            await call(call.client, "create_user", "x" * 300)
        with pytest.raises(exceptions.ValidationError):
            await call(call.client, "list_users", limit=100_000)

        class_ = KINDS["client"][asynchronous]
        with pytest.raises(exceptions.AuthenticationError):
            await call(class_("rai_wrong", PROJECT, base_url=proxy.url), "list_users")
        nowhere = class_(API_KEY, PROJECT, base_url=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(exceptions.ConnectionError):
            await call(nowhere, "list_users")
        with Listener() as mute:
            hung = class_(API_KEY, PROJECT, base_url=f"http://{mute.address}", timeout=1)
            with pytest.raises(exceptions.TimeoutError):
                await call(hung, "list_users")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("a bug"), exceptions.InternalServerError),
        (TooManyRequests("slow down", retry_after=3), exceptions.RateLimitError),
    ],
)
def test_errors_that_a_working_gateway_does_not_have(error: Exception, raised: type[Exception]) -> None:
    answered = answer(error)
    client = RecallrAI(API_KEY, PROJECT, base_url="http://gateway.test")
    response = httpx.Response(answered.status_code, content=bytes(answered.body))
    client._http.client = httpx.Client(transport=httpx.MockTransport(lambda _: response))

    with pytest.raises(raised):
        client.list_users()


def test_every_public_method_is_called() -> None:
    public = {
        (asynchronous, f"{kind}.{name}")
        for kind, classes in KINDS.items()
        for asynchronous, class_ in enumerate(classes)
        for name, _ in inspect.getmembers(class_, inspect.isfunction)
        if not name.startswith("_") and name not in OF_THE_CLIENT
    }

    missing = {f"{'async' if asynchronous else 'sync'} {name}" for asynchronous, name in public - Caller.called}

    assert not missing, "methods of the SDK that no test has called"
    for name in sorted({name for _, name in public}):
        print(f"{name:<32} sync  async")


def _conflict() -> MergeConflictModel:
    return MergeConflictModel(
        id=UNKNOWN,
        project_user_session_id=UNKNOWN,
        proposed_memory_content="The user has a dog.",
        new_memories=None,
        conflicting_memories=[],
        clarifying_questions=[],
        status=MergeConflictStatus.PENDING,
        resolution_data=None,
        created_at=datetime.now(UTC),
        resolved_at=None,
    )
