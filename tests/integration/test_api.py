"""The REST API under `/api/v1`: who may ask, and how errors are answered."""

from __future__ import annotations

from urllib.parse import quote, unquote

import httpx
import pytest

from tests.support.provider import Provider
from tests.support.proxy import CHAT_MODEL, OTHER_API_KEY, PROJECT, Proxy


def get(proxy: Proxy, path: str, **options: object) -> httpx.Response:
    """The response to a GET with these Recallr headers (see `Proxy.headers`)."""
    headers = proxy.headers(None, **{"allow_new_user_creation": None, **options})
    return httpx.get(f"{proxy.url}/api/v1{path}", headers=headers, trust_env=False, timeout=60.0)


def test_a_key_and_its_project_are_needed(proxy: Proxy) -> None:
    assert get(proxy, "/system-prompt").status_code == 200
    refused = {
        "no key": get(proxy, "/system-prompt", api_key=None),
        "no project": get(proxy, "/system-prompt", project_id=None),
        "another project's key": get(proxy, "/system-prompt", api_key=OTHER_API_KEY),
        "the key of LiteLLM's admin": get(proxy, "/system-prompt", api_key=proxy.master_key),
        "no such project": get(proxy, "/system-prompt", project_id=f"{PROJECT}-2"),
        "a bad request besides": get(proxy, "/system-prompt?recall_strategy=none", api_key="rai_unknown"),
    }
    for name, response in refused.items():
        assert response.status_code == 401, name
        assert isinstance(response.json()["detail"], str), name
    wrong = ("another project's key", "the key of LiteLLM's admin", "no such project", "a bad request besides")
    assert len({refused[name].text for name in wrong}) == 1, "nothing tells a wrong key from an unknown project"
    assert (
        httpx.get(
            f"{proxy.url}/api/v1/system-prompt",
            headers={"Authorization": f"Bearer {proxy.master_key}"},
            trust_env=False,
        ).status_code
        == 401
    ), "the master key opens no memory"


def test_a_bad_value_is_named(proxy: Proxy) -> None:
    response = get(proxy, "/system-prompt?recall_strategy=none")

    assert response.status_code == 422
    assert response.json()["detail"].startswith("recall_strategy: must be 'low_latency', "), response.text


@pytest.mark.parametrize("name", ["a/b", "jürgen müller", "%41", "?#&", "..", "x" * 243])
def test_ids_may_hold_anything_when_percent_encoded(proxy: Proxy, provider: Provider, user: str, name: str) -> None:
    user = f"{name}{user[:13]}"
    with proxy.openai(None, user_id=None) as client:  # the header of an HTTP library may hold less than a body
        client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": "Hello."}], user=user)

    found = get(proxy, f"/users/{quote(user, safe='')}")

    assert found.status_code == 200, found.text
    assert found.json()["custom_user_id"] == user


@pytest.mark.parametrize("name", ["nobody", "nobody%2Fat%2Fall", "%00", "%0A", "x" * 300])
def test_an_unknown_user_is_answered_in_the_words_that_the_sdk_looks_for(proxy: Proxy, name: str) -> None:
    response = get(proxy, f"/users/{name}")

    assert (response.status_code, response.json()) == (404, {"detail": f"User {unquote(name)} not found"})


def test_an_id_that_is_no_text_is_refused(proxy: Proxy) -> None:
    response = get(proxy, "/users/%FF")

    assert (response.status_code, response.json()) == (422, {"detail": "user_id: must be UTF-8"})


def test_a_body_that_is_no_text_is_refused(proxy: Proxy) -> None:
    headers = proxy.headers(None, allow_new_user_creation=None) | {"Content-Type": "application/json"}

    for body in (b"\x98\xff", b"{", b"[" * 100_000):
        response = httpx.post(f"{proxy.url}/api/v1/users", headers=headers, content=body, trust_env=False, timeout=60.0)
        assert response.status_code == 422, body[:10]
