"""Checks of `recallr doctor` that open nothing: versions, keys, the data folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from recallr_litellm.cli.check_result import CheckResult, fault, ok, warning
from recallr_litellm.cli.environment import MASTER_KEY, MASTER_KEY_FILE
from recallr_litellm.errors import ConfigurationError, DataDirInUse
from recallr_litellm.projects import KEY_FILE, load_projects
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir

SHORTEST_KEY = 16
"""Minimum length of a key that is not called short. LiteLLM refuses only an empty and a well-known one."""


def check_litellm() -> CheckResult:
    """Whether LiteLLM is in the range that the package asks for."""
    version = metadata.version("litellm")
    requirements = map(Requirement, metadata.requires("recallr-litellm") or ())
    tested = next(requirement.specifier for requirement in requirements if requirement.name == "litellm")
    if version in tested:
        return ok("LiteLLM", f"{version}, supported ({tested})")
    return fault("LiteLLM", f"{version} is not supported ({tested})", f"pip install 'litellm[proxy]{tested}'")


def check_master_key(settings: Settings) -> CheckResult:
    """LiteLLM's own key."""
    key = os.environ.get(MASTER_KEY, "").strip()
    if key:
        if len(key) < SHORTEST_KEY:
            return warning(
                MASTER_KEY,
                f"set, with {len(key)} characters",
                "Use a long random one: sk- and the output of `openssl rand -hex 32`",
            )
        return ok(MASTER_KEY, "set")
    path = settings.data_dir / MASTER_KEY_FILE
    if not path.exists():
        return ok(MASTER_KEY, f"not set; `recallr serve` will make one in {path} (plain `litellm` needs it set)")
    return _key_file(MASTER_KEY, path, "not set; `recallr serve` uses the one in")


def check_projects(settings: Settings) -> CheckResult:
    """The projects and their Recallr keys."""
    about = "Projects"
    if settings.projects is None:
        path = settings.data_dir / KEY_FILE
        if not path.exists():
            return ok(about, f"RECALLR_PROJECTS not set; the first start makes a key in {path}")
        return _key_file(about, path, "RECALLR_PROJECTS not set; the key of the project `default` is in")
    if not settings.projects:
        return fault(
            about,
            "RECALLR_PROJECTS is empty: no request could be admitted",
            'Name a project with a key, as in {"my-project": ["rai_…"]}, or unset it',
        )
    try:
        load_projects(settings)
    except ConfigurationError as error:
        return fault(about, "a project without a usable key", str(error))
    short = sorted(
        project
        for project, keys in settings.projects.items()
        if any(len(key.get_secret_value()) < SHORTEST_KEY for key in keys)
    )
    if short:
        return warning(
            about,
            f"keys of fewer than {SHORTEST_KEY} characters: {', '.join(short)}",
            "Use long random ones: rai_ and the output of `openssl rand -hex 32`",
        )
    return ok(about, f"{len(settings.projects)} with keys")


def check_data_dir(settings: Settings) -> CheckResult:
    """Whether the data folder can be written, and whether a gateway is using it."""
    about = "Data folder"
    path = settings.data_dir.absolute()
    if settings.redis_url is not None and settings.qdrant_url is not None and not path.exists():
        return ok(about, f"{path} does not exist and is not needed: both stores have URLs")
    if not path.exists():
        home = next(parent for parent in path.parents if parent.exists())
        if os.access(home, os.W_OK | os.X_OK):
            return ok(about, f"{path} does not exist yet; the first start makes it")
        return fault(about, f"{path} cannot be made", f"Allow writing to {home} or set RECALLR_DATA_DIR")
    try:
        with DataDir(path):
            pass
    except DataDirInUse:
        return ok(about, f"{path}, in use by a running gateway")
    except ConfigurationError:
        return fault(about, f"{path} cannot be written", "Allow writing to it or set RECALLR_DATA_DIR")
    if _open_to_others(path):
        return warning(about, f"{path} can be read by other users", f"chmod 700 {path}")
    return ok(about, f"{path}, free")


def static_checks(settings: Settings) -> Iterator[CheckResult]:
    """All these checks, in the order of a start."""
    yield check_litellm()
    yield check_master_key(settings)
    yield check_projects(settings)
    yield check_data_dir(settings)


def _key_file(about: str, path: Path, found: str) -> CheckResult:
    try:
        empty = not path.read_text().strip()
    except OSError as error:
        return fault(about, f"{path} cannot be read: {error.strerror}", "Make it readable for this user")
    if empty:
        return fault(about, f"{path} is empty", "Delete it; the next start makes a new key")
    if _open_to_others(path):
        return warning(about, f"{path} can be read by other users", f"chmod 600 {path}")
    return ok(about, f"{found} {path}")


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
