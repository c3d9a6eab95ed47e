"""Project keys: configured or generated, checked without telling which part was wrong."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import Any

import pytest

from recallr_litellm.core.projects import KeyRecord, ProjectRecord, ProjectSettings
from recallr_litellm.errors import ConfigurationError, KeysUnavailable, Unauthorized
from recallr_litellm.projects import Projects, Recorded, digest_of, load_projects
from recallr_litellm.settings import Settings


def test_a_key_opens_its_own_project_only():
    projects = Projects({"a": ["key-a", "key-a2"], "b": ["key-b"]})
    projects.authenticate("a", "key-a")
    projects.authenticate("a", "key-a2")
    with pytest.raises(Unauthorized):
        projects.authenticate("a", "key-b")


def test_wrong_key_and_unknown_project_are_answered_alike():
    projects = Projects({"a": ["key-a"]})
    with pytest.raises(Unauthorized) as wrong_key:
        projects.authenticate("a", "nope")
    with pytest.raises(Unauthorized) as no_project:
        projects.authenticate("zzz", "key-a")
    assert str(wrong_key.value) == str(no_project.value)
    assert "key-a" not in str(wrong_key.value)


def test_a_key_is_generated_once_and_only_its_owner_may_read_it(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    load_projects(settings)
    path = tmp_path / "data" / "api_key"
    key = path.read_text().strip()
    assert key.startswith("rai_")
    assert len(key) > 30
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    load_projects(settings).authenticate("default", key)
    assert path.read_text().strip() == key


def test_workers_that_start_together_agree_on_the_key(tmp_path):
    code = (
        "from recallr_litellm.key_file import read_or_make; from pathlib import Path; import sys;"
        "print(read_or_make(Path(sys.argv[1]), prefix='rai_'))"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "api_key")], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({worker.communicate()[0] for worker in workers}) == 1


@pytest.mark.parametrize("projects", [{"a": []}, {"a": [" "]}, {"": ["k"]}])
def test_projects_without_a_usable_key_stop_the_start(projects, tmp_path):
    with pytest.raises(ConfigurationError, match="RECALLR_PROJECTS"):
        load_projects(Settings(data_dir=tmp_path, projects=projects))


def test_an_empty_key_file_stops_the_start(tmp_path):
    (tmp_path / "api_key").write_text("")
    with pytest.raises(ConfigurationError, match="empty"):
        load_projects(Settings(data_dir=tmp_path))


ACME = ProjectRecord(id="acme", created_at=0, updated_at=0)


def recorded(*keys: str, revoked: str = "", **settings: Any) -> Recorded:
    """What the store says: `acme` with these keys and settings."""
    of_key: dict[str, Any] = {"project": "acme", "created_at": 0}
    records = [
        KeyRecord(id=key, name=key, digest=digest_of(key), revoked_at=1 if key == revoked else None, **of_key)
        for key in keys
    ]
    return Recorded.of([ACME.model_copy(update={"settings": ProjectSettings(**settings)})], records)


def test_a_recorded_key_opens_its_project_until_it_is_revoked():
    projects = Projects({"other": ["key-of-other"]}, recorded=recorded("one", "two"))
    projects.authenticate("acme", "one")
    for project, key in (("other", "one"), ("acme", "key-of-other"), ("acme", "three")):
        with pytest.raises(Unauthorized):
            projects.authenticate(project, key)
    projects.learn(recorded("one", "two", revoked="one"))
    projects.authenticate("acme", "two")
    with pytest.raises(Unauthorized):
        projects.authenticate("acme", "one")
    assert projects.used == {"one", "two"}, "it is not noted which keys were used"


def test_before_the_store_was_read_only_configured_keys_can_be_checked():
    projects = Projects({"acme": ["configured"]}, recorded=None)
    projects.authenticate("acme", "configured")
    with pytest.raises(KeysUnavailable):
        projects.authenticate("acme", "one")
    with pytest.raises(Unauthorized):
        projects.authenticate("acme", None)
    projects.learn(recorded("one"))
    projects.authenticate("acme", "one")


def test_a_key_may_be_configured_for_two_projects():
    projects = Projects({"a": ["shared"], "b": ["shared"]})
    projects.authenticate("a", "shared")
    projects.authenticate("b", "shared")


def test_what_a_project_does_not_set_the_environment_does():
    environment = ProjectSettings(requests_per_minute=10, retention_days=30)
    own = recorded(retention_days=7)
    projects = Projects({}, environment=environment, agentic_projects=["other"], recorded=own)
    settings = projects.settings_of("acme")
    assert (settings.retention_days, settings.requests_per_minute) == (7, 10)
    assert projects.retention_days("unknown") == 30
    assert [projects.may_use_agentic(project) for project in ("acme", "other")] == [False, True]
    projects.learn(recorded(agentic=True))
    assert projects.may_use_agentic("acme"), "the project's own setting does not win"


def test_defaults_of_a_litellm_key_win_over_those_of_its_project():
    projects = Projects({}, recorded=recorded(defaults={"timezone": "Asia/Tokyo", "min_top_k": "40"}))
    assert projects.defaults_of("acme") == {"timezone": "Asia/Tokyo", "min_top_k": "40"}
    bound = {"timezone": "UTC", "max_top_k": "20"}
    assert projects.defaults_of("acme", bound) == bound, "bounds of project and key contradict each other"
    assert projects.defaults_of("other") == {}


def test_defaults_that_the_environment_has_made_wrong_are_left_aside(caplog: pytest.LogCaptureFixture):
    own = recorded(defaults={"session_timeout_seconds": "60"}, retention_days=7)
    projects = Projects({}, min_session_timeout_seconds=600, recorded=own)
    assert (projects.defaults_of("acme"), projects.retention_days("acme")) == ({}, 7)
    assert "X-Recallr-Session-Timeout-Seconds" in caplog.text
