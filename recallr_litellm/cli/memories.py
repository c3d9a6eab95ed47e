"""`recallr memories`: what was learned of a user, and setting it right."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.api import Gateway, running_gateway
from recallr_litellm.cli.table import print_table
from recallr_litellm.printable import printable

memories = typer.Typer(help="Memories of a user: list, show, correct, delete.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="USER", help="Id of the user.")]
Memory = Annotated[str, typer.Argument(metavar="MEMORY", help="Id of the memory, as `recallr memories list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="The API's answer, for programs.")]

_WHY = {
    "ADDITION_TO_EXISTING_MEMORY": "more was told",
    "TEMPORAL_CONFLICT": "it changed",
    "MERGE_CONFLICT": "it was corrected",
}
"""Why a version ended."""


@memories.command("list")
def list_memories(
    user: User,
    category: Annotated[list[str] | None, typer.Option("--category", help="Only of this; may be repeated.")] = None,
    session: Annotated[list[str] | None, typer.Option("--session", help="Only from this; may be repeated.")] = None,
    as_json: Json = False,
    gateway: Gateway = None,
) -> None:
    """List what is known of a user now, told last first: id, when it was told, number of versions, what it says.

    Times are UTC.
    """
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found = [*api.each("items", "users", user, "memories", categories=category, session_id_filter=session)]
    if as_json:
        print_json(found)
        return
    if not found:
        console.print(Text("Nothing that was learned is known of this user."))
        return
    rows = [
        (one["memory_id"], shown_time(one["created_at"]), str(one["total_versions"]), _marks(one) + one["content"])
        for one in found
    ]
    print_table(console, [("MEMORY", "TOLD", "VERSIONS", "CONTENT"), *rows])


@memories.command()
def show(user: User, memory: Memory, as_json: Json = False, gateway: Gateway = None) -> None:
    """Show a memory: what it says, what it said before and why not any more, and what it is connected with."""
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found = api.get("users", user, "memory", memory)
    _print(console, found, as_json)


@memories.command()
def edit(
    user: User,
    memory: Memory,
    content: Annotated[str, typer.Argument(metavar="TEXT", help="What it says from now on.")],
    as_json: Json = False,
    gateway: Gateway = None,
) -> None:
    """Say a memory in other words: a version by hand, which learning does not overwrite."""
    _correct(user, memory, {"content": content}, as_json, gateway)


@memories.command()
def invalidate(user: User, memory: Memory, as_json: Json = False, gateway: Gateway = None) -> None:
    """Note that a memory is no longer true. It is found by questions about the past only."""
    _correct(user, memory, {"invalid": True}, as_json, gateway)


@memories.command()
def revert(
    user: User,
    memory: Memory,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Id of the version, as `show` has it.")],
    as_json: Json = False,
    gateway: Gateway = None,
) -> None:
    """Have a memory say again what it said in an earlier version."""
    _correct(user, memory, {"version": version}, as_json, gateway)


@memories.command()
def pin(user: User, memory: Memory, as_json: Json = False, gateway: Gateway = None) -> None:
    """Keep a memory as it is, and in the profile, whatever is learned."""
    _correct(user, memory, {"pinned": True}, as_json, gateway)


@memories.command()
def unpin(user: User, memory: Memory, as_json: Json = False, gateway: Gateway = None) -> None:
    """Let a memory change again by what is learned."""
    _correct(user, memory, {"pinned": False}, as_json, gateway)


@memories.command()
def delete(
    user: User,
    memory: Annotated[str, typer.Argument(metavar="MEMORY", help="Id of the memory, or of one of its versions.")],
    with_previous: Annotated[
        bool, typer.Option("--all", help="Also all that it said before: of the current version, all of the memory.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    gateway: Gateway = None,
) -> None:
    """Delete a version of a memory, for good. Without the current version, the one before it is current again. Shows
    it, and asks first."""
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found = api.get("users", user, "memory", memory)
        before = found["previous_versions"] if with_previous else []
        for one in [*before, found]:
            console.print(Text(printable(one["content"])))
        what = f"these {len(before) + 1} versions" if before else "this version"
        if not yes and not typer.confirm(f"Delete {what}, for good?"):
            console.print(Text("Nothing was deleted."))
            raise typer.Exit(1)
        api.delete("users", user, "memory", memory, delete_previous_versions=with_previous)
    console.print(Text("Deleted."))


def print_json(found: Any) -> None:
    """For programs: on one line, so that no console wraps it."""
    typer.echo(json.dumps(found, ensure_ascii=False))


def shown_time(value: str | None) -> str:
    """A time of the API, in UTC."""
    return value[:19].replace("T", " ") if value else "-"


def _correct(user: str, memory: str, change: dict[str, Any], as_json: bool, gateway: str | None) -> None:
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found = api.patch("users", user, "memory", memory, body=change)
    _print(console, found, as_json)


def _print(console: Console, found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        ("memory", found["memory_id"]),
        ("content", found["content"]),
        ("told", shown_time(found["created_at"])),
        ("session", found["session_id"]),
        ("categories", ", ".join(found["categories"]) or "-"),
        ("version", f"{found['version_number']} of {found['total_versions']}{', by hand' * found['by_hand']}"),
        ("pinned", "yes" if found["pinned"] else "no"),
    ]
    if found["merge_conflict_in_progress"]:
        rows.append(("in conflict", found["merge_conflict_id"]))
    if found["expired_at"]:
        rows.append(("true until", shown_time(found["expired_at"])))
    for name, value in rows:
        console.print(Text(printable(f"{name:<14}{value}")))
    if found["previous_versions"]:
        console.print(Text("\nBefore:"))
        print_table(
            console,
            [
                ("VERSION", "TOLD", "UNTIL", "SINCE THEN", "CONTENT"),
                *(
                    (
                        one["memory_id"],
                        shown_time(one["created_at"]),
                        shown_time(one["expired_at"]),
                        _WHY.get(one["expiration_reason"], one["expiration_reason"]),
                        one["content"],
                    )
                    for one in found["previous_versions"]
                ),
            ],
        )
    if found["connected_memories"]:
        console.print(Text("\nConnected:"))
        print_table(console, [(one["memory_id"], one["content"]) for one in found["connected_memories"]])


def _marks(found: dict[str, Any]) -> str:
    marks = [
        *(["pinned"] if found["pinned"] else []),
        *(["in conflict"] if found["merge_conflict_in_progress"] else []),
    ]
    return f"[{', '.join(marks)}] " if marks else ""
