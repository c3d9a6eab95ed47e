"""What LiteLLM's router and its map of models say of the model that a request names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from litellm import Router

from recallr_litellm.core.room import Model
from recallr_litellm.litellm_host.deployments import model_behind


def deployment(name: str, model: str, info: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {"model": model, "api_key": "sk-x", **parameters},
        "model_info": info or {},
    }


DEPLOYMENTS = [
    deployment("small", "hosted_vllm/one", {"max_input_tokens": 1_200}),
    deployment("small", "hosted_vllm/two", {"max_tokens": 4_096}, max_tokens=500),
    deployment("small", "hosted_vllm/unknown"),
    deployment("claude", "anthropic/claude-haiku-4-5"),
    deployment("azure", "azure/somewhere", {"base_model": "azure/gpt-4o"}, api_base="https://x.example"),
    deployment("odd", "hosted_vllm/odd", {"max_input_tokens": "many", "max_tokens": None}),
    deployment("images", "gemini/gemini-2.5-flash-image"),
    deployment("tts that chats", "hosted_vllm/tts-of-tomorrow", {"mode": "chat"}),
    deployment("old style", "hosted_vllm/mistral-7b", supports_system_message=False),
    deployment("hosted gemma", "hosted_vllm/google/gemma-2-9b-it"),
    deployment("gemini/*", "gemini/*"),
]


@pytest.fixture(autouse=True)
def router(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    router = Router(model_list=DEPLOYMENTS, model_group_alias={"alias": "small"})
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=router))
    model_behind.cache.clear()
    yield
    model_behind.cache.clear()


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("small", (1_200, 4_096)),
        ("alias", (1_200, 4_096)),
        ("claude", (200_000,)),
        ("azure", (128_000,)),
        ("gemini/gemini-2.5-flash", (1_048_576,)),
        ("odd", ()),
        ("nobody knows", ()),
        ("", ()),
    ],
)
def test_the_windows_behind_a_name(name: str, windows: tuple[int, ...]):
    assert model_behind(name, None, routed=True).windows == windows


def test_the_longest_answer_that_a_deployment_sets():
    assert model_behind("small", None, routed=True).max_tokens == 500
    assert model_behind("claude", None, routed=True).max_tokens == 0


@pytest.mark.parametrize(
    ("name", "takes_system"),
    [
        ("gemini/gemma-3-27b-it", False),
        ("gemini/gemma-3n-e4b-it", False),
        ("hosted gemma", False),
        ("old style", False),
        ("gemini/gemma-4-31b-it", True),
        ("gemini/gemini-2.5-flash", True),
        ("claude", True),
        ("small", True),
    ],
)
def test_which_models_take_system_messages(name: str, takes_system: bool):
    assert model_behind(name, None, routed=True).takes_system is takes_system


@pytest.mark.parametrize(
    ("name", "answers_in_text"),
    [
        ("gemini/gemini-2.5-flash-preview-tts", False),
        ("gemini/gemini-9-flash-tts", False),
        ("gemini/lyria-3-pro-preview", False),
        ("images", False),
        ("tts that chats", True),
        ("gemini/gemini-2.5-flash", True),
        ("gemini/battstation", True),
        ("small", True),
    ],
)
def test_which_models_speak_or_draw_what_they_are_told(name: str, answers_in_text: bool):
    assert model_behind(name, None, routed=True).answers_in_text is answers_in_text


@pytest.mark.parametrize(("name", "apart"), [("gemini/gemini-2.5-flash", True), ("claude", False), ("small", False)])
def test_which_models_keep_what_is_cached_apart(name: str, apart: bool):
    assert model_behind(name, None, routed=True).caches_apart is apart


def test_a_forwarded_request_names_the_providers_own_model():
    assert model_behind("gpt-4o", None, routed=False).windows == (128_000,)
    assert model_behind("small", None, routed=False) == Model(), "the gateway's names mean nothing there"
    assert not model_behind("gemma-3-27b-it", None, routed=False).takes_system


def test_a_router_of_another_kind_is_no_fault_of_the_request(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=object()))
    assert model_behind("small", None, routed=True) == Model()
