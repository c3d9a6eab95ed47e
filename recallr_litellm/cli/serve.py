"""`recallr serve`: LiteLLM's proxy with memory, ready at the first start."""

from __future__ import annotations

import os
import threading
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

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
from recallr_litellm.cli.preflight import LOOPBACK, Options, check_start
from recallr_litellm.key_file import read_or_make
from recallr_litellm.reconify.settings import misspelt_settings
from recallr_litellm.settings import load_settings

POLL_SECONDS = 0.25


def serve(
    litellm_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="LITELLM OPTIONS", help="Passed to `litellm` unchanged.", show_default=False),
    ] = None,
) -> None:
    """Start a LiteLLM gateway that remembers every user.

    Runs the config that comes with the package, on this machine only (127.0.0.1), port 4000. Options go to
    LiteLLM: `recallr serve --port 8000 --config my.yaml --host 0.0.0.0`.

    Reads `.env` of the current folder. Without LITELLM_MASTER_KEY a strong key is made once and kept
    in the data folder, readable by its owner only.
    """
    console = Console(stderr=True, soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        for unknown in misspelt_settings():
            console.print(Text(f"recallr: {unknown}", style="yellow"))
        settings, shipped = load_settings(), shipped_config()
        options = Options.of(litellm_options or (), config=shipped)
        check_start(settings, options)
        generated = not master_key_is_set()
        if generated:
            os.environ[MASTER_KEY] = read_or_make(settings.data_dir / MASTER_KEY_FILE, prefix="sk-")

    model = DEMO_MODEL if options.config == shipped else "<a model of your config>"
    access = Access.of(settings, url=options.url, model=model, master_key_generated=generated)
    threading.Thread(target=_show_when_ready, args=(console, access), daemon=True).start()

    os.environ.setdefault("LITELLM_DONT_SHOW_FEEDBACK_BOX", "true")
    # Only now: LiteLLM takes seconds to load and reads the environment while it does.
    from litellm.proxy.proxy_cli import run_server

    # Of an option given twice, the last one counts: the user's.
    given = ["--config", str(shipped), "--host", LOOPBACK, "--port", str(options.port), *(litellm_options or ())]
    run_server.main(given, prog_name="litellm")


def _show_when_ready(console: Console, access: Access) -> None:
    """Print how to talk to the gateway once it answers; and what is missing, if memory does not work yet."""
    import httpx  # here: the check of a start needs none

    with httpx.Client(trust_env=False, timeout=30, verify=False) as client:  # noqa: S501  # this machine
        while True:
            time.sleep(POLL_SECONDS)
            try:
                ready = client.get(f"{access.url}/recallr/health/ready")
            except httpx.HTTPError:
                continue
            break
    access.show(console)
    if not ready.is_success:
        faults = ", ".join(ready.json()["faults"])
        console.print(Text(f"Memory does not work yet: {faults}. What to do says: recallr doctor", style="yellow"))
