"""`recallr failed`: lists the sessions that were set aside after too many failures, and retries them."""

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

ANSWER_SECONDS = 5
"""Timeout of one answer of Redis."""


def failed(
    retry: Annotated[bool, typer.Option("--retry", help="Process all of them again.")] = False,
) -> None:
    """List the sessions set aside after too many failures: project, user, session, last reason.

    Their messages are kept. `--retry` puts all of them back into the queue, with their attempts reset.
    Works beside a running gateway; with the embedded store, a gateway must be running.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        set_aside, requeued = asyncio.run(_ask(redis_of(load_settings()), retry=retry))
    _show(console, set_aside)
    if retry:
        console.print(Text(f"Queued again: {requeued}"))
    elif set_aside:
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


async def _ask(url: str, *, retry: bool) -> tuple[list[tuple[Owner, str, str]], int]:
    """The sessions set aside, and how many of them are due again."""
    store = StateStore.from_url(url, timeout_seconds=ANSWER_SECONDS)
    try:
        return await store.failed(), await store.requeue_failed() if retry else 0
    finally:
        await store.close()


def _show(console: Console, set_aside: list[tuple[Owner, str, str]]) -> None:
    if not set_aside:
        console.print(Text("No session is set aside as failed."))
        return
    rows = [(owner.project, owner.user, session, reason) for owner, session, reason in set_aside]
    print_table(console, [("PROJECT", "USER", "SESSION", "REASON"), *rows])
