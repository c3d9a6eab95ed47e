"""`recallr failed`: lists what was set aside after too many failures, sessions and users, and retries it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.environment import faults_shown, load_env_file
from recallr_litellm.cli.table import print_table
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.settings import Settings, load_settings
from recallr_litellm.stores.state import EmbeddedValkey, StateStore
from recallr_litellm.stores.state.learning_queue import LearningQueue, SetAside

ANSWER_SECONDS = 5
"""Timeout of one answer of Redis."""


def failed(
    retry: Annotated[bool, typer.Option("--retry", help="Process all of them again.")] = False,
) -> None:
    """List what was set aside after too many failures: sessions that could not be processed, and users of whom nothing
    is learned any more; each with its last reason.

    Their messages are kept. `--retry` puts all of them back into the queues, with their attempts reset.
    Works beside a running gateway; with the embedded store, a gateway must be running.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        sessions, users, requeued = asyncio.run(_ask(redis_of(load_settings()), retry=retry))
    _show(console, sessions, users)
    if retry:
        console.print(Text(f"Queued again: {requeued}"))
    elif sessions or users:
        console.print(Text("Once the reason is gone: recallr failed --retry"))


def redis_of(settings: Settings) -> str:
    """URL of the Redis that the gateway of these settings uses.

    Raises:
        ConfigurationError: it would be the embedded one, and that does not run.
        StateUnavailable: it would be the embedded one, and that does not answer.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    url = EmbeddedValkey(settings.valkey_dir).running_url()
    if url is None:
        raise ConfigurationError(
            f"No gateway runs on the data folder {settings.data_dir.absolute()}, and its embedded store runs only with "
            "one. Start the gateway (`recallr serve`) and repeat this, or set RECALLR_DATA_DIR or RECALLR_REDIS_URL as "
            "your gateway has it."
        )
    return url


async def _ask(url: str, *, retry: bool) -> tuple[list[tuple[Owner, str, str]], list[SetAside], int]:
    """The sessions and the users set aside, and how many of them are due again."""
    store = StateStore.from_url(url, timeout_seconds=ANSWER_SECONDS)
    try:
        learning = LearningQueue(store.link, timeout_seconds=ANSWER_SECONDS)
        sessions, users = await store.failed(), await learning.set_aside()
        requeued = await store.requeue_failed() + await learning.requeue_failed() if retry else 0
        return sessions, users, requeued
    finally:
        await store.close()


def _show(console: Console, sessions: list[tuple[Owner, str, str]], users: list[SetAside]) -> None:
    if sessions:
        rows = [(owner.project, owner.user, session, reason) for owner, session, reason in sessions]
        print_table(console, [("PROJECT", "USER", "SESSION", "REASON"), *rows])
    else:
        console.print(Text("No session is set aside as failed."))
    if users:
        console.print(Text("\nOf these users nothing is learned any more:"))
        waiting = [(one.owner.project, one.owner.user, str(one.sessions), one.reason) for one in users]
        print_table(console, [("PROJECT", "USER", "SESSIONS", "REASON"), *waiting])
