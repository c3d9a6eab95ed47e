"""`recallr reindex`: everything that is remembered is embedded anew with another model, while the gateway serves."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.environment import faults_shown, load_env_file
from recallr_litellm.cli.failed import ANSWER_SECONDS
from recallr_litellm.cli.reindex_view import ReindexView
from recallr_litellm.errors import ConfigurationError, DataDirInUse, RecallrError, Unavailable
from recallr_litellm.settings import Settings, load_settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import GATEWAY_PREFIX, Embedder, SparseEncoder, open_embedder
from recallr_litellm.stores.state import EmbeddedValkey
from recallr_litellm.stores.state.board import (
    WANTED_SECONDS,
    Board,
    Lease,
    Phase,
    Progress,
    Reader,
    Wanted,
    this_process,
)
from recallr_litellm.stores.vectors import open_collections

_LOOK_SECONDS = 0.25
_GATEWAY_SECONDS = 60.0
"""How long a gateway is waited for that was killed while it was at it."""
_BEGIN_SECONDS = 20.0
"""How long a gateway may take to begin: longer than the lease of one that was killed."""
_STOP_SECONDS = 10.0
_INTERRUPTED = 130
"""Exit code of a command ended by Ctrl-C."""


@dataclass(frozen=True)
class Options:
    """What is to be done."""

    keep_old: bool
    again: bool


@dataclass(frozen=True)
class Standing:
    """What this command can reach."""

    board: Board
    owns_folder: bool
    """The embedded stores are its own: no gateway runs on the data folder."""


def reindex(
    model: Annotated[
        str | None, typer.Option(help="The new embedding model.", show_default="RECALLR_EMBEDDING_MODEL")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also where it has the name of the model that everything is from.")
    ] = False,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Keep the old collection, until the next reindex without this.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Show how far it is, and do nothing.")] = False,
) -> None:
    """Embed everything that is remembered anew, with the model that RECALLR_EMBEDDING_MODEL names now.

    Works beside running gateways, which go on to serve with the old model and change over when everything is there,
    or with none. Ctrl-C stops it, and the next call goes on where it stopped.
    """
    console = Console(soft_wrap=True)
    with faults_shown(console):
        load_env_file()
        settings = load_settings()
        if model:
            settings = settings.model_copy(update={"embedding_model": model})
        if status:
            asyncio.run(_show_status(settings, console))
            return
        try:
            ended = asyncio.run(_reindex(settings, Options(keep_old, again), console))
        except KeyboardInterrupt:
            console.print(Text("Stopped. `recallr reindex` goes on from here."))
            raise typer.Exit(_INTERRUPTED) from None
    if ended is None:
        console.print(Text("Nothing is remembered yet, so there is nothing to embed."))
        return
    if ended.phase is not Phase.DONE:
        why = ended.note or f"{ended.where} has stopped it"
        at = f"stopped at {ended.done} of {ended.total} points: " if ended.total else ""
        console.print(Text(f"recallr: {at}{why}", style="bold red"))
        if ended.total:
            console.print(Text("`recallr reindex` goes on from here."))
        raise typer.Exit(1)
    console.print(Text(ended.note))
    if ended.total:
        console.print(Text(f"Before a gateway is started again: RECALLR_EMBEDDING_MODEL={ended.model}"))


async def _reindex(settings: Settings, options: Options, console: Console) -> Progress | None:
    """Do it, or have it done. None where there is nothing at all."""
    if settings.qdrant_url is None and not settings.data_dir.exists():
        return None
    embedder = open_embedder(settings, _no_gateway)
    async with _standing(settings) as standing:
        in_gateway = settings.qdrant_url is None and not standing.owns_folder
        by_gateway = in_gateway or embedder.name.startswith(GATEWAY_PREFIX)
        with ReindexView(console) as view:
            if by_gateway:
                return await _have_it_done(standing, embedder.name, options, view)
            return await _do(settings, standing, embedder, options, view)


async def _do(
    settings: Settings, standing: Standing, embedder: Embedder, options: Options, view: ReindexView
) -> Progress:
    from recallr_litellm.reindex import Reindex

    sparse = await asyncio.to_thread(SparseEncoder)
    collections = open_collections(settings)
    lease = await _take_lease(standing.board)
    where = this_process("recallr reindex")
    job = Reindex(
        collections, embedder, sparse, standing.board, where=where, keep_old=options.keep_old, again=options.again
    )
    running = asyncio.create_task(job.run(lease))
    try:
        while not running.done():
            view.show(job.progress)
            await asyncio.wait({running}, timeout=_LOOK_SECONDS)
        with contextlib.suppress(RecallrError):  # the progress says it
            running.result()
        return job.progress
    finally:
        running.cancel()
        await asyncio.wait({running})
        await collections.close()
        await embedder.close()


async def _take_lease(board: Board) -> Lease:
    """The right to do it, once that of a process that was killed is over.

    Raises:
        ConfigurationError: somebody else is at it.
    """
    from recallr_litellm.reindex import LEASE_SECONDS

    left = LEASE_SECONDS
    while (lease := await board.take_lease(LEASE_SECONDS)) is None:
        left = await _less_left(board, board.lease_left, left)
    return lease


async def _begin_to_ask(board: Board, wanted: Wanted) -> None:
    """Ask the gateways, once the request of a process that was killed is over.

    Raises:
        ConfigurationError: somebody else asks.
    """
    left = WANTED_SECONDS
    while not await board.ask(wanted):
        left = await _less_left(board, board.wanted_left, left)


async def _less_left(board: Board, seconds_left: Callable[[], Awaitable[float]], before: float) -> float:
    """Seconds left of what belongs to another process, after a moment; raises if it was renewed meanwhile."""
    left = await seconds_left()
    if left > before:
        raise await _other(board)
    await asyncio.sleep(_LOOK_SECONDS)
    return left


async def _other(board: Board) -> ConfigurationError:
    progress = await board.progress()
    at = f" ({progress.where}; {progress.done} of {progress.total} points)" if progress is not None else ""
    return ConfigurationError(
        f"Another reindex is running{at}. `recallr reindex --status` shows it. Stop it, or let it come to its end."
    )


async def _have_it_done(standing: Standing, model: str, options: Options, view: ReindexView) -> Progress:
    """Ask a gateway for it, and watch it."""
    board = standing.board
    await _require_gateway(standing, model)
    wanted = Wanted(id=uuid.uuid4().hex, model=model, keep_old=options.keep_old, again=options.again)
    await _begin_to_ask(board, wanted)
    try:
        return await _watch(board, wanted, view)
    finally:
        with contextlib.suppress(Unavailable):
            await board.ask_no_more(wanted)
            await _until_stopped(board, wanted)


async def _watch(board: Board, wanted: Wanted, view: ReindexView) -> Progress:
    loop = asyncio.get_running_loop()
    patience = _BEGIN_SECONDS
    alive = loop.time()
    while True:
        try:
            await board.ask(wanted)
            progress, left = await board.progress(), await board.lease_left()
        except Unavailable:
            progress, left = None, 0.0
        if progress is not None and progress.wanted == wanted.id:
            view.show(progress)
            if progress.phase.is_last:
                return progress
            patience = _GATEWAY_SECONDS
            if left:
                alive = loop.time()
        if loop.time() > alive + patience:
            if left:
                raise await _other(board)
            raise Unavailable(
                "No gateway does it: the one that was asked has ended, or does not reach its stores. Start it, and "
                "repeat this: `recallr reindex` goes on where it stopped."
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _until_stopped(board: Board, wanted: Wanted) -> None:
    """Wait a little for the gateway to notice that nobody asks any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            while await board.lease_left():
                progress = await board.progress()
                if progress is None or progress.wanted != wanted.id or progress.phase.is_last:
                    return
                await asyncio.sleep(_LOOK_SECONDS)


async def _require_gateway(standing: Standing, model: str) -> None:
    """Return when there is a gateway to ask.

    Raises:
        ConfigurationError: there is none.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            while not await standing.board.readers():
                if standing.owns_folder:
                    break
                await asyncio.sleep(_LOOK_SECONDS)
    if await standing.board.readers():
        return
    if model.startswith(GATEWAY_PREFIX):
        raise ConfigurationError(
            f"{model} is a model of the gateway, which only a running gateway can ask, and none runs on these stores. "
            "Start it with the RECALLR_EMBEDDING_MODEL that it had, and beside it "
            f"`recallr reindex --model {model}`."
        )
    if await standing.board.lease_left():
        raise await _other(standing.board)
    raise ConfigurationError("The data folder is in use by a process that is no gateway, or one that has just started.")


@asynccontextmanager
async def _standing(settings: Settings) -> AsyncIterator[Standing]:
    """Reach Redis: the configured one, that of a running gateway, or the embedded one, started for this command.

    Raises:
        ConfigurationError: nobody can be reached, and nothing started.
    """
    embedded = settings.redis_url is None or settings.qdrant_url is None
    folder = DataDir(settings.data_dir)
    server: EmbeddedValkey | None = None
    owns = False
    if embedded:
        with contextlib.suppress(DataDirInUse):
            folder.acquire()
            owns = True
    try:
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
        else:
            server = EmbeddedValkey(settings.valkey_dir)
            found = await asyncio.to_thread(server.start if owns else server.running_url)
            if found is None:
                raise ConfigurationError(
                    f"The data folder {settings.data_dir.absolute()} is in use by a process whose embedded Redis does "
                    "not answer. If it is a gateway that has a RECALLR_REDIS_URL, set it here too."
                )
            url = found
        board = Board.from_url(url, timeout_seconds=ANSWER_SECONDS)
        try:
            yield Standing(board, owns)
        finally:
            await board.close()
    finally:
        if server is not None:
            await asyncio.to_thread(server.stop)  # only if it was started here
        folder.release()


async def _show_status(settings: Settings, console: Console) -> None:
    """Print a line each: the model that is configured, the last reindex, the store, the gateways."""
    rows = [("configured", open_embedder(settings, _no_gateway).name)]
    if settings.qdrant_url is None and not settings.data_dir.exists():
        rows.append(("stored", "nothing yet"))
    else:
        async with _standing(settings) as standing:
            progress, left = await standing.board.progress(), await standing.board.lease_left()
            readers = await standing.board.readers()
            rows.append(("reindex", _told(progress, running=bool(left))))
            if settings.qdrant_url is not None or standing.owns_folder:
                rows.append(("stored", await _stored(settings)))
            rows += [("gateway", _read_by(reader)) for reader in readers]
    for name, value in rows:
        console.print(Text(f"{name:<12}{value}"))


def _told(progress: Progress | None, *, running: bool) -> str:
    if progress is None:
        return "none yet"
    ended = progress.phase.is_last
    phase = progress.phase.value if running or ended else f"cut off while {progress.phase.value}"
    text = f"{phase}, {progress.done} of {progress.total} points, with {progress.model}, by {progress.where}"
    return f"{text}: {progress.note}" if progress.note else text


async def _stored(settings: Settings) -> str:
    from recallr_litellm.stores.vectors.collections import describe

    collections = open_collections(settings)
    try:
        current = await collections.current()
        found = await describe(collections, current)
        if found is None:
            return "nothing yet"
        return f"{await collections.engine(current).count() - 1} points in {current}, with vectors of {found.model}"
    finally:
        await collections.close()


def _read_by(reader: Reader) -> str:
    text = f"{reader.where}: reads {', '.join(reader.collections) or 'nothing'} with {reader.model}"
    return f"{text}; {reader.problem}" if reader.problem else text


async def _no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise ConfigurationError(f"{model} can only be asked by a running gateway")
