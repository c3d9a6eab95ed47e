"""`recallr webhooks`: events that the endpoint of RECALLR_WEBHOOK_URL refused."""

from __future__ import annotations

import typer
from rich.console import Console

from recallr_litellm.cli.dead_letters import Drop, Requeue, dead_letters
from recallr_litellm.stores.state import keys

webhooks = typer.Typer(help="Webhooks that were refused.", no_args_is_help=True)


@webhooks.callback()
def _commands() -> None:
    """Webhooks that were refused."""


@webhooks.command()
def dead(requeue: Requeue = False, drop: Drop = False) -> None:
    """List the events that the endpoint refused, or that failed too often: when, session, event, status, reason.

    Works beside a running gateway; with the embedded store one has to be running.
    """
    from recallr_litellm.services.webhooks import LIMITS  # what only sending needs is slow to import

    dead_letters(
        Console(soft_wrap=True), keys.WEBHOOKS, lambda: LIMITS, "recallr webhooks dead", requeue=requeue, drop=drop
    )
