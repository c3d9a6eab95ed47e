"""What the commands share: `.env`, names of variables and files, the shipped config, how errors are shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from dotenv import load_dotenv
from rich.console import Console
from rich.text import Text

import recallr_litellm
from recallr_litellm.errors import CommandFailed, ConfigurationError, InvalidImport, Unavailable
from recallr_litellm.printable import printable

MASTER_KEY = "LITELLM_MASTER_KEY"
"""Variable with LiteLLM's own key: what a client sends as `Authorization: Bearer …`."""
MASTER_KEY_FILE = "master_key"
"""Name, in the data folder, of the file with the key that is made where the variable is unset."""

RECORD_FILE = "RECALLR_DEMO_RECORD"
"""Variable by which `recallr demo` tells its own gateway where to write what goes out to the model.
Not a setting of the plugin."""
DEMO_MODEL = "recallr-demo"
"""The model of the shipped config that needs no key."""


def load_env_file() -> None:
    """Read `.env` of the current folder into the environment, without replacing variables.

    The plugin's settings read the file themselves; keys of providers and of LiteLLM would be missing.
    """
    load_dotenv(Path(".env"))


def master_key_is_set() -> bool:
    """True when LITELLM_MASTER_KEY is in the environment and not blank."""
    return bool(os.environ.get(MASTER_KEY, "").strip())


def shipped_config() -> Path:
    """`config.yaml` as the wheel carries it, or as it lies in the source checkout.

    Raises:
        ConfigurationError: neither is there.
    """
    package = Path(recallr_litellm.__file__).resolve().parent
    candidates = (package / "config" / "config.yaml", package.parent / "config" / "config.yaml")
    for path in candidates:
        if path.is_file():
            return path
    raise ConfigurationError(
        f"config.yaml is missing from the installation; looked at {', '.join(map(str, candidates))}"
    )


@contextmanager
def faults_shown(console: Console) -> Iterator[None]:
    """Show what a command cannot do, and says so in its error, as one line without a traceback, and exit with 1."""
    try:
        yield
    except (CommandFailed, ConfigurationError, InvalidImport, Unavailable) as error:
        console.print(Text(printable(f"recallr: {error}"), style="bold red"), soft_wrap=True)
        raise typer.Exit(1) from error
