"""A server in a process of its own: started until it is ready, killed, frozen, restarted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self
from weakref import WeakSet

from tests.support.waiting import eventually

TAIL_LINES = 60
"""How much of the log an error shows."""

LEFT_OUT = (
    "RECALLR_",
    "RECONIFY_",
    "LITELLM_",
    "OPENAI_",
    "ANTHROPIC_",
    "GEMINI_",
    "GOOGLE_",
    "REDIS_",
    "DATABASE_URL",
)
"""Prefixes of variables that no server of a test inherits: a developer's own settings must not decide a test."""

PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"})


class StartFailed(Exception):
    """The process ended or was not ready in time. The message ends with the tail of its log."""


class StopFailed(Exception):
    """The process did not end on SIGTERM. The message ends with the tail of its log."""


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without HTTP proxies and without settings of the programs under test, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(LEFT_OUT) and name.lower() not in PROXIES
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


class ServerProcess:
    """Base of the servers here. A subclass says how to start it (`command`) and when it is ready (`ready`).

        with RedisServer(tmp_path) as redis:    # started and ready
            redis.kill()                        # SIGKILL, as a crash or the OOM killer would
            redis.restart()                     # same folder, same port

    The process leads a session of its own, so that a signal to the tests is not one to it, and
    its children are killed with it. Output goes to `<folder>/<name>.log`, appended over restarts.
    """

    start_timeout: float = 300.0
    """Seconds to wait for readiness, counted for a machine that is busy with other things."""

    known: ClassVar[WeakSet[ServerProcess]] = WeakSet()
    """All that were started, so that the report of a test that fails can show their logs."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self.folder = folder
        self.name = name
        self._marked = 0
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        self._group_ended = True
        folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Sequence[str]:
        """Program and arguments."""
        raise NotImplementedError

    def ready(self) -> bool:
        """True once the server answers. Called again and again while it starts; must not raise."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables added to the cleaned environment."""
        return {}

    @property
    def running(self) -> bool:
        """True while the process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the server (of the parent, where there are workers)."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def log_file(self) -> Path:
        """Where standard output and error go."""
        return self.folder / f"{self.name}.log"

    @property
    def log(self) -> str:
        """All that the server has printed, over restarts too."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @classmethod
    def begin_test(cls) -> None:
        """What any server prints from now on belongs to this test; those that were stopped before are no part of it."""
        for server in list(cls.known):
            if server._stopped:
                cls.known.discard(server)
            elif server.log_file.exists():
                server._marked = server.log_file.stat().st_size

    @property
    def tail(self) -> str:
        """The end of what was printed since the test began; or at all, if the server has died and said nothing more."""
        printed = self.log_file.read_bytes() if self.log_file.exists() else b""
        since = printed[self._marked :] or (b"" if self.running else printed)
        return "\n".join(since.decode(errors="replace").splitlines()[-TAIL_LINES:])

    def start(self) -> Self:
        """Start the process and wait until it is ready.

        Raises:
            StartFailed: it ended, or was not ready within `start_timeout` (it is then killed).
        """
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self.known.add(self)
        self._stopped = False
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=clean_environment(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._group_ended = False
        try:
            eventually(self._alive_and_ready, "the server is ready", timeout=self.start_timeout)
        except StartFailed:
            self.stop()
            raise
        except AssertionError:
            self.stop()
            raise StartFailed(self._with_log(f"{self.name} was not ready within {self.start_timeout:.0f} s")) from None
        return self

    def kill(self) -> None:
        """SIGKILL to the server and all its workers: nothing is flushed, no handler runs."""
        if self._process is not None and not self._group_ended:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
            self._group_ended = True  # from here on the number may belong to somebody else

    def terminate(self, timeout: float = 180.0) -> int:
        """SIGTERM to the server, as an orchestrator sends it, and wait for its end.

        Returns:
            The exit code; negative for a signal, as in `subprocess`.

        Raises:
            StopFailed: it still runs after `timeout` seconds (it is then killed).
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        self._process.terminate()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise StopFailed(self._with_log(f"{self.name} still ran {timeout:.0f} s after SIGTERM")) from None
        finally:
            self.kill()  # also workers that outlived their parent

    def stop(self) -> None:
        """End the process whatever state it is in, quickly. For clean-up: use `terminate` to test a shutdown."""
        self.kill()
        self._stopped = True

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and are accepted, nothing is answered."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: go on after `freeze`."""
        self._signal_group(signal.SIGCONT)

    def restart(self) -> Self:
        """Start again on the same folder and port; killed first if it still runs."""
        self.kill()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _alive_and_ready(self) -> bool:
        if not self.running:
            code = self._process.returncode if self._process else None
            raise StartFailed(self._with_log(f"{self.name} ended with {code} while it started"))
        return self.ready()

    def _signal_group(self, number: signal.Signals) -> None:
        """To the server and its workers, also when the server itself is dead already: they may have outlived it."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # the whole group has ended: there is nobody left to signal

    def _with_log(self, message: str) -> str:
        return f"{message}. End of {self.log_file}:\n{self.tail}"
