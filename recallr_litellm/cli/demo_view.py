"""What `recallr demo` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from recallr_litellm.cli.access import Access
from recallr_litellm.cli.demo_client import Turn
from recallr_litellm.cli.demo_gateway import DemoGateway
from recallr_litellm.printable import printable


def show_session(console: Console, number: int, about: str) -> None:
    """The heading of a session."""
    console.print(Rule(Text(f"Session {number}: {about}"), style="bold cyan"))


def show_turn(console: Console, turn: Turn) -> None:
    """One turn: what was said, the response headers, what the gateway added, the reply."""
    headers = Table.grid(padding=(0, 2))
    for name, value in sorted(turn.headers.items()):
        headers.add_row(Text(name.title()), Text(value))
    memory = Text(turn.memory) if turn.memory else Text("nothing: no earlier session holds anything", style="dim")
    console.print(_panel("Alice says", Text(turn.said), "cyan"))
    console.print(_panel("The gateway puts before her words", memory, "magenta"))
    how = "streamed" if turn.streamed else "whole"
    console.print(_panel(f"{turn.model} answers ({how})", Text(printable(turn.reply)), "green"))
    console.print(_panel("Response headers", headers, "blue"))


def show_instructions(console: Console, instructions: str) -> None:
    """What the gateway puts into the system message, the same in every turn."""
    console.print(_panel("In every turn the gateway adds to the system message", Text(instructions), "magenta"))


def show_processed(console: Console, remembered: bool) -> None:
    """What became of the first session."""
    text = (
        "The first session has become memory."
        if remembered
        else "The first session is still being processed; the gateway recalls it verbatim until that is done."
    )
    console.print(Text(text + "\n"))


def show_verdict(console: Console, *, missing: Sequence[str], separate: bool) -> None:
    """Whether the second session recalled the first."""
    if not separate:
        text = Text("The second conversation was put into the first one's session: nothing was tested.", "bold red")
    elif missing:
        text = Text(f"Not recalled in the second session: {', '.join(missing)}.", "bold red")
    else:
        text = Text("The second session recalled the first.", "bold green")
    console.print(Panel(text, border_style=text.style))


def show_running(console: Console, gateway: DemoGateway, access: Access) -> None:
    """How to talk to the gateway that was left running, and how to end it."""
    console.print(Text("\nThe gateway is still running.\n", style="bold"))
    access.show(console)
    lines = [
        f"Its log: {gateway.log}",
        f"What it sends to models is written to {gateway.record}",
        f"To end it: kill {gateway.pid}; sleep 5; rm -r {gateway.folder}",
    ]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _panel(title: str, content: RenderableType, style: str) -> Panel:
    return Panel(Group(content), title=Text(title), title_align="left", border_style=style)
