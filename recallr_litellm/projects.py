"""Projects and their API keys."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from recallr_litellm.errors import ConfigurationError, Unauthorized
from recallr_litellm.settings import Settings

_log = logging.getLogger(__name__)

DEFAULT_PROJECT = "default"
KEY_FILE = "api_key"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class Projects:
    """The projects of this gateway. Keys are held as digests only."""

    def __init__(self, keys: Mapping[str, Iterable[str]]) -> None:
        self._digests = {project: tuple(_digest(key) for key in of_project) for project, of_project in keys.items()}

    def __len__(self) -> int:
        return len(self._digests)

    def authenticate(self, project: str | None, api_key: str | None) -> None:
        """Check that the key belongs to the project, in constant time for any key.

        Raises:
            Unauthorized: it does not. Whether the project exists is not told.
        """
        if not project or not api_key:
            missing = "X-Recallr-API-Key" if not api_key else "X-Recallr-Project-Id"
            raise Unauthorized(f"{missing} is missing", param=missing)
        presented = _digest(api_key)
        matches = [hmac.compare_digest(presented, known) for known in self._digests.get(project, (b"",))]
        if not any(matches):
            raise Unauthorized(
                "X-Recallr-API-Key does not belong to the project in X-Recallr-Project-Id", param="X-Recallr-API-Key"
            )


def load_projects(settings: Settings) -> Projects:
    """The configured projects, or the `default` one with its generated key.

    Raises:
        ConfigurationError: a project has no key or an empty one, or the key file cannot be used.
    """
    if settings.projects is not None:
        for project, keys in settings.projects.items():
            if not project or not keys or not all(key.get_secret_value().strip() for key in keys):
                raise ConfigurationError(
                    "RECALLR_PROJECTS: every project needs a name and at least one non-empty API key, "
                    'as in {"my-project": ["rai_…"]}'
                )
        return Projects({name: [key.get_secret_value() for key in keys] for name, keys in settings.projects.items()})
    path = settings.data_dir / KEY_FILE
    key = _generated_key(path)
    _log.info(
        "Project %r: its API key is in %s (set RECALLR_PROJECTS to use your own)", DEFAULT_PROJECT, path.resolve()
    )
    return Projects({DEFAULT_PROJECT: [key]})


def _generated_key(path: Path) -> str:
    """The key in the file, made once; workers that start together agree on one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"rai_{secrets.token_urlsafe(32)}\n")
            try:
                os.link(draft, path)  # atomic, and never over the key of another worker
            except FileExistsError:
                _log.debug("Another worker has made the key file")
            finally:
                draft.unlink()
        key = path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"The API key file {path} cannot be used: {error.strerror}") from error
    if not key:
        raise ConfigurationError(f"The API key file {path} is empty; delete it and a new key is made")
    return key
