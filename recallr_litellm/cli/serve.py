"""`recallr serve`: LiteLLM's proxy with memory, ready at the first start."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from recallr_litellm.cli.access import Access
from recallr_litellm.cli.environment import (
    DEMO_MODEL,
    MASTER_KEY,
    MASTER_KEY_FILE,
    faults_shown,
    load_env_file,
    master_key_is_set,
    shipped_config,
)
from recallr_litellm.key_file import read_or_make
from recallr_litellm.settings import load_settings

LOOPBACK = "127.0.0.1"
"""Where `serve` listens unless told otherwise. LiteLLM's default is every interface of the machine; a
first start should not put a gateway that holds somebody's provider keys on the network."""


def serve(
    litellm_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- LITELLM OPTIONS", help="Passed to `litellm` unchanged.", show_default=False),
    ] = None,
) -> None:
    """Start a LiteLLM gateway that remembers every user.

    Runs the config that comes with the package, for this machine only (127.0.0.1). What stands after
    `--` goes to LiteLLM and wins: `recallr serve -- --host 0.0.0.0 --port 8000 --config my.yaml`.

    Reads `.env` of the current folder. Without LITELLM_MASTER_KEY a strong key is made once and kept
    in the data folder, readable by its owner only.
    """
    console = Console(stderr=True, soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        settings = load_settings()
        config = shipped_config()
        generated = not master_key_is_set()
        if generated:
            os.environ[MASTER_KEY] = read_or_make(settings.data_dir / MASTER_KEY_FILE, prefix="sk-")

    # Only now: LiteLLM takes seconds to load and reads the environment while it does.
    from litellm.proxy.proxy_cli import run_server

    # Of an option given twice, the last one counts: the user's.
    options = ["--config", str(config), "--host", LOOPBACK, *(litellm_options or ())]
    chosen = run_server.make_context("litellm", list(options), resilient_parsing=True).params
    model = DEMO_MODEL if chosen["config"] == str(config) else "<a model of your config>"
    host = LOOPBACK if chosen["host"] in ("0.0.0.0", "::") else chosen["host"]  # noqa: S104  # compared, not bound
    access = Access.of(settings, url=f"http://{host}:{chosen['port']}", model=model, master_key_generated=generated)
    access.show(console)
    run_server.main(options, prog_name="litellm")
