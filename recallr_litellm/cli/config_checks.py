"""What `recallr doctor` can tell of the gateway's config and of Reconify without starting or sending anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from recallr_litellm.cli.check_result import CheckResult, Level
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.reconify.redact import load_redaction
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import GATEWAY_PREFIX

_DEEPEST_INCLUDE = 8


def check_models(settings: Settings, config: Path) -> CheckResult:
    """Whether the models of the gateway that the plugin is to use are in its config.

    Args:
        config: LiteLLM's YAML file.
    """
    about = "Models"
    wanted = dict(_wanted(settings))
    if not wanted:
        return CheckResult(about, Level.OK, "RECALLR_MEMORY_MODEL is not set; memory works without an LLM")
    try:
        named = list(_named(config))
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        detail = f"{config} cannot be read as a config of LiteLLM ({type(error).__name__})"
        return CheckResult(about, Level.FAULT, detail, "Name another: recallr doctor --config FILE")
    missing = [
        f"{setting}={model}"
        for setting, model in wanted.items()
        if not any(fnmatchcase(model, pattern) for pattern in named)
    ]
    if missing:
        return CheckResult(
            about,
            Level.WARNING,
            f"{' and '.join(missing)}: no `model_name` of {config}",
            "Add it to `model_list`, or name the config of your gateway: recallr doctor --config FILE",
        )
    return CheckResult(about, Level.OK, f"{' and '.join(wanted.values())}, of {config}")


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
        return CheckResult(about, Level.FAULT, str(error), "Correct them; .env.example says what each one means")
    if not settings.enabled:
        return CheckResult(about, Level.OK, "off: none of its three settings is set")
    endpoint = urlsplit(settings.endpoint or "")
    detail = f"on, to {endpoint.scheme}://{endpoint.hostname}; nothing was sent (`recallr reconify test` does)"
    return CheckResult(about, Level.OK, detail)


def _wanted(settings: Settings) -> Iterator[tuple[str, str]]:
    """Setting → model of the gateway that it names."""
    if settings.memory_model:
        yield "RECALLR_MEMORY_MODEL", settings.memory_model
    if settings.embedding_model and settings.embedding_model.startswith(GATEWAY_PREFIX):
        yield "RECALLR_EMBEDDING_MODEL", settings.embedding_model.removeprefix(GATEWAY_PREFIX)


def _named(config: Path, depth: int = 0) -> Iterator[str]:
    """Names and patterns of models in a config and in those that it includes."""
    written: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
    for entry in written.get("model_list") or ():
        yield str(entry.get("model_name"))
    yield from map(str, (written.get("router_settings") or {}).get("model_group_alias") or ())
    if depth < _DEEPEST_INCLUDE:
        for included in written.get("include") or ():
            yield from _named(config.parent / str(included), depth + 1)
