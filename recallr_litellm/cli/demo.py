"""`recallr demo`: a conversation in two sessions, in which the second recalls the first."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import httpx
import openai
import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli import demo_view as view
from recallr_litellm.cli.demo_client import DemoClient, Turn
from recallr_litellm.cli.demo_gateway import DemoError, DemoGateway
from recallr_litellm.cli.environment import DEMO_MODEL, faults_shown, load_env_file

FIRST_SESSION = (
    "Hi, I'm Alice. I'm allergic to peanuts, and I'm moving to Lisbon in March.",
    "This is my dog, by the way. Her name is Biscuit.",
)
SECOND_SESSION = (
    ("Which food am I allergic to?", "peanuts"),
    ("What is the name of my dog?", "Biscuit"),
)
"""What is asked, and the word of the first session that has to be in what the gateway puts before the model."""


def demo(
    model: Annotated[
        str, typer.Option(help="A model of the gateway; its provider's key comes from the environment or `.env`.")
    ] = DEMO_MODEL,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running, print how to talk to it.")] = False,
) -> None:
    """Hold a conversation in two sessions and see the second one recall the first.

    Starts a gateway of its own with an empty memory, in a temporary folder. Needs no key: the default
    model answers from the memory it is handed, and says so. With a key: `--model openai/gpt-4o-mini`.

    Ends with 0 when the second session recalled the first, with 1 when not.
    """
    console = Console()
    load_env_file()
    folder = Path(tempfile.mkdtemp(prefix="recallr-demo-"))
    gateway = DemoGateway(folder)
    kept = False
    try:
        with faults_shown(console):
            recalled = _hold(console, gateway, model)
        if keep:
            view.show_running(console, gateway, gateway.access(model))
            kept = True
    except DemoError as error:
        console.print(Text(f"recallr demo: {error}", style="bold red"), soft_wrap=True)
        recalled = False
    finally:
        if not kept:
            gateway.stop()
            shutil.rmtree(folder)
    raise typer.Exit(0 if recalled else 1)


def _hold(console: Console, gateway: DemoGateway, model: str) -> bool:
    """The two sessions, shown turn by turn. True when each question of the second was met by the right memory."""
    with console.status("Starting a gateway (LiteLLM takes some seconds) …"):
        gateway.start()
    client = DemoClient(gateway, model)
    try:
        view.show_session(console, 1, "Alice tells something about herself.")
        *opening, closing = FIRST_SESSION
        client.begin()
        first = [_take(console, client, said) for said in opening]
        first.append(_take(console, client, closing, ends_session=True))
        with console.status("The session has been quiet for its timeout (1 s here, 600 s else) and becomes memory …"):
            remembered = gateway.wait_until_remembered()
        view.show_processed(console, remembered)

        view.show_session(console, 2, "A new conversation. The client sends nothing of the first one.")
        client.begin()
        second = [_take(console, client, question) for question, _ in SECOND_SESSION]
    except (openai.OpenAIError, httpx.HTTPError) as error:
        raise DemoError(f"{model} could not be asked: {error}") from error

    missing = [
        word
        for turn, (_, word) in zip(second, SECOND_SESSION, strict=True)
        if word.casefold() not in turn.memory.casefold()
    ]
    separate = {turn.session_id for turn in first}.isdisjoint(turn.session_id for turn in second)
    view.show_instructions(console, second[-1].instructions)
    view.show_verdict(console, missing=missing, separate=separate)
    return separate and not missing


def _take(console: Console, client: DemoClient, said: str, *, ends_session: bool = False) -> Turn:
    turn = client.say(said, ends_session=ends_session)
    view.show_turn(console, turn)
    return turn
