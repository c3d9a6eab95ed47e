"""Checks of `recallr doctor` that open nothing: version, keys, data folder, the gateway's config, Reconify."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from recallr_litellm.cli.check_result import CheckResult, Level, fault, ok, warning
from recallr_litellm.cli.environment import MASTER_KEY, MASTER_KEY_FILE
from recallr_litellm.cli.gateway_config import GatewayConfig
from recallr_litellm.errors import ConfigurationError, DataDirInUse
from recallr_litellm.projects import KEY_FILE, load_projects
from recallr_litellm.reconify.redact import load_redaction
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import GATEWAY_PREFIX

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
        try:
            with tempfile.TemporaryDirectory(prefix=".recallr-doctor-", dir=home):  # `os.access` allows root anything
                return ok(about, f"{path} does not exist yet; the first start makes it")
        except OSError as error:
            advice = f"Allow writing to {home} or set RECALLR_DATA_DIR"
            return fault(about, f"{path} cannot be made: {error.strerror}", advice)
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


def static_checks(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """All these checks, in the order of a start."""
    yield check_litellm()
    yield check_master_key(settings)
    yield check_projects(settings)
    yield check_data_dir(settings)
    found = check_config(config)
    yield found
    if found.level is Level.OK:
        gateway_config = GatewayConfig.read(config)
        yield check_database(gateway_config)
        yield check_models(settings, gateway_config)
    yield check_reconify()


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


def check_config(path: Path) -> CheckResult:
    """Whether the gateway's config can be read and turns memory on."""
    try:
        GatewayConfig.read(path).require_callback()
    except ConfigurationError as error:
        return fault("Config", str(error))
    return ok("Config", f"{path} turns memory on")


def check_database(config: GatewayConfig) -> CheckResult:
    """Whether LiteLLM can open the database that it needs for keys and teams."""
    if not (config.has_database or os.environ.get("DATABASE_URL")):
        return ok("Database", "none; keys and teams of LiteLLM need one")
    if find_spec("prisma") is None:
        detail = "a database is configured, but the package `prisma` is missing"
        return fault("Database", detail, "pip install 'recallr-litellm[bindings]'")
    return ok("Database", "configured; LiteLLM opens it")


def check_models(settings: Settings, config: GatewayConfig) -> CheckResult:
    """Whether the config has the models of the gateway that the settings name."""
    about = "Models"
    wanted = dict(_wanted(settings))
    if not wanted:
        return ok(about, "RECALLR_MEMORY_MODEL is not set; memory works without an LLM")
    missing = [f"{setting}={model}" for setting, model in wanted.items() if not config.has_model(model)]
    if missing:
        return warning(
            about,
            f"{' and '.join(missing)}: no `model_name` of {config.path}",
            "Add it to `model_list`, or name the config of your gateway: recallr doctor --config FILE",
        )
    return ok(about, f"{' and '.join(wanted.values())}, of {config.path}")


def check_reconify() -> CheckResult:
    """Whether Reconify's settings are complete and right. Sends nothing; loads the user's redaction as a start does."""
    about = "Reconify"
    try:
        settings = load_reconify_settings()
        if settings.enabled and settings.redact is not None:
            if os.getcwd() not in sys.path:
                sys.path.append(os.getcwd())  # as LiteLLM does at its start
            load_redaction(settings.redact)
    except ConfigurationError as error:
        return fault(about, str(error))
    if not settings.enabled:
        return ok(about, "off: none of its three settings is set")
    endpoint = urlsplit(settings.endpoint or "")
    detail = f"on, to {endpoint.scheme}://{endpoint.hostname}; nothing was sent (`recallr reconify test` does)"
    return ok(about, detail)


def _wanted(settings: Settings) -> Iterator[tuple[str, str]]:
    """Setting → model of the gateway that it names."""
    if settings.memory_model:
        yield "RECALLR_MEMORY_MODEL", settings.memory_model
    if settings.embedding_model and settings.embedding_model.startswith(GATEWAY_PREFIX):
        yield "RECALLR_EMBEDDING_MODEL", settings.embedding_model.removeprefix(GATEWAY_PREFIX)
