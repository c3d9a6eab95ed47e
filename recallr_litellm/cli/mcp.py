"""`recallr mcp`: the memory of one user as an MCP server over stdio, from the running gateway."""

from __future__ import annotations

import os
from typing import Annotated

import anyio
import typer
from rich.console import Console

from recallr_litellm.cli.api import Gateway, gateway_url, project_headers
from recallr_litellm.cli.environment import faults_shown, load_env_file
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.settings import load_settings

USER = "RECALLR_USER_ID"


def mcp(
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help=f"Whose memory it is. [default: {USER}]")
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Make the user if there is none of that id.")] = False,
    gateway: Gateway = None,
) -> None:
    """Serve the memory of one user to a program that speaks MCP over stdin and stdout.

    The running gateway serves the same by HTTP at `/recallr/mcp`.
    """
    with faults_shown(Console(stderr=True, soft_wrap=True)):
        load_env_file()
        name = user or os.environ.get(USER, "").strip()
        if not name:
            raise ConfigurationError(f"Whose memory is it? Name the user with --user or {USER}")
        headers = project_headers(load_settings())
        headers["X-Recallr-User-Id"] = name
        if create:
            headers["X-Recallr-Allow-New-User-Creation"] = "true"
        try:
            from recallr_litellm.cli.mcp_bridge import bridge
        except ImportError as error:
            raise ConfigurationError(f"This needs the package mcp, version 2 or later ({error})") from error
        anyio.run(bridge, gateway_url(gateway), headers)
