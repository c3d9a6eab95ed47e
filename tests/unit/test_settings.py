"""Settings from the environment and from `.env`: blank values, wrong values, the folders of the embedded stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.settings import Settings, load_settings

NAMES = {f"RECALLR_{field.upper()}": field for field in Settings.model_fields}


@pytest.mark.parametrize("blank", ["", "  ", "\t"], ids=["empty", "spaces", "tab"])
@pytest.mark.parametrize("name", NAMES)
def test_a_blank_variable_is_a_variable_not_set(monkeypatch: pytest.MonkeyPatch, name: str, blank: str) -> None:
    default = getattr(load_settings(), NAMES[name])
    monkeypatch.setenv(name, blank)
    assert getattr(load_settings(), NAMES[name]) == default, f"{name}={blank!r} is taken for a value"


@pytest.mark.parametrize("line", ["{}", "{}=", "{}='  '"], ids=["no value", "empty", "spaces"])
def test_blank_lines_of_a_dotenv_file_set_nothing(line: str) -> None:
    default = load_settings()
    Path(".env").write_text("\n".join(line.format(name) for name in NAMES))
    assert load_settings() == default


def test_a_blank_variable_leaves_the_value_of_the_dotenv_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("RECALLR_CONTEXT_TOKENS=500\n")
    monkeypatch.setenv("RECALLR_CONTEXT_TOKENS", " ")
    assert load_settings().context_tokens == 500


def test_the_environment_wins_over_the_dotenv_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text('RECALLR_CONTEXT_TOKENS=500\nRECALLR_PROJECTS={"acme": ["rai_of-the-file"]}\n')
    monkeypatch.setenv("RECALLR_CONTEXT_TOKENS", "600")
    found = load_settings()
    assert found.context_tokens == 600
    assert found.projects is not None, "the file's JSON was not read"
    assert [key.get_secret_value() for key in found.projects["acme"]] == ["rai_of-the-file"]


@pytest.mark.parametrize(
    "url", ["http://h:999999", "http://h:x", "qdrant:6333", "ftp://qdrant", "http://", "http://h:0"]
)
def test_what_cannot_be_the_url_of_a_qdrant_server_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("RECALLR_QDRANT_URL", url)
    with pytest.raises(ConfigurationError, match="RECALLR_QDRANT_URL"):
        load_settings()


def test_the_embedded_stores_are_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECALLR_DATA_DIR", str(tmp_path))
    found = load_settings()
    # The names are part of the stored data: with others, a gateway would start with an empty memory.
    assert (found.valkey_dir, found.qdrant_dir) == (tmp_path / "redis", tmp_path / "qdrant")
