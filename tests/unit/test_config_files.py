"""The files that users copy and start from say what the program does."""

from __future__ import annotations

import importlib
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from fastapi.routing import APIRoute
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from recallr_litellm.api.health import health_router
from recallr_litellm.metrics import REGISTRY
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.settings import Settings

CONFIG = Path(__file__).parents[2] / "config"
ENV_EXAMPLE = (CONFIG / ".env.example").read_text()

# Every assignment of .env.example, with those that are commented out.
ASSIGNMENT = re.compile(r"^#?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)
SHOWN = {match["name"]: match["value"] for match in ASSIGNMENT.finditer(ENV_EXAMPLE)}
FIELDS = {f"RECALLR_{name.upper()}": name for name in Settings.model_fields}
RECONIFY = {f"RECONIFY_{name.upper()}": name for name in ReconifySettings.model_fields}

DOCKERFILE = (CONFIG / "Dockerfile").read_text()
PATHS = {route.path for route in health_router(dict).routes if isinstance(route, APIRoute)}
SAMPLES = {
    name
    for metric in REGISTRY.collect()
    for name in {
        "counter": [f"{metric.name}_total"],
        "histogram": [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")],
    }.get(metric.type, [metric.name])
}


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONFIG / name).read_text())
    return content


def test_env_example_mentions_every_setting_and_no_other() -> None:
    assert {name for name in SHOWN if name.startswith(("RECALLR_", "RECONIFY_"))} == (FIELDS | RECONIFY).keys()


@pytest.mark.parametrize("name", FIELDS)
def test_env_example_shows_the_real_default(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no `.env` of the developer
    for field in FIELDS:
        monkeypatch.delenv(field, raising=False)
    default = getattr(Settings(), FIELDS[name])  # type: ignore[call-arg]
    monkeypatch.setenv(name, SHOWN[name])
    shown = getattr(Settings(), FIELDS[name])  # type: ignore[call-arg]
    assert shown == default, f".env.example shows {name}={SHOWN[name]}, but the default is {default!r}"


def test_env_example_as_it_is_sets_nothing() -> None:
    active = dotenv_values(stream=io.StringIO(ENV_EXAMPLE))
    assert not active, f"copied unchanged, .env.example would set {sorted(active)}"


@pytest.mark.parametrize("name", ["config.yaml", "production.yaml"])
def test_a_gateways_config_turns_memory_on_names_what_exists_and_holds_no_secret(name: str) -> None:
    config = read(name)
    settings = config["litellm_settings"]
    assert settings["callbacks"] == "recallr_litellm.hooks.recallr"
    for handler in settings.get("custom_provider_map", []):
        module, _, attribute = handler["custom_handler"].rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), f"{handler} does not exist"
    models = [model["litellm_params"] for model in config["model_list"]]
    keys = [config["general_settings"]["master_key"], *(model["api_key"] for model in models if "api_key" in model)]
    assert all(key.startswith("os.environ/") for key in keys), "a key is written out"


def test_json_logs_are_set_up_before_the_plugin_starts_to_log() -> None:
    """LiteLLM goes through these in order; in a worker of several, nothing else has set logging up before."""
    names = list(read("production.yaml")["litellm_settings"])
    assert names.index("json_logs") < names.index("callbacks"), "the plugin would log plain text between lines of JSON"


def test_composed_services_are_watched_and_redis_loses_and_evicts_nothing() -> None:
    arguments = read("docker-compose.yml")["services"]["redis"]["command"]
    assert arguments[0] == "redis-server", "the image's entrypoint would not give up root"
    assert all(isinstance(argument, str) for argument in arguments), f"YAML reads one of these as no text: {arguments}"
    command = " ".join(arguments)
    assert "--appendonly yes" in command, "Redis keeps no append-only file: a restart loses sessions in motion"
    assert "--maxmemory-policy noeviction" in command, "Redis may evict sessions in motion"
    assert "--requirepass" in command, "Redis asks for no password"
    services = read("docker-compose.yml")["services"]
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"gateway"}
    assert "HEALTHCHECK" in DOCKERFILE, "the gateway's is that of its image"


def test_composed_passwords_have_no_default_and_are_in_env_example() -> None:
    text = (CONFIG / "docker-compose.yml").read_text()
    # `$$NAME` is the container's own variable, everything else has to be `${NAME:?…}`.
    optional = re.findall(r"(?<!\$)\$(?!\$)(?!\{\w+:\?)[^\s@]*", text)
    assert not optional, f"docker-compose.yml starts without {optional}"
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required, "docker-compose.yml asks for no password at all"
    assert required <= SHOWN.keys(), f".env.example does not mention {sorted(required - SHOWN.keys())}"


def test_the_image_starts_one_worker_of_the_production_config_as_an_unprivileged_user() -> None:
    assert "COPY config/production.yaml" in DOCKERFILE, "the image does not contain production.yaml"
    assert 'CMD ["litellm", "--config", "/etc/recallr/production.yaml"' in DOCKERFILE, "the image starts something else"
    assert "num_workers" not in DOCKERFILE, "several workers need a folder for their metrics"
    assert re.search(r"^USER [1-9]\d*$", DOCKERFILE, re.MULTILINE), (
        "Kubernetes wants a number to see that it is not root"
    )


def test_what_the_image_copies_exists() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    missing = [name for line in copied for name in line.split() if not (CONFIG.parent / name).exists()]
    assert copied
    assert not missing, f"the image needs {missing}"


def test_the_lock_of_the_image_has_every_dependency_in_a_version_that_is_allowed() -> None:
    lines = [line for line in (CONFIG / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    odd = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    assert not odd, f"requirements.lock holds more than names and versions: {odd}"
    locked = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    project = tomllib.loads((CONFIG.parent / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in [*project["dependencies"], *project["optional-dependencies"]["bindings"]]]
    wrong = [
        f"{one} (locked: {locked.get(canonicalize_name(one.name))})"
        for one in wanted
        if locked.get(canonicalize_name(one.name)) not in one.specifier
    ]
    assert not wrong, f"renew requirements.lock, as its first lines say: {wrong}"


def kubernetes() -> dict[str, dict[str, Any]]:
    """Kind → the object of it."""
    return {one["kind"]: one for one in yaml.safe_load_all((CONFIG / "kubernetes" / "gateway.yaml").read_text())}


def test_every_probe_asks_for_a_path_that_is_served_on_the_port_that_is_listened_on() -> None:
    (container,) = kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["path"] for probe in probes} <= PATHS
    assert {probe["port"] for probe in probes} == {"http"} == {port["name"] for port in container["ports"]}
    (asked,) = re.findall(r"http://127\.0\.0\.1:(\d+)(/[^'\"]+)", DOCKERFILE)
    assert asked[1] in PATHS
    annotations = kubernetes()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in PATHS
    (listened,) = re.findall(r'"--port", "(\d+)"', DOCKERFILE)
    ports = {asked[0], annotations["prometheus.io/port"], *(str(port["containerPort"]) for port in container["ports"])}
    assert ports == {listened}


def test_a_pod_is_not_privileged_drains_and_reads_the_config_that_the_image_starts() -> None:
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = Settings.model_fields["drain_seconds"].default
    assert pod["terminationGracePeriodSeconds"] >= before + drain + 20, "no time for requests that are running"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}\n" in DOCKERFILE
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["enableServiceLinks"] is False, "a service named redis would set REDIS_PORT, which LiteLLM reads"
    config = kubernetes()["ConfigMap"]["data"]["production.yaml"]
    assert yaml.safe_load(config) == read("production.yaml"), "gateway.yaml holds another config than production.yaml"
    (mounted,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "config"]
    assert f"{mounted}/production.yaml" in DOCKERFILE


def test_the_services_of_kubernetes_find_the_pods() -> None:
    found = kubernetes()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert found[kind]["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_secret_of_kubernetes_names_settings_and_holds_none() -> None:
    secret = read("kubernetes/secret.yaml.example")
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    assert {"secretRef": {"name": secret["metadata"]["name"]}} in pod["containers"][0]["envFrom"]
    assert set(secret["stringData"]) <= SHOWN.keys(), "the secret names variables that nobody reads"
    assert {"LITELLM_MASTER_KEY", "RECALLR_PROJECTS", "RECALLR_REDIS_URL", "RECALLR_QDRANT_URL"} <= set(
        secret["stringData"]
    )
    assert not any(secret["stringData"].values())


@pytest.mark.parametrize("name", ["alerts.yml", "grafana-dashboard.json"])
def test_alerts_and_dashboard_ask_for_metrics_that_exist(name: str) -> None:
    expressions = list(values_of("expr", read(name)))  # JSON is YAML
    unknown = {one for text in expressions for one in re.findall(r"\brecallr_\w+", text)} - SAMPLES
    assert len(expressions) > 10
    assert all("recallr_" in text for text in expressions)
    assert not unknown, f"{name} asks for {sorted(unknown)}, which the plugin does not serve"


def values_of(key: str, tree: Any) -> Iterator[str]:
    """Every value of this key, however deep."""
    if isinstance(tree, dict):
        yield from ([tree[key]] if key in tree else [])
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from values_of(key, branch)
