"""Dead letters of an outbox: listed, sent again, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.environment import faults_shown, load_env_file
from recallr_litellm.cli.failed import ANSWER_SECONDS, redis_of
from recallr_litellm.cli.table import print_table
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import DeadLetter, Limits
from recallr_litellm.settings import load_settings
from recallr_litellm.stores.state.keys import OutboxKeys

Requeue = Annotated[bool, typer.Option("--requeue", help="Send all of them again.")]
Drop = Annotated[bool, typer.Option("--drop", help="Delete all of them.")]


def dead_letters(
    console: Console, names: OutboxKeys, limits: Callable[[], Limits], command: str, *, requeue: bool, drop: bool
) -> None:
    """What a command for dead letters does.

    Args:
        limits: of the outbox.
        command: itself, to be repeated with an option.
    """
    if requeue and drop:
        raise typer.BadParameter("--requeue and --drop exclude each other")
    with faults_shown(console):
        load_env_file()
        letters, changed = asyncio.run(_handle(names, limits(), requeue=requeue, drop=drop))
    _show(console, letters)
    if requeue or drop:
        console.print(Text(f"{'To be sent again' if requeue else 'Deleted'}: {changed}"))
    elif letters:
        console.print(Text(f"Once the reason is gone: {command} --requeue"))


async def _handle(names: OutboxKeys, limits: Limits, *, requeue: bool, drop: bool) -> tuple[list[DeadLetter], int]:
    """The dead letters, and how many of them were queued again or deleted."""
    outbox = Outbox.open(redis_of(load_settings()), names, limits, timeout_seconds=ANSWER_SECONDS)
    try:
        letters = [letter async for letter in outbox.dead()]
        changed = await outbox.requeue_dead() if requeue else await outbox.drop_dead() if drop else 0
        return letters, changed
    finally:
        await outbox.close()


def _show(console: Console, letters: list[DeadLetter]) -> None:
    if not letters:
        console.print(Text("There are no dead letters."))
        return
    rows = [("TIME", "SESSION", "MESSAGE", "STATUS", "REASON")]
    for letter in sorted(letters, key=lambda letter: letter.died_at):
        died = datetime.fromtimestamp(letter.died_at / 1000, UTC).isoformat(timespec="seconds")
        rows.append((died, letter.session or "-", letter.message_id, letter.status or "-", letter.reason))
    print_table(console, rows)
