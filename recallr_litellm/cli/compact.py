"""`recallr compact`: what was deleted is gone from the disk too."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.environment import faults_shown, load_env_file
from recallr_litellm.settings import Settings, load_settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.state import EmbeddedValkey


def compact() -> None:
    """Write the embedded stores anew, so that nothing of what was deleted is left in their files.

    No gateway may run on the data folder meanwhile. Stores with a URL are left alone.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        settings = load_settings()
        if not settings.data_dir.exists():
            console.print(Text("Nothing is stored yet."))
            raise typer.Exit
        with DataDir(settings.data_dir):
            asyncio.run(_compact(settings, console))


async def _compact(settings: Settings, console: Console) -> None:
    if settings.redis_url is None and settings.valkey_dir.exists():
        valkey = EmbeddedValkey(settings.valkey_dir)
        try:
            await asyncio.to_thread(valkey.start)
            await asyncio.to_thread(valkey.rewrite)
        finally:
            await asyncio.to_thread(valkey.stop)
        console.print(Text(f"{settings.valkey_dir} is written anew."))
    if settings.qdrant_url is None:
        from recallr_litellm.stores.vectors.edge_collections import EdgeCollections  # late: not on every platform

        collections = EdgeCollections(settings.qdrant_dir)
        for name in await collections.names():
            count = await collections.rewrite(name)
            console.print(Text(f"{settings.qdrant_dir.with_name(name)} is written anew, with {count} points."))
