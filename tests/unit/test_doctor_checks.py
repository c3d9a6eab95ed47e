"""What `recallr doctor` makes of keys, folders and what servers say about themselves."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from recallr_litellm.cli.check_result import CheckResult, Level
from recallr_litellm.cli.checks import check_data_dir, check_litellm, check_master_key, check_projects
from recallr_litellm.cli.store_checks import check_contents, check_qdrant, check_redis_access, judge_redis
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.state import connect
from recallr_litellm.stores.state.url import RedisUrl
from recallr_litellm.stores.vectors import VectorStore, open_collections

pytest_plugins = ("tests.unit.stores.state_fixtures",)

LONG_KEY = "rai_a-key-long-enough-for-anyone"
GOOD_REDIS = {"redis_version": "7.4.1", "maxmemory_policy": "noeviction", "maxmemory": 0, "aof_enabled": 1}


def settings(folder: Path, **values: Any) -> Settings:
    return Settings(data_dir=folder / "data", **values)


def assert_useful(finding: CheckResult) -> None:
    assert finding.level is Level.OK or finding.advice, f"a {finding.level} without advice: {finding}"


@pytest.mark.parametrize(
    ("projects", "level", "reason"),
    [
        ({"acme": [LONG_KEY]}, Level.OK, "1 with keys"),
        ({"acme": [LONG_KEY, "short"]}, Level.WARNING, "acme"),
        ({"acme": []}, Level.FAULT, "without a usable key"),
        ({"acme": [" "]}, Level.FAULT, "without a usable key"),
        ({}, Level.FAULT, "no request could be admitted"),
    ],
)
def test_project_keys(tmp_path: Path, projects: dict[str, list[str]], level: Level, reason: str) -> None:
    found = check_projects(settings(tmp_path, projects=projects))
    assert (found.level, reason in found.detail) == (level, True), found
    assert LONG_KEY not in json.dumps([found.detail, found.advice]), "a key is shown"
    assert_useful(found)


def test_looking_for_generated_keys_makes_none(tmp_path: Path) -> None:
    found = [check_projects(settings(tmp_path)), check_master_key(settings(tmp_path))]
    assert [finding.level for finding in found] == [Level.OK, Level.OK], found
    assert not (tmp_path / "data").exists(), "looking made the data folder"


@pytest.mark.parametrize(("name", "check"), [("api_key", check_projects), ("master_key", check_master_key)])
@pytest.mark.parametrize(
    ("content", "mode", "level"),
    [("a-key", 0o600, Level.OK), ("a-key", 0o644, Level.WARNING), ("", 0o600, Level.FAULT)],
    ids=["good", "open to others", "empty"],
)
def test_key_files(tmp_path: Path, name: str, check: Any, content: str, mode: int, level: Level) -> None:
    file = tmp_path / "data" / name
    file.parent.mkdir()
    file.write_text(content)
    file.chmod(mode)
    found = check(settings(tmp_path))
    assert found.level is level, found
    assert_useful(found)


@pytest.mark.parametrize(("key", "level"), [("sk-1234", Level.WARNING), ("sk-" + "x" * 32, Level.OK), (" ", Level.OK)])
def test_master_key_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, level: Level) -> None:
    monkeypatch.setenv("LITELLM_MASTER_KEY", key)
    found = check_master_key(settings(tmp_path))
    assert found.level is level, found
    assert ("not set" in found.detail) == (not key.strip()), "a blank key is no key"
    assert_useful(found)


@pytest.mark.parametrize(("version", "level"), [("1.106.2", Level.OK), ("1.80.0", Level.FAULT), ("2.0.0", Level.FAULT)])
def test_litellm_has_to_be_a_tested_one(monkeypatch: pytest.MonkeyPatch, version: str, level: Level) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    monkeypatch.setattr(metadata, "requires", lambda _: ["litellm[proxy]>=1.106.2,<1.110", "rich>=13"])
    found = check_litellm()
    assert found.level is level, found
    assert_useful(found)


def test_data_folder_free_in_use_and_open_to_others(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    chosen.data_dir.mkdir(mode=0o700)
    assert "free" in check_data_dir(chosen).detail
    with DataDir(chosen.data_dir):
        found = check_data_dir(chosen)
        assert (found.level, "in use by a running gateway" in found.detail) == (Level.OK, True), found
    chosen.data_dir.chmod(0o755)
    found = check_data_dir(chosen)
    assert found.level is Level.WARNING, found
    assert_useful(found)


def test_a_data_folder_that_cannot_be_made_is_a_fault_for_root_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for impossible in (Path("/proc/recallr/data"), tmp_path / "file" / "data"):
        found = check_data_dir(Settings(data_dir=impossible))
        assert found.level is Level.FAULT, found
        assert_useful(found)
    assert check_data_dir(Settings(data_dir=tmp_path / "new" / "data")).level is Level.OK
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "looking at it leaves something behind"


@pytest.mark.parametrize(
    ("differs", "level", "reason"),
    [
        ({}, Level.OK, "append-only file, noeviction"),
        ({"redis_version": "6.0.16"}, Level.FAULT, "6.0.16"),
        ({"aof_enabled": 0}, Level.WARNING, "no append-only file"),
        ({"maxmemory_policy": "allkeys-lru"}, Level.WARNING, "allkeys-lru"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 1 << 30}, Level.FAULT, "allkeys-lru"),
    ],
)
def test_redis_is_judged_by_what_it_says_of_itself(differs: dict[str, Any], level: Level, reason: str) -> None:
    found = judge_redis("127.0.0.1:6379", GOOD_REDIS | differs)
    assert (found.level, reason in found.detail) == (level, True), found
    assert_useful(found)


async def test_a_store_filled_with_another_model_is_a_fault(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    filled = VectorStore(open_collections(chosen), SimpleNamespace(name="another-model", dimension=384))
    await filled.open()
    await filled.close()
    found = await check_qdrant(chosen, "configured-model")
    assert found.level is Level.FAULT, found
    assert "another-model" in found.detail, "it is not said which model the store was filled with"
    assert_useful(found)


@pytest.mark.parametrize(
    ("url", "lacks"),
    [
        ("redis://127.0.0.1:6379", None),
        ("redis://localhost", None),
        ("unix:///run/redis.sock", None),
        ("rediss://:secret@redis.example:6380", None),
        ("rediss+cluster://user:secret@a,b", None),
        ("redis://:secret@redis", "without TLS"),
        ("rediss://redis", "without a password"),
        ("redis://10.0.0.7", "without a password and TLS"),
        ("redis+sentinel://127.0.0.1,10.0.0.7/recallr", "without a password and TLS"),
    ],
)
def test_a_redis_that_a_network_can_read_is_a_warning(url: str, lacks: str | None) -> None:
    found = check_redis_access(RedisUrl.parse(url))
    assert [one.level for one in found] == ([Level.WARNING] if lacks else [])
    for one in found:
        assert f"{lacks}:" in one.detail
        assert "secret" not in one.detail


async def test_a_redis_too_small_for_the_outbox_is_named(embedded_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"APP_KEY": "a", "API_KEY": "b", "ENDPOINT": "https://reconify.example"}.items():
        monkeypatch.setenv(f"RECONIFY_{name}", value)
    link = connect(embedded_url, timeout_seconds=5)
    [before] = await check_contents(link)
    assert before.about == "Failed sessions", "without a maxmemory there is nothing to compare with"
    with redis.Redis.from_url(embedded_url) as client:
        client.config_set("maxmemory", 256 * 1024**2)
        try:
            found, _ = await check_contents(link)
        finally:
            client.config_set("maxmemory", 0)
            await link.close()
    assert (found.level, "32 MB of the 512" in found.detail) == (Level.WARNING, True), found
