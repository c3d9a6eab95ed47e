"""What `recallr doctor` makes of the gateway's config and of Reconify's settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.cli.check_result import Level
from recallr_litellm.cli.checks import check_config, check_database, check_models, check_reconify
from recallr_litellm.cli.environment import shipped_config
from recallr_litellm.cli.gateway_config import GatewayConfig
from recallr_litellm.settings import Settings

CONFIG = """
include: [more.yaml]
model_list:
  - model_name: small
    litellm_params: { model: openai/gpt-4o-mini }
  - model_name: openai/*
    litellm_params: { model: openai/* }
router_settings:
  model_group_alias: { also-small: small }
"""
INCLUDED = """
model_list:
  - model_name: vectors
    litellm_params: { model: openai/text-embedding-3-small }
"""
THREE = {
    "RECONIFY_APP_KEY": "app-secret",
    "RECONIFY_API_KEY": "api-secret",
    "RECONIFY_ENDPOINT": "https://track.example.com/v1?token=t0ken",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "more.yaml").write_text(INCLUDED)
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    return file


@pytest.mark.parametrize(
    ("names", "level", "told"),
    [
        ({}, Level.OK, "not set"),
        ({"memory_model": "small"}, Level.OK, "small"),
        ({"memory_model": "also-small"}, Level.OK, "also-small"),
        ({"memory_model": "openai/o3", "embedding_model": "litellm/vectors"}, Level.OK, "openai/o3 and vectors"),
        ({"embedding_model": "BAAI/bge-small-en-v1.5"}, Level.OK, "not set"),
        ({"memory_model": "smal"}, Level.WARNING, "RECALLR_MEMORY_MODEL=smal"),
        ({"embedding_model": "litellm/vector"}, Level.WARNING, "RECALLR_EMBEDDING_MODEL=vector"),
    ],
    ids=str,
)
def test_models_of_the_gateway_are_looked_up_in_its_config(
    config: Path, names: dict[str, Any], level: Level, told: str
) -> None:
    found = check_models(Settings(**names), GatewayConfig.read(config))
    assert (found.level, told in found.detail) == (level, True), found
    assert found.level is Level.OK or "--config" in found.advice, "nobody is told how to name another config"


def test_without_a_config_of_its_own_a_gateway_has_the_shipped_one() -> None:
    shipped = GatewayConfig.read(shipped_config())
    assert check_models(Settings(memory_model="gpt-4o-mini"), shipped).level is Level.OK
    assert check_models(Settings(memory_model="of-mine"), shipped).level is Level.WARNING
    assert check_config(shipped_config()).level is Level.OK


def test_a_config_without_memory_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model_list: []")
    found = check_config(file)
    assert (found.level, str(file) in found.detail) == (Level.FAULT, True), found
    assert "add `callbacks: recallr_litellm.hooks.recallr`" in found.detail


def test_the_callback_may_stand_in_an_included_file(config: Path) -> None:
    (config.parent / "more.yaml").write_text("litellm_settings: {callbacks: [other, recallr_litellm.hooks.recallr]}")
    assert check_config(config).level is Level.OK


@pytest.mark.parametrize(
    ("installed", "url", "level"),
    [(False, None, Level.OK), (False, "postgresql://db", Level.FAULT), (True, "postgresql://db", Level.OK)],
)
def test_a_database_needs_prisma(
    monkeypatch: pytest.MonkeyPatch, config: Path, installed: bool, url: str | None, level: Level
) -> None:
    monkeypatch.setattr("recallr_litellm.cli.checks.find_spec", lambda _: installed or None)
    if url:
        monkeypatch.setenv("DATABASE_URL", url)
    found = check_database(GatewayConfig.read(config))
    assert found.level is level, found


@pytest.mark.parametrize(
    ("given", "level", "told"),
    [
        ({}, Level.OK, "off"),
        (THREE, Level.OK, "https://track.example.com;"),
        ({**THREE, "RECONIFY_REDACT": "our_privacy:hide"}, Level.OK, "on"),
        ({"RECONIFY_API_KEY": "api-secret"}, Level.FAULT, "RECONIFY_APP_KEY"),
        ({**THREE, "RECONIFY_REDACT": "our_privacy:show"}, Level.FAULT, "RECONIFY_REDACT"),
    ],
    ids=str,
)
def test_settings_of_reconify(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], level: Level, told: str) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "our_privacy", raising=False)
    Path("our_privacy.py").write_text("def hide(text):\n    return ''\n")  # in the working folder, as for LiteLLM
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = check_reconify()
    assert (found.level, told in found.detail) == (level, True), found
    assert found.level is Level.OK or "RECONIFY" in found.detail
    for secret in ("app-secret", "api-secret", "t0ken"):
        assert secret not in found.detail + found.advice, "a secret is shown"
