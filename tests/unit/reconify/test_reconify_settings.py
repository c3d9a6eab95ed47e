"""`RECONIFY_*`: on with three settings, an error with one or two, and never a key in a message."""

from __future__ import annotations

import itertools

import pytest

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.reconify.settings import load_reconify_settings

THREE = {
    "RECONIFY_APP_KEY": "app-secret",
    "RECONIFY_API_KEY": "api-secret",
    "RECONIFY_ENDPOINT": "https://track.example.com/v1?x=1",
}


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_on_when_all_three_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, THREE)
    found = load_reconify_settings()
    assert found.enabled
    assert (found.request, found.scope) == ("provider", "recallr")
    assert "secret" not in repr(found), "a key is shown"


@pytest.mark.parametrize(
    "given", [names for count in (1, 2) for names in itertools.combinations(THREE, count)], ids=" and ".join
)
def test_some_of_the_three_are_an_error_that_names_the_others(
    monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    set_all(monkeypatch, dict.fromkeys(THREE, "  ") | {name: THREE[name] for name in given})
    with pytest.raises(ConfigurationError) as caught:
        load_reconify_settings()
    for name, value in THREE.items():
        assert (name in str(caught.value)) == (name not in given), f"{name}: {caught.value}"
        assert value not in str(caught.value), "a value is shown"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://track.example.com/",
        "http://10.0.0.1/",
        "http://127.0.0.1.example.com/",
        "https://user:pass-word@track.example.com/",
        "https://user@track.example.com/",
        "ftp://track.example.com/",
        "track.example.com",
        "https:///v1",
        "https://track.example.com:port/",
        "https://[::1/",
    ],
)
def test_an_endpoint_that_is_not_safe_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    set_all(monkeypatch, {**THREE, "RECONIFY_ENDPOINT": endpoint})
    with pytest.raises(ConfigurationError, match="RECONIFY_ENDPOINT") as caught:
        load_reconify_settings()
    assert endpoint not in str(caught.value), "the value, which may hold a secret, is shown"
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:1/", "http://127.0.0.1:1/", "http://[::1]:1/", "HTTPS://track.example.com"]
)
def test_an_endpoint_that_is_safe_is_taken(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    set_all(monkeypatch, {**THREE, "RECONIFY_ENDPOINT": endpoint})
    assert load_reconify_settings().endpoint == endpoint


@pytest.mark.parametrize("name", ["REQUEST", "SCOPE", "MAX_QUEUED", "MAX_QUEUED_MB", "MAX_ATTEMPTS", "TIMEOUT_SECONDS"])
def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"RECONIFY_{name}", "wrong-secret")
    with pytest.raises(ConfigurationError, match=f"RECONIFY_{name}") as caught:
        load_reconify_settings()
    assert "wrong-secret" not in str(caught.value)
