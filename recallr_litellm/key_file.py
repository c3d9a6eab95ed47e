"""A random key in a file that only its owner can read, made once."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from recallr_litellm.errors import ConfigurationError

_log = logging.getLogger(__name__)


def read_or_make(path: Path, *, prefix: str) -> str:
    """The key in the file; without a file one is made (`prefix` and 43 random characters), readable by the owner only.

    Processes that start together agree on one key.

    Raises:
        ConfigurationError: the file or its folder cannot be used, or the file is empty.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path, f"{prefix}{secrets.token_urlsafe(32)}\n")
        key = path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"The key file {path} cannot be used ({error.strerror}): allow it or set RECALLR_DATA_DIR"
        ) from error
    if not key:
        raise ConfigurationError(f"The key file {path} is empty; delete it and a new key is made")
    return key


def _make(path: Path, content: str) -> None:
    admitted = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(admitted, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    try:
        os.link(admitted, path)  # atomic, and never over the key of another process
    except FileExistsError:
        _log.debug("Another process has made %s", path)
    finally:
        admitted.unlink()
