"""The `recallr` command.

recallr serve     start a gateway with memory on this machine
recallr demo      watch it remember, without any key
recallr doctor    check the installation and say how to fix it
recallr explain   why a request got what it got: what was found, how well it fits, what was shown
recallr failed    list the sessions that could not be processed, and retry them
recallr reindex   embed everything again with another model
recallr compact   write the embedded stores anew, without what was deleted
recallr users     list, show, export, import and forget users
recallr learn     learn what was processed before there was a model to learn with
recallr memories  list, show, correct and delete what was learned of a user
recallr conflicts list and answer what contradicts it
recallr import    conversations had elsewhere, or an exported user, become memory
recallr projects  make and list projects
recallr keys      make, list and revoke the API keys of a project
recallr mcp       serve the memory of one user as tools, by MCP over stdio
recallr reconify  list the payloads that wait for Reconify or were refused, and send a test
recallr webhooks  list the events that the endpoint of webhooks refused
"""

from __future__ import annotations

from typing import Annotated

import typer

from recallr_litellm import __version__
from recallr_litellm.cli.compact import compact
from recallr_litellm.cli.conflicts import conflicts
from recallr_litellm.cli.demo import demo
from recallr_litellm.cli.doctor import doctor
from recallr_litellm.cli.explain import explain
from recallr_litellm.cli.failed import failed
from recallr_litellm.cli.import_ import import_
from recallr_litellm.cli.learn import learn
from recallr_litellm.cli.mcp import mcp
from recallr_litellm.cli.memories import memories
from recallr_litellm.cli.projects import keys, projects
from recallr_litellm.cli.reconify import reconify
from recallr_litellm.cli.reindex import reindex
from recallr_litellm.cli.serve import serve
from recallr_litellm.cli.users import users
from recallr_litellm.cli.webhooks import webhooks

app = typer.Typer(
    name="recallr",
    help="Persistent memory for every user of an LLM gateway.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals hold keys and messages
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"recallr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Persistent memory for every user of an LLM gateway."""


app.command(context_settings={"ignore_unknown_options": True})(serve)
app.command()(demo)
app.command()(doctor)
app.command()(explain)
app.command()(failed)
app.command()(reindex)
app.command()(compact)
app.command()(mcp)
app.command()(learn)
app.command("import")(import_)
app.add_typer(users, name="users")
app.add_typer(memories, name="memories")
app.add_typer(conflicts, name="conflicts")
app.add_typer(projects, name="projects")
app.add_typer(keys, name="keys")
app.add_typer(reconify, name="reconify")
app.add_typer(webhooks, name="webhooks")

__all__ = ["app"]
