"""Projects and their API keys."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable, Mapping

from recallr_litellm.errors import ConfigurationError, Unauthorized
from recallr_litellm.key_file import read_or_make
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
    key = read_or_make(path, prefix="rai_")
    _log.info(
        "Project %r: its API key is in %s (set RECALLR_PROJECTS to use your own)", DEFAULT_PROJECT, path.resolve()
    )
    return Projects({DEFAULT_PROJECT: [key]})
