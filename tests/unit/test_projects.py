"""Project keys: configured or generated, checked without telling which part was wrong."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest

from recallr_litellm.errors import ConfigurationError, Unauthorized
from recallr_litellm.projects import Projects, load_projects
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
