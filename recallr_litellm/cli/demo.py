"""`recallr demo`: a conversation in two sessions, in which the second recalls the first."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.demo_gateway import DemoError, DemoGateway
from recallr_litellm.cli.environment import DEMO_MODEL, faults_shown, load_env_file


def demo(
    model: Annotated[
        str, typer.Option(help="A model of the gateway; its provider's key comes from the environment or `.env`.")
    ] = DEMO_MODEL,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running, print how to talk to it.")] = False,
) -> None:
    """Hold a conversation in two sessions and see the second one recall the first.

    Starts a gateway of its own with an empty memory, in a temporary folder. Needs no key: the default
    model answers from the memory it is handed, and says so. With a key: `--model openai/gpt-4o-mini`.

    Exit code 0: the second session recalled the first. 1: it did not.
    """
    # Only now: the openai SDK takes a second to import, and the other commands do without it.
    from recallr_litellm.cli.demo_conversation import hold

    console = Console()
    load_env_file()
    folder = Path(tempfile.mkdtemp(prefix="recallr-demo-"))
    gateway = DemoGateway(folder, outlives=keep)
    kept = False
    try:
        with faults_shown(console):
            recalled = hold(console, gateway, model)
        if keep:
            _show_running(console, gateway, model)
            kept = True
    except DemoError as error:
        console.print(Text(f"recallr demo: {error}", style="bold red"), soft_wrap=True)
        recalled = False
    finally:
        if not kept:
            gateway.stop()
            shutil.rmtree(folder)
    raise typer.Exit(0 if recalled else 1)


def _show_running(console: Console, gateway: DemoGateway, model: str) -> None:
    """How to talk to the gateway that was left running, and how to end it."""
    console.print(Text("\nThe gateway is still running.\n", style="bold"))
    gateway.access(model).show(console)
    lines = (
        f"Its log: {gateway.log}\n"
        f"What it sends to models is written to {gateway.record}\n"
        f"To end it: kill {gateway.pid}; sleep 5; rm -r {gateway.folder}"
    )
    console.print(Text(lines), soft_wrap=True)
