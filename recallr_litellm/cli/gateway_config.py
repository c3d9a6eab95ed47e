"""LiteLLM's config file, as far as the command looks at it before a gateway starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from recallr_litellm.errors import ConfigurationError

CALLBACK = "recallr_litellm.hooks.recallr"
"""What `litellm_settings.callbacks` has to name."""

_DEEPEST_INCLUDE = 8


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """A config file with those that it includes."""

    path: Path
    models: frozenset[str]
    """Names of models and patterns such as `openai/*`."""
    callbacks: frozenset[str]
    has_database: bool
    """Whether it names a database."""

    @classmethod
    def read(cls, path: Path) -> GatewayConfig:
        """The config in this file.

        Raises:
            ConfigurationError: it cannot be read.
        """
        try:
            parts = list(_parts(path))
            return cls(
                path,
                models=frozenset(name for part in parts for name in _models(part)),
                callbacks=frozenset(name for part in parts for name in _callbacks(part)),
                has_database=any((part.get("general_settings") or {}).get("database_url") for part in parts),
            )
        except OSError as error:
            raise ConfigurationError(
                f"{error.filename or path} cannot be read ({error.strerror}): name another config with --config FILE"
            ) from error
        except (yaml.YAMLError, TypeError, AttributeError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark is not None else ""
            raise ConfigurationError(
                f"{path} is not a config of LiteLLM ({type(error).__name__}{where}): correct it or name another with "
                "--config FILE"
            ) from error

    def require_callback(self) -> None:
        """Check that the config turns memory on.

        Raises:
            ConfigurationError: it does not.
        """
        if CALLBACK not in self.callbacks:
            raise ConfigurationError(
                f"{self.path} does not turn memory on: under `litellm_settings:` add `callbacks: {CALLBACK}`"
            )

    def has_model(self, name: str) -> bool:
        """Whether a model of this name, or a pattern that matches it, is in the config."""
        return any(fnmatchcase(name, pattern) for pattern in self.models)


def _parts(path: Path, depth: int = 0) -> Iterator[dict[str, Any]]:
    part: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    yield part
    if depth < _DEEPEST_INCLUDE:
        for included in part.get("include") or ():
            yield from _parts(path.parent / str(included), depth + 1)


def _models(part: dict[str, Any]) -> Iterator[str]:
    for entry in part.get("model_list") or ():
        yield str(entry.get("model_name"))
    yield from map(str, (part.get("router_settings") or {}).get("model_group_alias") or ())


def _callbacks(part: dict[str, Any]) -> list[str]:
    named = (part.get("litellm_settings") or {}).get("callbacks") or []
    return [named] if isinstance(named, str) else [str(name) for name in named]
