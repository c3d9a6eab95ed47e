"""A gateway with much of what LiteLLM has to offer turned on, whose memory is embedded by one of its own models."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support import witness
from tests.support.provider import ThreadedProvider
from tests.support.proxy import CHAT_MODEL, EMBEDDING_MODEL, Proxy
from tests.support.reconify_endpoint import ReconifyEndpoint
from tests.support.waiting import eventually

FRAGILE_MODEL = "fragile-model"
"""Falls back to `CHAT_MODEL`."""

SMALL_MODEL, SMALL_WINDOW = "small-model", 1_200


@pytest.fixture(scope="session")
def webhooks() -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint("webhook-id") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def watched(
    running_provider: ThreadedProvider, webhooks: ReconifyEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy as talkative as can be, with much of what LiteLLM has to offer."""
    folder = tmp_path_factory.mktemp("watched")
    fragile = {"model": f"openai/{FRAGILE_MODEL}", "api_base": running_provider.base_url, "api_key": "sk-x"}
    with Proxy(
        folder,
        running_provider,
        callbacks=[f"{witness.__name__}.{name}" for name in ("witness", "recorder")],
        settings={
            "RECALLR_EMBEDDING_MODEL": f"litellm/{EMBEDDING_MODEL}",
            "RECALLR_WEBHOOK_URL": webhooks.url,
            "RECALLR_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        },
        config={
            "model_list": [
                {"model_name": FRAGILE_MODEL, "litellm_params": fragile},
                {
                    "model_name": SMALL_MODEL,
                    "litellm_params": {**fragile, "model": f"hosted_vllm/{SMALL_MODEL}"},
                    "model_info": {"max_input_tokens": SMALL_WINDOW},
                },
            ],
            "router_settings": {"fallbacks": [{FRAGILE_MODEL: [CHAT_MODEL]}], "enable_pre_call_checks": True},
            "litellm_settings": {
                "cache": True,
                "cache_params": {"type": "local"},
                # trace and session id are then two fields, each of which must be right
                "request_correlation_in_logs": True,
            },
            "general_settings": {"forward_client_headers_to_llm_api": True},
        },
        arguments=["--detailed_debug"],
    ) as proxy:
        ready = f"{proxy.url}/recallr/health/ready"
        eventually(lambda: httpx.get(ready, trust_env=False).is_success, "memory has its model, which is the gateway's")
        yield proxy
