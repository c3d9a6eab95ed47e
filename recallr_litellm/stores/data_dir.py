"""The folder of the embedded stores, owned by one process at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from recallr_litellm.errors import ConfigurationError, DataDirInUse

LOCK_FILE = "lock"


class DataDir:
    """The data folder and the exclusive lock on it. Both embedded stores are opened only under this lock.

        with DataDir(settings.data_dir) as folder:
            EmbeddedValkey(folder.path / "valkey").start()

    The lock is the kernel's (`flock`): it ends with the process, however that ends, so a killed
    gateway never leaves a folder that cannot be opened. It is not passed on to child processes, and it
    is given up with this object: keep it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not per thread: a shutdown hook may release from another thread than the one that started.
        self._lock = FileLock(path / LOCK_FILE, mode=0o600, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Create the folder, if need be, for its owner only, and take the lock without waiting.

        Raises:
            DataDirInUse: another process (or another `DataDir` of this one) holds it.
            ConfigurationError: the folder cannot be created or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise DataDirInUse(
                f"The data folder {self.path.absolute()} is in use by another gateway, and embedded stores serve one "
                "process: stop that gateway, give this one a RECALLR_DATA_DIR of its own, or set RECALLR_REDIS_URL and "
                "RECALLR_QDRANT_URL to run several."
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"The data folder {self.path.absolute()} cannot be written ({error.strerror}): allow writing to it or "
                "set RECALLR_DATA_DIR"
            ) from error

    def release(self) -> None:
        """Give the folder up. Does nothing if it is not held."""
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
