"""A Valkey server of our own, for a gateway without `RECALLR_REDIS_URL`."""

from __future__ import annotations

import contextlib
import hashlib
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
from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from recallr_litellm.errors import ConfigurationError, StateUnavailable
from recallr_litellm.stores.state.process import POLL_SECONDS, ValkeyProcess, log_file

LONGEST_SOCKET_PATH: Final = 100
"""Bytes. The system's limit is 108 (104 on macOS), the closing zero included."""

_SOCKET = "valkey.sock"
_TMP = Path("/tmp")  # noqa: S108 - in a folder that is ours alone

START_SECONDS: Final = 60.0
"""Longest wait for a server that is loading its data."""

_REWRITE_SECONDS: Final = 600.0
"""Longest wait for a server that writes its file anew."""

ANSWER_SECONDS: Final = 3.0
"""Longest wait for one answer. A server that needs longer is taken for hung."""


class EmbeddedValkey:
    """The Valkey server of a folder, as a child process on a Unix socket that only its owner can open.

        with DataDir(path):
            server = EmbeddedValkey(path / "valkey")
            store = StateStore.from_url(server.start(), timeout_seconds=1.0)
            ...
            server.stop()

    Use it only under the lock of the `DataDir`. The server ends with this process. It is not in our process group, so
    a Ctrl-C at the terminal does not end it before everything in flight has been stored.

    An acknowledged write survives the death of both processes; a power loss can cost the last second.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._process: ValkeyProcess | None = None
        self._one_at_a_time = threading.Lock()

    def start(self) -> str:
        """Start the server and wait until it answers. Blocks.

        Called again, it does nothing while the server answers, and otherwise replaces it, at the same URL.

        Returns:
            Its URL, `unix://…`.

        Raises:
            PlatformUnsupported: there is no Valkey for this platform.
            ConfigurationError: it does not start; the message names its log.
            StateUnavailable: it does not answer.
        """
        socket = _socket(self._folder)
        with self._one_at_a_time:
            if self._process is None or self._process.exit_code is not None or not _answers(socket):
                self._end()
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _end_orphan(socket)
                self._process = ValkeyProcess(self._folder, socket)
            try:
                self._wait_until_loaded(socket, self._process)
            except redis.RedisError as error:
                self._end()
                raise StateUnavailable(
                    f"The embedded Valkey did not answer in {START_SECONDS:g} s; see {log_file(self._folder)}"
                ) from error
            except ConfigurationError:
                self._end()
                raise
        return _url(socket)

    @property
    def runs(self) -> bool:
        """Whether the server has not ended, whether or not it answers."""
        process = self._process
        return process is not None and process.exit_code is None

    def stop(self) -> None:
        """End the server and wait until all it was told is on the disk. Blocks. Does nothing without a server."""
        with self._one_at_a_time:
            self._end()

    def rewrite(self) -> None:
        """Write the running server's file anew, without what was deleted. Blocks.

        Raises:
            StateUnavailable: it does not come to its end.
        """
        try:
            with _client(_socket(self._folder)) as client:
                client.bgrewriteaof()
                Retrying(
                    retry=retry_if_result(lambda running: running),
                    stop=stop_after_delay(_REWRITE_SECONDS),
                    wait=wait_fixed(POLL_SECONDS),
                )(lambda: _rewriting(client))
                if client.info("persistence")["aof_last_bgrewrite_status"] != "ok":
                    raise StateUnavailable(f"The embedded Valkey cannot write its file; see {log_file(self._folder)}")
        except (redis.RedisError, RetryError) as error:
            raise StateUnavailable(f"The embedded Valkey does not write its file anew: {error}") from error

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

    def _wait_until_loaded(self, socket: Path, process: ValkeyProcess) -> None:
        def ping() -> None:
            if process.exit_code is not None:
                raise ConfigurationError(
                    f"The embedded Valkey ended with {process.exit_code} at its start; see {log_file(self._folder)}"
                )
            with _client(socket) as client:
                client.ping()

        Retrying(
            retry=retry_if_exception_type((redis.ConnectionError, redis.TimeoutError)),
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(POLL_SECONDS),
            reraise=True,
        )(ping)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()


def _answers(socket: Path) -> bool:
    """Whether the server is alive, loading its data or not."""
    try:
        with _client(socket) as client:
            client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.RedisError:
        return False
    return True


def _rewriting(client: redis.Redis) -> bool:
    found = client.info("persistence")
    return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


def _end_orphan(socket: Path) -> None:
    """End the server that a killed gateway of version 0.1.0 has left: it would write to the same append-only file."""
    with contextlib.suppress(redis.RedisError), _client(socket) as client:
        client.shutdown()


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
