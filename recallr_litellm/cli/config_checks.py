"""Checks of `recallr doctor` on the gateway's config and on Reconify. They start and send nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from recallr_litellm.cli.check_result import CheckResult, fault, ok, warning
from recallr_litellm.cli.gateway_config import GatewayConfig
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.reconify.redact import load_redaction
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import GATEWAY_PREFIX

_CONFIG, _DATABASE = "Config", "Database"


def check_config(path: Path) -> CheckResult:
    """Whether the gateway's config can be read and turns memory on."""
    try:
        GatewayConfig.read(path).require_callback()
    except ConfigurationError as error:
        return fault(_CONFIG, str(error))
    return ok(_CONFIG, f"{path} turns memory on")


def check_database(config: GatewayConfig) -> CheckResult:
    """Whether LiteLLM can open the database that it needs for keys and teams."""
    if not (config.has_database or os.environ.get("DATABASE_URL")):
        return ok(_DATABASE, "none; keys and teams of LiteLLM need one")
    if find_spec("prisma") is None:
        detail = "a database is configured, but the package `prisma` is missing"
        return fault(_DATABASE, detail, "pip install 'recallr-litellm[bindings]'")
    return ok(_DATABASE, "configured; LiteLLM opens it")


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
