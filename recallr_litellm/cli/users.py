"""`recallr users`: who is remembered, how much of each, and taking it along, bringing it back or deleting it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.api import Api, Gateway, running_gateway
from recallr_litellm.cli.import_ import import_
from recallr_litellm.cli.table import print_table
from recallr_litellm.errors import CommandFailed, ConfigurationError
from recallr_litellm.printable import printable

users = typer.Typer(help="Users of a project: list, show, export, import, forget.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="USER", help="Id of the user.")]

_COUNTED: Final = {
    "processed_sessions": "processed sessions",
    "open_sessions": "open sessions",
    "messages": "messages",
    "memories": "memories",
}


@users.command("list")
def list_users(gateway: Gateway = None) -> None:
    """List the users of the project: id, when it was made, when it was last active, metadata. Times are UTC."""
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        rows = [
            (user["custom_user_id"], _time(user["created_at"]), _time(user["last_active_at"]), _json(user["metadata"]))
            for user in api.each("users", "users")
        ]
    if not rows:
        console.print(Text("The project has no users."))
        return
    print_table(console, [("USER", "MADE", "LAST ACTIVE", "METADATA"), *rows])


@users.command()
def show(user: User, gateway: Gateway = None) -> None:
    """Show a user, how much is remembered of it, and the profile that its chats are shown."""
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found, counts = api.get("users", user), api.get("users", user, "summary")
        profile = api.get("users", user, "profile")["lines"]
    rows = [
        ("user", found["custom_user_id"]),
        ("made", _time(found["created_at"])),
        ("last active", _time(found["last_active_at"])),
        ("metadata", _json(found["metadata"])),
        *((name, f"{counts[field]:,}") for field, name in _COUNTED.items()),
        *(("" if place else "profile", _line(line)) for place, line in enumerate(profile)),
    ]
    for name, value in rows:
        console.print(Text(printable(f"{name:<20}{value}")))


@users.command()
def forget(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    gateway: Gateway = None,
) -> None:
    """Delete a user and all that is remembered of it, for good. Says how much that is, and asks first."""
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        held = _held(api, user)
        console.print(Text(printable(f"{user}: {held}.")))
        if not yes and not typer.confirm("Delete all of it, for good?"):
            console.print(Text("Nothing was deleted."))
            raise typer.Exit(1)
        api.delete("users", user)
    console.print(Text(printable(f"Deleted: {user} with {held}.")))


@users.command()
def export(
    user: User,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", dir_okay=False, help="[default: <user>.json in this folder]"),
    ] = None,
    gateway: Gateway = None,
) -> None:
    """Write all that is remembered of a user to a JSON file, readable by its owner only, that `recallr import` takes
    back on any gateway."""
    console = Console(soft_wrap=True)
    path = to if to is not None else Path(f"{_file_name(user)}.json")
    part = path.with_name(f".{path.name}.part")
    with running_gateway(console, gateway) as api:
        try:
            with api.stream("users", user, "export") as parts, _private(part) as file:
                for text in parts:
                    file.write(text)
            part.replace(path)  # so that a file of this name is always whole
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written ({error.strerror}): name another with --to") from error
        except CommandFailed:
            part.unlink(missing_ok=True)
            raise
    console.print(Text(printable(f"Written: {path} ({path.stat().st_size:,} bytes)")))


users.command("import")(import_)


def _line(line: dict[str, Any]) -> str:
    disputed = f" (disputed: {line['disputed']})" if line["disputed"] else ""
    return f"{line['content']}{disputed} [{line['memory_id']}, {_time(line['told_at'])[:10]}]"


def _private(path: Path) -> BinaryIO:
    """A new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _held(api: Api, user: str) -> str:
    counts = api.get("users", user, "summary")
    return ", ".join(f"{counts[field]:,} {name}" for field, name in _COUNTED.items())


def _file_name(user: str) -> str:
    """The user's id as a file's name: without what separates folders."""
    name = "".join(character if character.isalnum() or character in "-_.@+" else "_" for character in user)
    return name.lstrip(".")[:100] or "user"


def _time(value: str | None) -> str:
    return value[:19].replace("T", " ") if value else "-"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else "-"
