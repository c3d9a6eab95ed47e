"""`recallr import FILE`: conversations had elsewhere, or an exported user, become memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from recallr_litellm.cli.api import Api, Gateway, running_gateway
from recallr_litellm.errors import CommandFailed, InvalidImport
from recallr_litellm.json_text import written
from recallr_litellm.printable import printable
from recallr_litellm.services.transfer.document import FORMAT, VERSION, written_item
from recallr_litellm.services.transfer.files import conversations, document_user
from recallr_litellm.services.transfer.readers import FORMATS

_SESSIONS_AT_ONCE: Final = 20
_BYTES_AT_ONCE: Final = 1_000_000
_MOST_SHOWN: Final = 20
"""Faults that are told one by one."""
_AT_ONCE: Final = 64 * 1024

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]


def import_(
    file: File,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Whose memory it becomes, whoever the file names.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(FORMATS), help="How the file is written. [default: recognised]"),
    ] = None,
    gateway: Gateway = None,
) -> None:
    """Import conversations, with their dates, or a user that was exported.

    Reads ChatGPT's and Claude's `conversations.json`, OpenAI's lists of messages, JSON lines, LoCoMo, and what
    `recallr users export` writes. What is there already is left out: run it again after an import that broke off, or
    with a newer file.
    """
    console = Console(soft_wrap=True)
    if format is not None and format not in FORMATS:
        raise typer.BadParameter(f"must be one of {', '.join(FORMATS)}", param_hint="--format")
    with running_gateway(console, gateway) as api:
        try:
            exported_of = document_user(file) if format is None else None
            if exported_of is not None:
                done = _import_document(console, api, file, user or exported_of)
            else:
                done = _import_conversations(console, api, file, user, format)
        except OSError as error:
            raise InvalidImport(f"{file} cannot be read ({error.strerror})") from error
        except CommandFailed as error:
            text = f"{error}\nWhat was imported by then stays. Run it again to go on"
            raise CommandFailed(text, error.status) from error
    _show(console, done)
    if done.faults:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Done:
    """What became of a file."""

    users: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    faults: int = 0

    def add(self, user: str, counts: dict[str, int]) -> None:
        self.users.add(user)
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


def _progress(console: Console, file: Path) -> tuple[Progress, TaskID]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[sessions]} sessions"),
        console=console,
    )
    return progress, progress.add_task("importing", total=file.stat().st_size, sessions=0)


def _import_document(console: Console, api: Api, file: Path, user: str) -> _Done:
    """Send the file as it is."""
    done = _Done()
    progress, task = _progress(console, file)

    def content() -> Iterator[bytes]:
        with file.open("rb") as opened:
            while part := opened.read(_AT_ONCE):
                yield part
                progress.update(task, completed=opened.tell())

    with progress:
        counts = api.send("users", user, "import", content=content, media_type="application/json")
        done.add(user, counts)
        progress.update(task, sessions=counts["sessions"])
    return done


def _import_conversations(console: Console, api: Api, file: Path, user: str | None, format: str | None) -> _Done:
    """Send the conversations in documents of bounded size."""
    done = _Done()
    progress, task = _progress(console, file)
    batch: list[bytes] = []
    of_batch = ""

    def send() -> None:
        if batch:
            body = partial(_document, [*batch])
            counts = api.send("users", of_batch, "import", content=body, media_type="application/json")
            done.add(of_batch, counts)
            batch.clear()
            seen = done.counts["sessions"] + done.counts["unchanged_sessions"]
            progress.update(task, sessions=seen)

    with progress:
        for read in conversations(file, format):
            if read.conversation is None:
                done.faults += 1
                if done.faults <= _MOST_SHOWN:
                    progress.console.print(Text(printable(f"Left out: {read.fault}")))
                continue
            of_whom = user or read.conversation.user
            if of_whom is None:
                raise InvalidImport(f"{file} does not say whose conversations it holds: name the user with --user")
            if of_whom != of_batch or len(batch) == _SESSIONS_AT_ONCE or sum(map(len, batch)) > _BYTES_AT_ONCE:
                send()
                of_batch = of_whom
            batch.append(written(written_item(read.conversation.session)))
            if not batch[1:]:
                progress.update(task, completed=read.bytes)
        send()
        progress.update(task, completed=file.stat().st_size)
    return done


def _document(sessions: Iterable[bytes]) -> Iterator[bytes]:
    yield written({"format": FORMAT, "version": VERSION})[:-1] + b', "sessions": ['
    yield b",\n".join(sessions)
    yield b"]}"


def _show(console: Console, done: _Done) -> None:
    counts: dict[str, Any] = {name: f"{count:,}" for name, count in done.counts.items()}
    if counts:
        text = (
            f"Imported: {counts['sessions']} sessions with {counts['messages']} new messages, "
            f"{counts['memories']} memories. There already: {counts['unchanged_sessions']} sessions, "
            f"{counts['unchanged_memories']} memories."
        )
        console.print(Text(text))
    else:
        console.print(Text("Nothing was imported."))
    if done.counts.get("deleted_sessions"):
        console.print(
            Text(f"Left out: {counts['deleted_sessions']} sessions that were deleted here within the last day.")
        )
    if done.faults:
        console.print(Text(f"Left out: {done.faults:,} that could not be read."))
    for user in sorted(done.users)[:_MOST_SHOWN]:
        console.print(Text(printable(f"How much waits to become memory: recallr users show {user}")))
