"""The files that users copy and start from say what the program does."""

from __future__ import annotations

import importlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.settings import Settings

CONFIG = Path(__file__).parents[2] / "config"
ENV_EXAMPLE = (CONFIG / ".env.example").read_text()

# Every assignment of .env.example, with those that are commented out.
ASSIGNMENT = re.compile(r"^#?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)
SHOWN = {match["name"]: match["value"] for match in ASSIGNMENT.finditer(ENV_EXAMPLE)}
FIELDS = {f"RECALLR_{name.upper()}": name for name in Settings.model_fields}
RECONIFY = {f"RECONIFY_{name.upper()}": name for name in ReconifySettings.model_fields}

GATEWAYS = ["config.yaml", "production.yaml"]


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONFIG / name).read_text())
    return content


def named_objects(config: dict[str, Any]) -> list[str]:
    """The `package.module.object` names in a gateway's config."""
    settings = config["litellm_settings"]
    return [settings["callbacks"], *(item["custom_handler"] for item in settings.get("custom_provider_map", []))]


def test_every_setting_is_in_env_example() -> None:
    missing = (FIELDS | RECONIFY).keys() - SHOWN.keys()
    assert not missing, f".env.example does not mention {sorted(missing)}"


def test_env_example_mentions_no_setting_that_does_not_exist() -> None:
    unknown = {name for name in SHOWN if name.startswith(("RECALLR_", "RECONIFY_"))} - (FIELDS | RECONIFY).keys()
    assert not unknown, f".env.example mentions {sorted(unknown)}, which the program does not read"


@pytest.mark.parametrize("name", ["LITELLM_MASTER_KEY"])
def test_env_example_mentions_what_belongs_to_others(name: str) -> None:
    assert name in SHOWN, f".env.example does not mention {name}"


@pytest.mark.parametrize("name", FIELDS)
def test_env_example_shows_the_real_default(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no `.env` of the developer
    for field in FIELDS:
        monkeypatch.delenv(field, raising=False)
    default = getattr(Settings(), FIELDS[name])  # type: ignore[call-arg]
    monkeypatch.setenv(name, SHOWN[name])
    shown = getattr(Settings(), FIELDS[name])  # type: ignore[call-arg]
    assert shown == default, f".env.example shows {name}={SHOWN[name]}, but the default is {default!r}"


@pytest.mark.parametrize("name", RECONIFY)
def test_env_example_shows_the_real_default_of_reconify(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(ReconifySettings(), RECONIFY[name])
    monkeypatch.setenv(name, SHOWN[name])
    shown = getattr(ReconifySettings(), RECONIFY[name])
    assert shown == default, f".env.example shows {name}={SHOWN[name]}, but the default is {default!r}"


def test_env_example_as_it_is_sets_nothing() -> None:
    active = dotenv_values(stream=io.StringIO(ENV_EXAMPLE))
    assert not active, f"copied unchanged, .env.example would set {sorted(active)}"


def test_env_example_is_read_as_dotenv_once_uncommented() -> None:
    uncommented = ASSIGNMENT.sub(lambda match: f"{match['name']}={match['value']}", ENV_EXAMPLE)
    read_back = dotenv_values(stream=io.StringIO(uncommented))
    assert read_back == SHOWN, "an uncommented line of .env.example is read differently from how it is written"


@pytest.mark.parametrize("name", GATEWAYS)
def test_names_in_a_gateways_config_can_be_imported(name: str) -> None:
    for dotted in named_objects(read(name)):
        module, _, attribute = dotted.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), f"{name} names {dotted}, which does not exist"


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateways_config_turns_memory_on(name: str) -> None:
    assert read(name)["litellm_settings"]["callbacks"] == "recallr_litellm.hooks.recallr"


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateways_config_holds_no_secret(name: str) -> None:
    config = read(name)
    keys = [config["general_settings"]["master_key"]]
    keys += [
        model["litellm_params"]["api_key"] for model in config["model_list"] if "api_key" in model["litellm_params"]
    ]
    written_out = [key for key in keys if not key.startswith("os.environ/")]
    assert not written_out, f"{name} holds {len(written_out)} keys itself instead of naming environment variables"


def test_only_the_gateway_to_try_has_the_demo_model() -> None:
    models = {name: [model["model_name"] for model in read(name)["model_list"]] for name in GATEWAYS}
    assert "recallr-demo" in models["config.yaml"], "config.yaml has no model that works without a key"
    assert "recallr-demo" not in models["production.yaml"], "the demo model is in production.yaml"


def test_both_gateways_route_the_same_models_but_for_the_demo_model() -> None:
    routes = {
        name: {model["model_name"]: model["litellm_params"] for model in read(name)["model_list"]} for name in GATEWAYS
    }
    del routes["config.yaml"]["recallr-demo"]
    assert routes["config.yaml"] == routes["production.yaml"], "a model that works on trial is routed elsewhere, or not"


def test_json_logs_are_set_up_before_the_plugin_starts_to_log() -> None:
    """LiteLLM goes through these in order; in a worker of several, nothing else has set logging up before."""
    names = list(read("production.yaml")["litellm_settings"])
    assert names.index("json_logs") < names.index("callbacks"), "the plugin would log plain text between lines of JSON"


def test_composed_redis_loses_and_evicts_nothing() -> None:
    arguments = read("docker-compose.yml")["services"]["redis"]["command"]
    assert arguments[0] == "redis-server", "the image's entrypoint would not give up root"
    assert all(isinstance(argument, str) for argument in arguments), f"YAML reads one of these as no text: {arguments}"
    command = " ".join(arguments)
    assert "--appendonly yes" in command, "Redis keeps no append-only file: a restart loses sessions in motion"
    assert "--maxmemory-policy noeviction" in command, "Redis may evict sessions in motion"
    assert "--requirepass" in command, "Redis asks for no password"


def test_composed_stores_keep_their_data_and_are_not_reachable_from_outside() -> None:
    services = read("docker-compose.yml")["services"]
    for name in ("redis", "qdrant"):
        assert services[name].get("volumes"), f"{name} has no volume: its data ends with the container"
        assert "ports" not in services[name], f"{name} is reachable from outside"


def test_every_composed_service_has_a_health_check() -> None:
    services = read("docker-compose.yml")["services"]
    without = [name for name, service in services.items() if "healthcheck" not in service]
    assert not without, f"no health check: {without}"


def test_no_composed_password_has_a_default() -> None:
    text = (CONFIG / "docker-compose.yml").read_text()
    # `$$NAME` is the container's own variable, everything else has to be `${NAME:?…}`.
    optional = re.findall(r"(?<!\$)\$(?!\$)(?!\{\w+:\?)[^\s@]*", text)
    assert not optional, f"docker-compose.yml starts without {optional}"


def test_composed_passwords_are_in_env_example() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", (CONFIG / "docker-compose.yml").read_text()))
    assert required, "docker-compose.yml asks for no password at all"
    assert required <= SHOWN.keys(), f".env.example does not mention {sorted(required - SHOWN.keys())}"


def test_the_image_starts_the_production_config() -> None:
    dockerfile = (CONFIG / "Dockerfile").read_text()
    assert "COPY config/production.yaml" in dockerfile, "the image does not contain production.yaml"
    assert '"litellm", "--config", "/etc/recallr/production.yaml"' in dockerfile, "the image starts something else"
