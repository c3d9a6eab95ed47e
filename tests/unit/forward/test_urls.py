"""Which forward URLs lead somewhere, and where; settings that are no upstreams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.formats import FORMATS
from recallr_litellm.forward.endpoints import Api, Endpoint
from recallr_litellm.settings import load_settings
from recallr_litellm.upstream_urls import Location, Upstreams
from tests.support.hostile_urls import NOT_ALLOWED, NOT_SUPPORTED

PLACES = {"allowed": "127.0.0.1:8123", "port": "8123", "other": "127.0.0.1:8124", "other_port": "8124"}
UPSTREAMS = Upstreams(
    ["http://127.0.0.1:8123", "https://api.openai.com", "https://api.groq.com/openai/", "http://[0:0::1]:9000"]
)


def allowed(url: str) -> Location:
    location = UPSTREAMS.allow(url)
    assert location is not None, f"{url} should be allowed"
    return location


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_a_hostile_url_leads_nowhere(name: str) -> None:
    url = NOT_ALLOWED[name].format(**PLACES)
    assert UPSTREAMS.allow(url) is None, f"{url!r} is taken for an allowed upstream"


@pytest.mark.parametrize("name", NOT_SUPPORTED)
def test_only_known_endpoints_are_reached(name: str) -> None:
    url = NOT_SUPPORTED[name].format(**PLACES).partition("?")[0].partition("#")[0]  # as a server reads it
    assert Endpoint.at(allowed(url)) is None, f"{url!r} is taken for an endpoint"


@pytest.mark.parametrize(
    ("url", "api", "reached"),
    [
        ("https://api.openai.com/v1/chat/completions", Api.CHAT, ""),
        ("https:/api.openai.com/v1/chat/completions", Api.CHAT, "https://api.openai.com/v1/chat/completions"),
        ("HTTPS://API.OpenAI.com:443/v1/responses", Api.RESPONSES, "https://api.openai.com/v1/responses"),
        ("https://api.openai.com/v1/completions", Api.COMPLETIONS, ""),
        ("http://127.0.0.1:8123/chat/completions", Api.CHAT, ""),
        ("http://127.0.0.1:8123/v1/messages", Api.MESSAGES, ""),
        ("https://api.groq.com/openai/v1/chat/completions", Api.CHAT, ""),
        ("http://[0::1]:9000/v1/responses", Api.RESPONSES, "http://[::1]:9000/v1/responses"),
    ],
)
def test_an_allowed_url_leads_to_its_endpoint(url: str, api: Api, reached: str) -> None:
    assert Endpoint.at(allowed(url)) == Endpoint(api, reached or url)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_gemini_has_model_and_verb_in_the_url(version: str) -> None:
    url = f"http://127.0.0.1:8123/{version}/models/gemini-2.0-flash"
    whole, stream = (Endpoint.at(allowed(f"{url}:{verb}")) for verb in ("generateContent", "streamGenerateContent"))
    assert whole == Endpoint(Api.GEMINI, f"{url}:generateContent", "gemini-2.0-flash")
    assert stream == Endpoint(Api.GEMINI_STREAM, f"{url}:streamGenerateContent?alt=sse", "gemini-2.0-flash")


def test_every_api_has_a_wire_format() -> None:
    assert set(Api) <= FORMATS.keys(), "its requests would get no memory"


@pytest.mark.parametrize("path", ["", "/v1/chat/completions", "/openaix/v1/responses", "/Openai/v1/responses"])
def test_an_upstream_with_a_path_admits_only_what_is_below_it(path: str) -> None:
    assert UPSTREAMS.allow(f"https://api.groq.com{path}") is None


@given(st.text(alphabet=st.characters(min_codepoint=1, max_codepoint=0x2FFF), max_size=60))
def test_any_text_is_read_without_a_fault_and_leads_only_to_what_is_allowed(text: str) -> None:
    for url in (text, f"http://{text}/v1/responses", f"http://127.0.0.1:8123{text}", f"https://api.openai.com{text}"):
        location = UPSTREAMS.allow(url)
        if location is not None:
            assert location.origin in {
                "http://127.0.0.1:8123",
                "https://api.openai.com",
                "https://api.groq.com",
                "http://[::1]:9000",
            }
            assert url.lower().startswith(location.origin), f"{url!r} is read as {location}"


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "https:/api.openai.com",
        "https://user:word@api.openai.com",
        "https://api.openai.com?secret-word",
        "https://*.openai.com",
        "ftp://api.openai.com",
        "https://api.openai.com/a/../b",
        "https://api.openai.com//",
        "",
    ],
)
def test_a_setting_that_is_no_upstream_stops_the_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RECALLR_FORWARD_UPSTREAMS", f'["https://api.openai.com", "{url}"]')
    with pytest.raises(ConfigurationError, match=r"RECALLR_FORWARD_UPSTREAMS: .*URL number 2 ") as caught:
        load_settings()
    assert "word" not in str(caught.value), "values are not repeated: they may hold secrets"
