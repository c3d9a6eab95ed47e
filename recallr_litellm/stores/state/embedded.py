"""A Valkey server of our own, for a gateway without `RECALLR_REDIS_URL`."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import threading
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from recallr_litellm.errors import ConfigurationError, StateUnavailable
from recallr_litellm.stores.state.process import POLL_SECONDS, ValkeyProcess, log_file

logger = logging.getLogger(__name__)

LONGEST_SOCKET_PATH: Final = 100
"""Bytes. The system's limit is 108 (104 on macOS), the closing zero included."""

_SOCKET = "valkey.sock"
_TMP = Path("/tmp")  # noqa: S108 - in a folder that is ours alone

START_SECONDS: Final = 60.0
"""Longest wait for a server that is loading its data."""

ANSWER_SECONDS: Final = 3.0
"""Longest wait for one answer. A server that needs longer is taken for hung."""


class EmbeddedValkey:
    """The Valkey server of a folder, as a child process on a Unix socket that only its owner can open.

        with DataDir(path):
            server = EmbeddedValkey(path / "valkey")
            store = StateStore.from_url(server.start(), timeout_seconds=1.0)
            ...
            server.stop()

    To be used only under the lock of the `DataDir`: two servers on one folder would both write its append-only file.
    The server outlives us when we are killed; the next start adopts it. It is not in our process group, so a Ctrl-C
    at the terminal does not take it away before what is in flight has been stored.

    An acknowledged write survives the death of both processes; a power loss can cost the last second.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._process: ValkeyProcess | None = None
        self._one_at_a_time = threading.Lock()

    def start(self) -> str:
        """Start the server, or adopt the one that a killed process has left, and wait until it answers. Blocks.

        Called again, it does nothing while the server answers, and starts one that has died anew, at the same URL.

        Returns:
            Its URL, `unix://…`.

        Raises:
            PlatformUnsupported: there is no Valkey for this platform.
            ConfigurationError: it does not start; the message names its log.
            StateUnavailable: it refuses our questions.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket = _socket(self._folder)
        try:
            with self._one_at_a_time:  # two starts that both find no server would make two on one append-only file
                self._process = self._adopt(socket) or self._launch(socket)
        except redis.RedisError as error:
            raise StateUnavailable(f"The Valkey server at {socket}: {error}") from error
        return _url(socket)

    def stop(self) -> None:
        """End the server, so that all it was told is on the disk, and wait for its end. Blocks. Does nothing without
        a server.

        Raises:
            ConfigurationError: it cannot be ended.
        """
        with self._one_at_a_time:
            process, self._process = self._process, None
            if process is None:
                return
            try:
                with _client(_socket(self._folder)) as client:
                    client.shutdown()
            except redis.RedisError as error:
                logger.warning("The embedded Valkey did not take SHUTDOWN (%s); it is signalled instead", error)
                process.end()
            else:
                if not process.wait():
                    process.end()

    def running_url(self) -> str | None:
        """The URL of the folder's server if one runs, whoever started it: to ask it beside its gateway. Starts none.

        Raises:
            StateUnavailable: it runs but does not answer.
        """
        if not self._folder.exists():
            return None
        socket = _socket(self._folder)
        try:
            with _client(socket) as client:
                client.ping()
        except redis.ConnectionError:
            return None
        except redis.RedisError as error:
            raise StateUnavailable(f"The Valkey server at {socket}: {error}") from error
        return _url(socket)

    def _adopt(self, socket: Path) -> ValkeyProcess | None:
        """The server that answers at the socket, if it is one of this folder."""
        if not socket.exists():
            return None
        try:
            pid = _process_id(socket, retry_on=redis.BusyLoadingError)
            with _client(socket) as client:
                folder = Path(client.config_get("dir")["dir"])
        except (redis.ConnectionError, redis.TimeoutError) as error:
            logger.info("No Valkey server answers at %s (%s)", socket, type(error).__name__)
            return None
        if self._process and self._process.pid == pid:
            return self._process
        process = ValkeyProcess(self._folder, pid)
        if folder.exists() and folder.samefile(self._folder):
            logger.info("Adopted the Valkey server (process %d) that was left in %s", pid, self._folder)
            return process
        if process.running:  # it was ours, then the folder was deleted or moved from under it
            process.end()
            return None
        raise ConfigurationError(f"The server at {socket} belongs to another folder, {folder}: stop it")

    def _launch(self, socket: Path) -> ValkeyProcess:
        if left := ValkeyProcess.left_in(self._folder):
            # Hung, or its socket was deleted: either way it still holds the append-only file.
            logger.warning("The Valkey server of %s (process %d) does not answer; it is ended", self._folder, left.pid)
            left.end()
        process = ValkeyProcess.launch(self._folder, socket)
        try:
            _process_id(socket, retry_on=redis.ConnectionError, starting=process)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            process.end()
            raise ConfigurationError(
                f"The embedded Valkey did not answer in {START_SECONDS:g} s; see {log_file(self._folder)}"
            ) from error
        return process


def _process_id(socket: Path, *, retry_on: type[redis.ConnectionError], starting: ValkeyProcess | None = None) -> int:
    """The process id of the server at the socket, once it has loaded its data.

    Raises:
        redis.ConnectionError: `retry_on` for too long, or another one.
        redis.TimeoutError: no answer.
        ConfigurationError: the server that is `starting` has ended.
    """

    def ask() -> int:
        if starting and starting.exit_code is not None:
            raise ConfigurationError(
                f"The embedded Valkey ended with {starting.exit_code} at its start; see {log_file(starting.folder)}"
            )
        with _client(socket) as client:
            return int(client.info("server")["process_id"])

    answered = Retrying(
        retry=retry_if_exception_type(retry_on),
        stop=stop_after_delay(START_SECONDS),
        wait=wait_fixed(POLL_SECONDS),
        reraise=True,
    )
    return answered(ask)


def _client(socket: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket),
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        protocol=2,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )


def _url(socket: Path) -> str:
    return f"unix://{quote(str(socket))}"


def _socket(folder: Path) -> Path:
    """The socket of the folder's server: in the folder, or, where that path would be too long, in a folder of the
    temporary one that is named after it.

    Raises:
        ConfigurationError: that one is open to others, or there is none short enough.
    """
    socket = folder / _SOCKET
    if _fits(socket):
        return socket
    name = f"recallr-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    # A temporary folder can be deep itself: that of a job in CI, or of a user on macOS.
    short = next((place / name for place in (Path(tempfile.gettempdir()), _TMP) if _fits(place / name / _SOCKET)), None)
    if short is None:
        raise ConfigurationError(f"{folder} is too deep a folder for the socket of the embedded Valkey")
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigurationError(f"{short} has to be a folder that belongs to you and that only you can open")
    return short / _SOCKET


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH
