"""The `recallr` command.

recallr serve     a gateway with memory on this machine
recallr demo      see it remember, without any key
recallr doctor    is everything in place, and what to do if not
recallr failed    sessions that could not be made memory, and another try
recallr reindex   another embedding model for everything that is remembered
recallr reconify  what waits to be reported to Reconify, what was refused, a test
"""

from __future__ import annotations

import typer

from recallr_litellm.cli.demo import demo
from recallr_litellm.cli.doctor import doctor
from recallr_litellm.cli.failed import failed
from recallr_litellm.cli.reconify import reconify
from recallr_litellm.cli.reindex import reindex
from recallr_litellm.cli.serve import serve

app = typer.Typer(
    name="recallr",
    help="Persistent memory for every user of an LLM gateway.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals hold keys and messages
)
app.command()(serve)
app.command()(demo)
app.command()(doctor)
app.command()(failed)
app.command()(reindex)
app.add_typer(reconify, name="reconify")

__all__ = ["app"]
