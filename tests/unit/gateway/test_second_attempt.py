"""A request that a guardrail refuses for what memory has added to it is made once more, as the client sent it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import HTTPException
from litellm.exceptions import ContentPolicyViolationError, GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.integrations.custom_logger import CustomLogger

from recallr_litellm.gateway.asgi import App, Event, Receive, Send
from recallr_litellm.gateway.call import CURRENT
from recallr_litellm.gateway.middleware import RecallrMiddleware
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.litellm_host.refusals import refuses_content
from recallr_litellm.tasks import InFlight

BODY = [
    {"type": "http.request", "body": b'{"model":', "more_body": True},
    {"type": "http.request", "body": b' "m"}', "more_body": False},
]


async def read(receive: Receive) -> bytes:
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return body


async def answer(send: Send, status: int, text: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": text})


def serve(app: App) -> list[Event]:
    """What a client gets."""
    received = iter([*BODY, {"type": "http.disconnect"}])
    sent: list[Event] = []

    async def receive() -> Event:
        return next(received)

    async def send(event: Event) -> None:
        sent.append(event)

    async def store(*_: object) -> bool:
        return True

    middleware = RecallrMiddleware(
        app,
        store=store,
        later=lambda exchange: None,
        deadline=lambda call: 1.0,
        enter=lambda *_: None,
        ended=(),
        reporter=Reporter(),
        in_flight=InFlight(),
    )
    headers = [(b"x-recallr-api-key", b"k")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "state": {}}
    asyncio.run(middleware(scope, receive, send))
    return sent


def refuse() -> None:
    call = CURRENT.get()
    assert call is not None
    call.refused = True


@pytest.mark.parametrize("refusal", ["answered", "raised"])
def test_the_second_attempt_gets_the_same_request_and_its_answer_is_the_clients(refusal: str) -> None:
    attempts: list[Any] = []

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        attempts.append((await read(receive), dict(scope["state"]), scope.get("parsed_body")))
        scope["state"]["seen"] = scope["parsed_body"] = "of the first attempt"
        if len(attempts) > 1:
            await answer(send, 200, b"fine")
            assert (await receive())["type"] == "http.disconnect", "what comes after the body comes from the server"
            return
        refuse()
        if refusal == "raised":
            raise ValueError
        await answer(send, 400, b"refused")

    started, body = serve(app)
    assert (started["status"], body["body"]) == (200, b"fine")
    assert (b"x-recallr-memory-status", b"degraded; reason=guardrail") in started["headers"]
    assert attempts == [(b'{"model": "m"}', {}, None)] * 2


def test_a_second_refusal_is_the_clients() -> None:
    attempts = 0

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        nonlocal attempts
        attempts += 1
        refuse()
        await answer(send, 400, b"refused")

    started, body = serve(app)
    assert (started["status"], body["body"], attempts) == (400, b"refused", 2)


def test_an_error_that_is_no_refusal_is_raised_at_once() -> None:
    async def app(scope: Event, receive: Receive, send: Send) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        serve(app)


# --- what is a refusal ---


class Guardrail(CustomGuardrail):
    error: Exception

    async def async_pre_call_hook(self, *_: Any) -> None:
        raise self.error

    async def async_moderation_hook(self, *_: Any) -> None:
        raise self.error

    async def async_post_call_success_hook(self, *_: Any) -> None:
        raise self.error


class Callback(CustomLogger):
    error: Exception

    async def async_pre_call_hook(self, *_: Any) -> None:
        raise self.error


def raised(check: Any, hook: str, error: Exception) -> Exception:
    check.error = error
    try:
        asyncio.run(getattr(check, hook)())
    except Exception as caught:  # noqa: BLE001 - it is what is looked at
        return caught
    raise AssertionError


def status(code: int) -> HTTPException:
    return HTTPException(code)


@pytest.mark.parametrize(
    ("make", "hook", "error", "refusal"),
    [
        (Guardrail, "async_pre_call_hook", status(400), True),
        (Guardrail, "async_pre_call_hook", status(403), True),
        (Guardrail, "async_pre_call_hook", ValueError("flagged"), True),
        (Guardrail, "async_moderation_hook", GuardrailRaisedException("g", "flagged"), True),
        (Guardrail, "async_pre_call_hook", status(429), False),
        (Guardrail, "async_pre_call_hook", status(503), False),
        (Guardrail, "async_post_call_success_hook", status(400), False),
        (Callback, "async_pre_call_hook", status(400), True),
        (Callback, "async_pre_call_hook", status(403), False),
        (Callback, "async_pre_call_hook", KeyError("its own fault"), False),
    ],
)
def test_a_guardrail_that_judges_the_request_refuses_it(
    make: Callable[[], Any], hook: str, error: Exception, refusal: bool
) -> None:
    assert refuses_content(raised(make(), hook, error)) is refusal


def test_the_providers_content_policy_refuses_and_nothing_else_of_a_provider_does() -> None:
    assert refuses_content(ContentPolicyViolationError("flagged", model="m", llm_provider="openai"))
    assert not refuses_content(status(400))
