"""`recallr projects` and `recallr keys`: made, listed and revoked in the running gateway, with LiteLLM's master key."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.api import PROJECT, Gateway, running_gateway
from recallr_litellm.cli.environment import load_env_file
from recallr_litellm.cli.table import print_table
from recallr_litellm.printable import printable
from recallr_litellm.projects import DEFAULT_PROJECT

projects = typer.Typer(help="Projects of the running gateway. Needs LiteLLM's master key.", no_args_is_help=True)
keys = typer.Typer(help="API keys of a project. Needs LiteLLM's master key.", no_args_is_help=True)

OfProject = Annotated[
    str | None,
    typer.Option("--project", metavar="ID", help=f"The project. [default: {PROJECT}, or {DEFAULT_PROJECT}]"),
]


@projects.command("create")
def create_project(
    project_id: Annotated[str, typer.Argument(help="Letters, digits, dots, hyphens and underscores.")],
    gateway: Gateway = None,
) -> None:
    """Make a project. It has no key yet."""
    console = _console()
    with running_gateway(console, gateway, admin=True) as api:
        made = api.post("admin", "projects", body={"project_id": project_id})["project_id"]
    console.print(Text(f"Made. A key for it: recallr keys create NAME --project {made}"))


@projects.command("list")
def list_projects(gateway: Gateway = None) -> None:
    """List the projects: id, since when, number of valid keys, settings."""
    console = _console()
    with running_gateway(console, gateway, admin=True) as api:
        found = list(api.each("projects", "admin", "projects"))
    rows = [(one["project_id"], _since(one), str(one["valid_keys"]), _settings(one["settings"])) for one in found]
    print_table(Console(soft_wrap=True), [("PROJECT", "MADE", "KEYS", "SETTINGS"), *rows])


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Tells keys apart, for people.")],
    project: OfProject = None,
    gateway: Gateway = None,
) -> None:
    """Make a key and print it, this once. All workers accept it within seconds."""
    console = _console()
    with running_gateway(console, gateway, admin=True) as api:
        made = api.post("admin", "projects", _project(project), "keys", body={"name": name})
    typer.echo(made["api_key"])
    console.print(Text(printable(f"Key {made['key_id']} of project {made['project_id']}. It cannot be shown again.")))


@keys.command("list")
def list_keys(project: OfProject = None, gateway: Gateway = None) -> None:
    """List the keys of a project: id, name, when each was made, used last and revoked. Times are UTC."""
    console = _console()
    with running_gateway(console, gateway, admin=True) as api:
        found = list(api.each("keys", "admin", "projects", _project(project), "keys"))
    rows = [
        (one["key_id"], one["name"], _since(one), _time(one["last_used_at"]), _time(one["revoked_at"])) for one in found
    ]
    print_table(Console(soft_wrap=True), [("KEY", "NAME", "MADE", "LAST USED", "REVOKED"), *rows])


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As `recallr keys list` shows it.")],
    project: OfProject = None,
    gateway: Gateway = None,
) -> None:
    """Revoke a key. All workers refuse it within seconds."""
    console = _console()
    with running_gateway(console, gateway, admin=True) as api:
        revoked = api.delete("admin", "projects", _project(project), "keys", key_id)
    console.print(Text(printable(f"Revoked: key {revoked['key_id']} ({revoked['name']})")))


def _console() -> Console:
    """For what is said to people, so that what a command prints can be used by programs."""
    return Console(soft_wrap=True, stderr=True)


def _project(given: str | None) -> str:
    load_env_file()
    return given or os.environ.get(PROJECT, "").strip() or DEFAULT_PROJECT


def _since(one: dict[str, Any]) -> str:
    return "configured" if one["created_at"] is None else _time(one["created_at"])


def _time(text: str | None) -> str:
    """To the second."""
    return text[:19].replace("T", " ") if text else "-"


def _settings(settings: dict[str, Any]) -> str:
    """Those that are set, as `retention_days=7 timezone=Asia/Tokyo`."""
    flat = {**{name: value for name, value in settings.items() if name != "defaults"}, **settings.get("defaults", {})}
    return " ".join(f"{name}={value}" for name, value in flat.items() if value is not None) or "-"
