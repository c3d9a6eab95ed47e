"""`recallr learn`: learns what was processed before there was a model to learn with."""

from __future__ import annotations

import time
from collections import deque
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from recallr_litellm.cli.api import Api, Gateway, running_gateway
from recallr_litellm.errors import CommandFailed
from recallr_litellm.printable import printable

_LOOK_SECONDS = 1.0
_LOOKED_AT = 20
"""Users whose progress is asked for at a time: they are learned about in the order in which they were queued."""
_COUNTED = ("sessions", "calls", "input_tokens", "output_tokens")


def learn(
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Learn the sessions of this user.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Learn the sessions of all users of the project.")] = False,
    only_estimate: Annotated[bool, typer.Option("--estimate", help="Say what it will cost, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    gateway: Gateway = None,
) -> None:
    """Learn the processed sessions that nothing was learned from, as from before RECALLR_MEMORY_MODEL was set.

    Says first what it will cost, about. The running gateway does the work, one user's sessions in the order of their
    time, within the budget of the project; this command shows how far it is and may be stopped, or run again.
    """
    console = Console(soft_wrap=True)
    if every is (user is not None):
        raise typer.BadParameter("name one of --user and --all")
    with running_gateway(console, gateway) as api:
        model = api.get("learning")
        names = [user] if user is not None else [str(one["custom_user_id"]) for one in api.each("users", "users")]
        total, to_learn = _estimated(console, api, names)
        if not to_learn:
            console.print(Text("All processed sessions are learned."))
            return
        _print_estimate(console, model, total, users=len(to_learn))
        if only_estimate:
            return
        if not yes and not typer.confirm("Learn them?"):
            console.print(Text("Nothing was queued."))
            raise typer.Exit(1)
        try:
            failed = _learn(console, api, to_learn, total["sessions"])
        except KeyboardInterrupt:
            console.print(Text("The gateway goes on learning what was queued. Run this again to see how far it is."))
            raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)


def _estimated(console: Console, api: Api, names: list[str]) -> tuple[dict[str, int], list[str]]:
    """The estimate of all, and the users of whom there is something to learn."""
    total, to_learn = dict.fromkeys(_COUNTED, 0), []
    with console.status("Estimating"):
        for name in names:
            found = _of_user(api, name, "estimate")
            if found is not None and found["sessions"]:
                to_learn.append(name)
                for field in _COUNTED:
                    total[field] += found[field]
    return total, to_learn


def _of_user(api: Api, user: str, *path: str) -> dict[str, Any] | None:
    """None for one of several who was deleted meanwhile."""
    try:
        found: dict[str, Any] = api.get("users", user, "learning", *path)
    except CommandFailed as error:
        if error.status == 404 and path == ():
            return None
        raise
    return found


def _print_estimate(console: Console, model: dict[str, Any], total: dict[str, int], *, users: int) -> None:
    reads, writes = total["input_tokens"], total["output_tokens"]
    console.print(
        Text(
            printable(
                f"{total['sessions']:,} sessions of {users:,} users, by {model['model']}: about {total['calls']:,} "
                f"calls, {reads:,} input and {writes:,} output tokens"
            )
        )
    )
    prices = model["input_cost_per_token"], model["output_cost_per_token"]
    if None in prices:
        console.print(Text("LiteLLM does not know the price of this model."))
    else:
        console.print(Text(f"About ${reads * prices[0] + writes * prices[1]:,.2f}, by the prices that LiteLLM knows."))
    budget = model["budget_tokens"]
    if budget is not None and reads + writes > budget:
        console.print(Text(f"The project may use {budget:,} tokens a day: what is over waits for the next day."))


def _learn(console: Console, api: Api, users: list[str], sessions: int) -> bool:
    """Queue, and show progress until all is done. Whether something was set aside."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    left = {user: api.post("users", user, "learning")["unlearned"] for user in users}
    waiting, failed = deque(users), False
    with progress:
        task = progress.add_task("learning", total=sessions)
        while waiting:
            why = ""
            for user in [*waiting][:_LOOKED_AT]:
                found = _of_user(api, user)
                left[user] = found["unlearned"] if found is not None and found["queued"] else 0
                if found is not None and found["set_aside"]:
                    failed = True
                    left[user] = 0
                    text = f"Learning of {user} is set aside: {found['waits_for']}. The gateway's log says more"
                    progress.console.print(Text(printable(text)))
                elif found is not None:
                    why = why or found["waits_for"]
                if not left[user]:
                    waiting.remove(user)
            description = f"waiting: {why}" if why else "learning"
            progress.update(task, completed=sessions - sum(left.values()), description=printable(description))
            if waiting:
                time.sleep(_LOOK_SECONDS)
    return failed
