"""`recallr reindex`: everything that is remembered is embedded anew with another model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.text import Text

from recallr_litellm.cli.environment import MASTER_KEY, MASTER_KEY_FILE, faults_shown, load_env_file
from recallr_litellm.errors import ConfigurationError, EmbeddingMisconfigured, EmbeddingUnavailable
from recallr_litellm.settings import Settings, load_settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import GatewayEmbed, SparseEncoder, open_embedder
from recallr_litellm.stores.vectors import open_collections

_ANSWER_SECONDS = 60.0
"""Timeout of one call of the gateway, which may wait for its provider."""
_INTERRUPTED = 130
"""Exit code of a command ended by Ctrl-C."""


def reindex(
    model: Annotated[
        str | None, typer.Option(help="The new embedding model.", show_default="RECALLR_EMBEDDING_MODEL")
    ] = None,
    gateway: Annotated[
        str, typer.Option(envvar="RECALLR_GATEWAY", help="URL of the gateway that is asked for models `litellm/…`.")
    ] = "http://127.0.0.1:4000",
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Delete the collections of other models, once gateways use the new one.")
    ] = False,
) -> None:
    """Embed all memories again, with the model that RECALLR_EMBEDDING_MODEL names.

    With a Qdrant server, gateways keep serving; with embedded stores, no gateway may run. Gateways use the new model
    after a restart with the new setting. Run again, the command resumes where it was stopped and copies what is new.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        settings = load_settings()
        if model:
            settings = settings.model_copy(update={"embedding_model": model})
        try:
            asyncio.run(_reindex(settings, gateway.rstrip("/"), console, drop_old=drop_old))
        except EmbeddingMisconfigured as error:
            raise ConfigurationError(
                f"{error}. Check {MASTER_KEY}, and that the gateway has a model of that name."
            ) from error
        except KeyboardInterrupt:
            console.print(Text("Stopped. `recallr reindex` goes on from here."))
            raise typer.Exit(_INTERRUPTED) from None


async def _reindex(settings: Settings, gateway: str, console: Console, *, drop_old: bool) -> None:
    from recallr_litellm.reindex import Reindex  # late: half a second that other commands do not need

    if settings.qdrant_url is None and not settings.data_dir.exists():
        console.print(Text("Nothing is remembered yet, so there is nothing to embed."))
        return
    async with _asking(gateway, _master_key(settings)) as embed:
        embedder = open_embedder(settings, embed)
        # The lock of the data folder, where the vectors are in it.
        with DataDir(settings.data_dir) if settings.qdrant_url is None else nullcontext():
            collections = open_collections(settings)
            try:
                with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as bar:
                    task = bar.add_task("embedding", total=None)
                    sparse = await asyncio.to_thread(SparseEncoder)
                    job = Reindex(
                        collections,
                        embedder,
                        sparse,
                        on_progress=lambda compared, total: bar.update(task, completed=compared, total=total),
                    )
                    outcome = await job.run()
                if outcome is None:
                    console.print(Text("Nothing is remembered yet, so there is nothing to embed."))
                    return
                dropped = await job.drop_old() if drop_old else []
            finally:
                await collections.close()
                await embedder.close()
    done = f"{outcome.changed} points were written or deleted." if outcome.changed else "Nothing was left to do."
    console.print(Text(f"{outcome.collection} holds everything with vectors of {embedder.name}. {done}"))
    if outcome.refused:
        console.print(Text(f"The model refused {outcome.refused} texts: they are kept, but not found by a search."))
    if not outcome.in_use:
        late = (
            " Then run `recallr reindex` again: it copies what gateways with the old model have still written."
            if settings.qdrant_url
            else ""
        )
        console.print(Text(f"Now start the gateway with RECALLR_EMBEDDING_MODEL={embedder.name}.{late}"))
    if dropped:
        console.print(Text(f"Deleted: {', '.join(dropped)}."))
    elif outcome.old:
        when = "" if outcome.in_use else "Once the gateway runs with the new model, "
        console.print(
            Text(f"{when}`recallr reindex --drop-old` deletes what is no longer needed: {', '.join(outcome.old)}.")
        )


def _master_key(settings: Settings) -> str | None:
    """LiteLLM's master key, from the environment or the data folder."""
    key = os.environ.get(MASTER_KEY, "").strip()
    with suppress(OSError):
        key = key or (settings.data_dir / MASTER_KEY_FILE).read_text().strip()
    return key or None


@asynccontextmanager
async def _asking(gateway: str, key: str | None) -> AsyncIterator[GatewayEmbed]:
    """A function that has texts embedded by a model of a running gateway."""
    import openai  # late: a second that other commands do not need

    async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key=key or "none", timeout=_ANSWER_SECONDS) as client:

        async def embed(model: str, texts: list[str]) -> list[list[float]]:
            try:
                answer = await client.embeddings.create(model=model, input=texts, encoding_format="float")
            except openai.APIConnectionError as error:
                raise EmbeddingUnavailable(
                    f"No gateway answers at {gateway} ({error}), and litellm/{model} is one of its models. Start it, "
                    "or name another one with --gateway. If its stores are embedded, it cannot run meanwhile: start a "
                    "second one on another folder (RECALLR_DATA_DIR=/tmp/embedding recallr serve), or name any "
                    "OpenAI-compatible endpoint that has the model, with its key in LITELLM_MASTER_KEY."
                ) from error
            return [item.embedding for item in answer.data]

        yield embed
