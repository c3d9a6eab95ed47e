"""`recallr doctor`: checks the installation and says how to fix each fault."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.check_result import CheckResult, Level, fault, ok, warning
from recallr_litellm.cli.environment import load_env_file, shipped_config
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.printable import printable
from recallr_litellm.reconify.settings import misspelt_settings
from recallr_litellm.settings import load_settings

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "bold red"}


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="LiteLLM's config; unset: the one that comes with the package.")
    ] = None,
) -> None:
    """Check settings, keys, config, models, Reconify, stores and the embedding model; say how to fix each fault.

    Checks what a gateway would use that is started in this folder with this environment. Sends nothing to
    providers or to Reconify. The exit code is 1 if there is a fault; warnings alone give 0.
    """
    load_env_file()
    levels = asyncio.run(_examine(Console(soft_wrap=True), config))
    raise typer.Exit(1 if levels[Level.FAULT] else 0)


async def _examine(console: Console, config: Path | None) -> Counter[Level]:
    """Show each finding as soon as it is known. Returns the number of findings of each level."""
    levels: Counter[Level] = Counter()
    async for finding in _findings(config):
        levels[finding.level] += 1
        level = (f"{finding.level:<9}", _STYLES[finding.level])
        console.print(Text.assemble(level, printable(f"{finding.about}: {finding.detail}")))
        if finding.advice:
            console.print(Text(f"{'':<9}→ {finding.advice}"))
    console.print(Text(f"\nFaults: {levels[Level.FAULT]}, warnings: {levels[Level.WARNING]}"))
    return levels


async def _findings(config: Path | None) -> AsyncIterator[CheckResult]:
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield fault("Settings", str(error))
        return
    yield ok("Settings", f"valid; {len(settings.model_fields_set)} set, the rest at their defaults")
    for unknown in misspelt_settings():
        yield warning("Settings", unknown, "Correct its name or remove it")
    # Only now: the embedding model's runtime takes seconds to import, and the other commands do without it.
    from recallr_litellm.cli.checks import static_checks
    from recallr_litellm.cli.store_checks import store_checks

    for finding in static_checks(settings, config or shipped_config()):
        yield finding
    async for finding in store_checks(settings):
        yield finding
