"""Keys that Qdrant holds, while it cannot be reached: a worker that has read them goes on, one that has not says so."""

from __future__ import annotations

from pathlib import Path

import httpx
import openai
import pytest

from tests.support.provider import Provider
from tests.support.proxy import PROJECT, Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.waiting import eventually


def test_a_key_that_cannot_be_checked_is_neither_accepted_nor_refused(
    provider: Provider, tmp_path: Path, user: str
) -> None:
    def system_prompt(**options: object) -> int:
        headers = proxy.headers(None, **options)
        return httpx.get(
            f"{proxy.url}/api/v1/system-prompt", headers=headers, trust_env=False, timeout=60.0
        ).status_code

    with QdrantServer(tmp_path / "qdrant") as qdrant:
        proxy = Proxy(tmp_path / "proxy", provider, qdrant_url=qdrant.url)
        with proxy:
            made = httpx.post(
                f"{proxy.url}/api/v1/admin/projects/{PROJECT}/keys",
                json={"name": "laptop"},
                headers={"Authorization": f"Bearer {proxy.master_key}"},
                trust_env=False,
                timeout=60.0,
            ).json()
        key = made["api_key"]
        qdrant.stop()
        with proxy:
            assert proxy.ask(user, "Hello.", api_key=key).memory_status == "degraded; reason=store"
            assert system_prompt(api_key=key) == 503
            forwarded = httpx.post(
                f"{proxy.url}/api/v1/forward/{provider.base_url}/chat/completions",
                headers=proxy.headers(user, api_key=key),
                json={},
                trust_env=False,
                timeout=60.0,
            )
            assert (forwarded.status_code, forwarded.json()["error"]["code"]) == (503, "recallr_keys_unavailable")
            assert system_prompt() == 200, "a configured key needs no Qdrant"
            with pytest.raises(openai.AuthenticationError):
                proxy.ask(user, "Hello.", api_key=None)

            qdrant.start()
            eventually(lambda: system_prompt(api_key=key) == 200, "the key is accepted once Qdrant is back")
            assert system_prompt(api_key="rai_of-nobody") == 401
            qdrant.stop()
            eventually(lambda: proxy.ask(user, "Hello.").memory_status != "ok", "the outage is noticed")
            assert system_prompt(api_key=key) == 200, "what was read last does not count in an outage"
