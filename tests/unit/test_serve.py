"""`recallr serve` where a gateway cannot start: a few lines that say what to do, before LiteLLM is loaded."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recallr_litellm.cli import app
from recallr_litellm.cli.preflight import Options
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.settings import Settings, unknown_names
from recallr_litellm.stores.data_dir import DataDir

MOST_LINES = 12


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def _litellm_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_cli", None)


def refused(*options: str) -> str:
    """The last line of a start that is refused."""
    result = CliRunner().invoke(app, ["serve", *options])
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), f"shown as a crash: {result.exception!r}"
    lines = result.output.splitlines()
    assert len(lines) <= MOST_LINES, result.output
    assert "curl" not in result.output, "a gateway that does not run is said to be ready"
    return lines[-1]


def test_a_port_that_is_taken(taken_port: int) -> None:
    assert re.search(rf"port {taken_port} .*recallr serve --port {taken_port + 1}", refused("--port", f"{taken_port}"))


def test_the_port_of_the_environment_counts(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(taken_port))
    assert f"port {taken_port}" in refused()


@pytest.mark.parametrize("port", ["http", "70000"])
def test_a_port_that_is_none(port: str) -> None:
    assert port in refused("--port", port)


def test_a_data_folder_that_another_gateway_uses() -> None:
    with DataDir(Path(".recallr")):
        last = refused()
    for word in ("in use by another gateway", "RECALLR_DATA_DIR", "RECALLR_REDIS_URL and RECALLR_QDRANT_URL"):
        assert word in last


def test_a_data_folder_that_cannot_be_written() -> None:
    Path(".recallr", "lock").mkdir(parents=True)
    assert "cannot be written" in refused()


def test_a_key_file_that_cannot_be_read() -> None:
    Path(".recallr", "api_key").mkdir(parents=True)
    assert "api_key cannot be used" in refused()


def test_more_than_one_worker_on_embedded_stores() -> None:
    assert "RECALLR_QDRANT_URL" in refused("--num_workers", "2")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("model_list: {", "is not a config of LiteLLM"),
        ("- a list", "is not a config of LiteLLM"),
        ("model_list: []", "add `callbacks: recallr_litellm.hooks.recallr`"),
        ("litellm_settings: {callbacks: [other.callback]}", "add `callbacks: recallr_litellm.hooks.recallr`"),
    ],
)
def test_a_config_that_gives_no_memory(content: str | None, reason: str) -> None:
    if content is not None:
        Path("mine.yaml").write_text(content)
    last = refused("--config", "mine.yaml")
    assert reason in last
    assert "mine.yaml" in last


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECALLR_CONTEXT_TOKENS", "few-4711"),
        ("RECALLR_INJECT", "elsewhere-4711"),
        ("RECALLR_PROJECTS", '{"acme": ["rai_secret-4711"]'),
        ("RECALLR_PROJECTS", json.dumps({"rai_secret-4711": "acme"})),
        ("RECALLR_PROJECTS", json.dumps({"acme": []})),
        ("RECALLR_FORWARD_UPSTREAMS", "secret-4711"),
        ("RECALLR_REDIS_URL", "redis://:pass-4711@host:not-a-port-4711/0"),
        ("RECALLR_QDRANT_URL", "qdrant-4711:6333"),
        ("RECALLR_EMBEDDING_MODEL", "BAAI/bge-small-en-v15"),
        ("RECONIFY_API_KEY", "secret-4711"),
    ],
)
def test_a_setting_that_is_wrong_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    last = refused()
    assert name.removesuffix("_API_KEY") in last
    assert "4711" not in last, "the value, which may be a key, is shown"


def test_projects_are_named_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLR_PROJECTS", '{"p": "rai_key"}')
    last = refused()
    assert "RECALLR_PROJECTS[p]: Input should be a valid list" in last
    assert "Correct them: config/README.md" in last, "nobody is told what to do"


def test_a_misspelt_setting_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLR_PROJCTS", "{}")
    result = CliRunner().invoke(app, ["serve", "--port", "none"])
    assert "RECALLR_PROJCTS is not a setting; did you mean RECALLR_PROJECTS?" in result.output


def test_variables_that_are_no_settings_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("RECALLR_OF_NOBODY=1\nRECALLR_CONTEXT_TOKENS=500\n")
    for name in ("RECALLR_API_KEY", "RECALLR_PORT_4000_TCP_ADDR", "RECALLR_LITELLM_SERVICE_HOST"):
        monkeypatch.setenv(name, "x")
    assert unknown_names(Settings, "RECALLR_API_KEY") == ["RECALLR_OF_NOBODY is not a setting"]


def test_options_are_read_as_litellm_reads_them() -> None:
    given = ["--host", "0.0.0.0", "--detailed_debug", "--port=8000", "--port", "9000", "-c", "mine.yaml"]
    options = Options.of(given, config=Path("shipped.yaml"))
    assert (options.url, options.config, options.workers) == ("http://127.0.0.1:9000", Path("mine.yaml"), 1)
    assert Options.of(["--ssl_keyfile_path", "k"], config=Path("c")).url == "https://127.0.0.1:4000"
    with pytest.raises(ConfigurationError, match="--num_workers"):
        Options.of(["--num_workers", "two"], config=Path("c"))
