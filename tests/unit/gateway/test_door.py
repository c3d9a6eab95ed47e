"""The recall of a request begins when its body is there, beside LiteLLM's own preparations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.core.messages import Message
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.room import Model
from recallr_litellm.errors import RequestError
from recallr_litellm.gateway.asgi import Event, Receive, Send
from recallr_litellm.gateway.call import CURRENT, Call, now_ms
from recallr_litellm.gateway.middleware import RecallrMiddleware
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.memory.sessions import OpenedSession
from recallr_litellm.tasks import InFlight
from tests.unit.gateway.test_recollection import KEY, ask, nobody_asks, settings, sound

QUESTION = "What is the name of my cat?"
CAT = "My cat is called Felix."
ANA = Owner("acme", "ana")


@dataclass
class Embedded:
    """What of a question was embedded, and when."""

    texts: list[str] = field(default_factory=list)
    one: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
async def runtime(tmp_path: Path, quick_stores: None) -> AsyncIterator[Runtime]:
    """A gateway whose user Ana has a cat, in a session that has become memory."""
    runtime = Runtime(
        settings(tmp_path),
        gateway_embed=nobody_asks,
        gateway_complete=nobody_asks,
        gateway_write_json=nobody_asks,
        count_tokens=len,
        model_behind=lambda name, team, routed: Model(),
    )
    runtime.start(lambda: None)
    await sound(runtime)
    told, _ = await ask(runtime, CAT)
    assert told.admitted is not None
    noted = (Message(role="assistant", text="Noted."),)
    assert await runtime.store(told.admitted.exchange(told.request_id, noted, partial=False, retried=False), within=60)
    claims = await runtime._state.claim(1, lease_seconds=60, now_ms=now_ms() + 10_000)
    await runtime._processor.process(claims)
    yield runtime
    await runtime.stop()


@pytest.fixture
def embedded(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Embedded:
    noted = Embedded()
    embed = runtime._embedder.query

    async def query(text: str, project: str) -> Any:
        noted.texts.append(text)
        noted.one.set()
        return await embed(text, project)

    monkeypatch.setattr(runtime._embedder, "query", query)
    return noted


LiteLLM = Callable[[Call, dict[str, Any]], Awaitable[None]]


async def serve(runtime: Runtime, litellm: LiteLLM, **headers: str) -> Call:
    """Send a question of Ana's through the middleware, behind which `litellm` stands."""
    served: list[Call] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        call = CURRENT.get()
        assert call is not None
        served.append(call)
        event = await receive()
        await litellm(call, json.loads(event["body"]))

    middleware = RecallrMiddleware(
        application,
        store=runtime.store,
        later=runtime.store_later,
        deadline=lambda call: 60.0,
        enter=runtime.recollection.door.enter,
        in_flight=InFlight(),
        ended=(),
        reporter=runtime.reporter,
    )
    own = {"project-id": "acme", "api-key": KEY, "user-id": "ana"} | headers
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": QUESTION}]}).encode()

    async def receive() -> Event:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Event) -> None:
        assert event["type"].startswith("http.response."), event

    pairs = [(f"x-recallr-{name}".encode(), value.encode()) for name, value in own.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": pairs}
    await middleware(scope, receive, send)
    return served[0]


async def test_what_is_recalled_at_the_door_is_what_the_model_is_shown(runtime: Runtime, embedded: Embedded) -> None:
    async def litellm(call: Call, body: dict[str, Any]) -> None:
        async with asyncio.timeout(60):
            await embedded.one.wait()  # before anything of LiteLLM's own has been done
        body["litellm_call_id"] = "1"
        await runtime.recollection.enrich(call, body, "acompletion")
        shown.append(str(body["messages"]))

    shown: list[str] = []
    call = await serve(runtime, litellm)
    assert CAT in shown[0]
    assert call.status == "ok"
    assert embedded.texts == [QUESTION], "memory was searched twice"


async def test_what_a_guardrail_has_changed_is_searched_for_as_it_then_is(runtime: Runtime, embedded: Embedded) -> None:
    async def litellm(call: Call, body: dict[str, Any]) -> None:
        async with asyncio.timeout(60):
            await embedded.one.wait()
        body["messages"][0]["content"] = "Which pet do I have?"
        await runtime.recollection.enrich(call, body, "acompletion")
        shown.append(str(body["messages"]))

    shown: list[str] = []
    await serve(runtime, litellm)
    assert embedded.texts == [QUESTION, "Which pet do I have?"]
    assert CAT in shown[0]


@pytest.mark.parametrize(
    "headers",
    [{"api-key": "rai_of-nobody"}, {"project-id": "globex"}, {"user-id": "bob"}, {"memory": "off"}],
    ids=["key", "project", "user", "off"],
)
async def test_nothing_is_embedded_for_strangers(runtime: Runtime, embedded: Embedded, headers: dict[str, str]) -> None:
    async def litellm(call: Call, body: dict[str, Any]) -> None:
        if call.head_start is not None and call.head_start._task is not None:
            await call.head_start._task
        await runtime.recollection.enrich(call, body, "acompletion")

    try:
        await serve(runtime, litellm, **headers)
    except RequestError:
        assert "memory" not in headers
    assert embedded.texts == []


async def test_a_request_that_litellm_refuses_ends_its_search(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(text: str, project: str) -> Any:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    monkeypatch.setattr(runtime._embedder, "query", slow)

    async def litellm(call: Call, body: dict[str, Any]) -> None:
        async with asyncio.timeout(60):
            await begun.wait()

    call = await serve(runtime, litellm)
    async with asyncio.timeout(60):
        await ended.wait()
    assert call.session_id is None, "a session was opened for a request that LiteLLM has refused"
    assert await runtime._state.open_ids(ANA) == []


async def test_what_the_model_sees_anyway_is_left_out_of_what_was_recalled_at_the_door(
    runtime: Runtime, embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session of the request may be remembered already, as one that goes on after it was processed."""
    [(session_id, _)] = await runtime._vectors.last_user_messages(ANA, 1, exclude_sessions=())
    opened = runtime._sessions.open

    async def the_remembered_one(*args: Any, **kwargs: Any) -> OpenedSession:
        session = await opened(*args, **kwargs)
        return replace(session, id=session_id, other_ids=())

    monkeypatch.setattr(runtime._sessions, "open", the_remembered_one)

    async def litellm(call: Call, body: dict[str, Any]) -> None:
        async with asyncio.timeout(60):
            await embedded.one.wait()
        await runtime.recollection.enrich(call, body, "acompletion")
        shown.append(str(body["messages"]))

    shown: list[str] = []
    call = await serve(runtime, litellm)
    assert CAT not in shown[0]
    assert call.status == "empty"
