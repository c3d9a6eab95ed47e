"""What `recallr serve` checks before it loads LiteLLM, so that a fault is one line and not the end of a long start."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recallr_litellm.cli.gateway_config import GatewayConfig
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.projects import load_projects
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.state.url import RedisUrl

LOOPBACK = "127.0.0.1"
"""Where `serve` listens unless told otherwise. LiteLLM's default is every interface of the machine; a
first start should not put a gateway that holds somebody's provider keys on the network."""

_EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


@dataclass(frozen=True, slots=True)
class Options:
    """The options of LiteLLM that decide whether a gateway can start, and where it is reached."""

    host: str
    port: int
    config: Path
    workers: int
    encrypted: bool

    @classmethod
    def of(cls, given: Sequence[str], *, config: Path) -> Options:
        """What LiteLLM makes of these options; of one given twice, the last counts.

        Args:
            config: where none is given.

        Raises:
            ConfigurationError: a number is none.
        """
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument("--host", default=LOOPBACK)
        parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 4000)
        parser.add_argument("--config", "-c", type=Path, default=config)
        parser.add_argument("--num_workers", type=int, default=os.environ.get("NUM_WORKERS") or 1)
        parser.add_argument("--ssl_keyfile_path", default=os.environ.get("SSL_KEYFILE_PATH"))
        try:
            found, _ = parser.parse_known_args(given)
        except argparse.ArgumentError as error:
            raise ConfigurationError(f"{error}; `recallr serve --help` shows how to give it") from error
        return cls(found.host, found.port, found.config, found.num_workers, bool(found.ssl_keyfile_path))

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the gateway."""
        host = LOOPBACK if self.host in _EVERY_INTERFACE else self.host
        return f"{'https' if self.encrypted else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


def check_start(settings: Settings, options: Options) -> None:
    """Check all that a start needs and that can be told without LiteLLM.

    Raises:
        ConfigurationError: something is wrong that a person has to set right; the message says how.
    """
    load_reconify_settings()
    if settings.redis_url is not None:
        RedisUrl.parse(settings.redis_url.get_secret_value())
    GatewayConfig.read(options.config).require_callback()
    _check_data_dir(settings, options.workers)
    load_projects(settings)
    _check_port(options.host, options.port)
    _check_embedding_model(settings)


def _check_data_dir(settings: Settings, workers: int) -> None:
    if settings.redis_url is not None and settings.qdrant_url is not None:
        return
    if workers > 1:
        raise ConfigurationError(
            f"Embedded stores serve one worker, not {workers}: set RECALLR_REDIS_URL and RECALLR_QDRANT_URL, or leave "
            "out --num_workers"
        )
    with DataDir(settings.data_dir):
        pass


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"{host} port {port} cannot be used ({reason}): stop what uses it, or choose another: "
                f"recallr serve --port {port + 1 if port < 65535 else 4000}"
            ) from error


def _check_embedding_model(settings: Settings) -> None:
    if settings.embedding_model is not None:
        # Its runtime takes a second to import, and the bundled model needs no check.
        from recallr_litellm.stores.embedding import check_name

        check_name(settings)
