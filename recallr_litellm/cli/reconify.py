"""`recallr reconify`: what waits to be reported, what was refused, and whether the endpoint takes anything at all."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.dead_letters import Drop, Requeue, dead_letters
from recallr_litellm.cli.environment import faults_shown, load_env_file
from recallr_litellm.cli.failed import ANSWER_SECONDS, redis_of
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.posting import Outcome, Verdict
from recallr_litellm.delivery.records import OutboxStatus
from recallr_litellm.reconify.client import ReconifyClient
from recallr_litellm.reconify.settings import ReconifySettings, load_reconify_settings
from recallr_litellm.reconify.wire import VERSION, encoded
from recallr_litellm.settings import load_settings
from recallr_litellm.stores.state import keys

reconify = typer.Typer(help="Reports to Reconify: what waits, what was refused, and a test.", no_args_is_help=True)


@reconify.command()
def status() -> None:
    """Show what waits in the outbox and what became of the rest, of all workers together.

    Works beside a running gateway; with the embedded store one has to be running.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        settings = _settings()
        found, oldest_ms = asyncio.run(_status(settings))
    for name, value in _rows(settings, found, oldest_ms):
        console.print(Text(f"{name:<12}{value}"))


@reconify.command()
def dead(
    requeue: Requeue = False,
    drop: Drop = False,
) -> None:
    """List the payloads that the endpoint refused, or that failed too often: when, session, message, status, reason.

    What is sent again comes after what its session has queued meanwhile. Works beside a running gateway; with the
    embedded store one has to be running.
    """
    console = Console(soft_wrap=True)
    dead_letters(
        console, keys.RECONIFY, lambda: _settings().limits, "recallr reconify dead", requeue=requeue, drop=drop
    )


@reconify.command()
def test() -> None:
    """Send one payload, marked as a test, to the endpoint, and show its answer. Ends with 1 if it was not accepted.

    It is a chat of the user `recallrtest` with the model `recallr-test`, in a session that begins with `recallrtest`.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        settings = _settings()
        outcome, session = asyncio.run(_send_test(settings))
    answer = f"status {outcome.status}" if outcome.status else "no answer"
    console.print(Text(f"{answer}: {outcome.reason}" if outcome.reason else answer))
    if outcome.verdict is Verdict.DELIVERED:
        console.print(Text(f"Accepted. Look for session {session} in Reconify's console."))
        return
    console.print(Text(_ADVICE[outcome.verdict]))
    raise typer.Exit(1)


_ADVICE = {
    Verdict.RETRY: "Not accepted, perhaps for now. A gateway would send it again. Does RECONIFY_ENDPOINT lead there?",
    Verdict.REFUSED: (
        "Refused. Are RECONIFY_ENDPOINT, RECONIFY_APP_KEY and RECONIFY_API_KEY those of the application in Reconify's "
        "console? A redirect is not followed: set RECONIFY_ENDPOINT to where it leads."
    ),
}


def _settings() -> ReconifySettings:
    load_env_file()
    return load_reconify_settings()


@asynccontextmanager
async def _outbox(settings: ReconifySettings) -> AsyncIterator[Outbox]:
    outbox = Outbox.open(redis_of(load_settings()), keys.RECONIFY, settings.limits, timeout_seconds=ANSWER_SECONDS)
    try:
        yield outbox
    finally:
        await outbox.close()


async def _status(settings: ReconifySettings) -> tuple[OutboxStatus, int]:
    """What there is, and the age of the oldest."""
    async with _outbox(settings) as outbox:
        return await outbox.status(), await outbox.oldest_ms()


def _rows(settings: ReconifySettings, found: OutboxStatus, oldest_ms: int) -> list[tuple[str, str]]:
    oldest = "nothing waits" if oldest_ms < 0 else str(timedelta(seconds=oldest_ms // 1000))
    return [
        ("reports to", settings.endpoint if settings.enabled and settings.endpoint else "nowhere: Reconify is off"),
        ("queued", f"{found.queued} ({found.bytes / 1024 / 1024:.1f} MB)"),
        ("delivered", f"{found.delivered} of {found.added}"),
        ("dead", f"{found.dead}"),
        ("dropped", f"{found.dropped}"),
        ("oldest", oldest),
    ]


async def _send_test(settings: ReconifySettings) -> tuple[Outcome, str]:
    """What became of the test payload, and its session."""
    client = ReconifyClient(settings)
    mark = f"recallrtest{uuid.uuid4().hex}"
    try:
        return await client.send(encoded(_test_payload(mark)).decode(), mark), mark
    finally:
        await client.close()


def _test_payload(session: str) -> dict[str, Any]:
    """A chat that the REST document would allow, and that nobody takes for a user's."""
    now_ms = round(time.time() * 1000)
    answer = {"role": "assistant", "content": "This is the answer to it."}
    return {
        "reconify": {"format": "openai", "type": "chat", "version": VERSION},
        "timestamps": {"request": now_ms, "response": now_ms},
        "session": session,
        "sessionTimeout": 10,
        "user": {"userId": "recallrtest"},
        "request": {
            "model": "recallr-test",
            "messages": [{"role": "user", "content": "This is a test of `recallr reconify test`."}],
        },
        "response": {
            "id": f"chatcmpl-{session}",
            "object": "chat.completion",
            "created": now_ms // 1000,
            "model": "recallr-test",
            "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 6, "total_tokens": 14},
        },
    }
