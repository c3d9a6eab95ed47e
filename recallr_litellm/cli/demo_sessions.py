"""The two sessions of `recallr demo`."""

from __future__ import annotations

import httpx
import openai
from rich.console import Console

from recallr_litellm.cli import demo_view as view
from recallr_litellm.cli.demo_client import DemoClient, Turn
from recallr_litellm.cli.demo_gateway import DemoError, DemoGateway
from recallr_litellm.cli.demo_view import show_running

__all__ = ["hold", "show_running"]

FIRST_SESSION = (
    "Hi, I'm Alice. I'm allergic to peanuts, and I'm moving to Lisbon in March.",
    "This is my dog, by the way. Her name is Biscuit.",
)
SECOND_SESSION = (
    ("Which food am I allergic to?", "peanuts"),
    ("What is the name of my dog?", "Biscuit"),
)
"""What is asked, and the word of the first session that has to be in what the gateway puts before the model."""


def hold(console: Console, gateway: DemoGateway, model: str) -> bool:
    """Hold the two sessions and show them turn by turn.

    Returns:
        Whether memory answered each question of the second session.

    Raises:
        DemoError: the gateway did not start, or the model could not be asked.
    """
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
