"""What LiteLLM knows of the model that a request names: its router's deployments and its map of models.

The map is read as it is (`litellm.model_cost`): `litellm.get_model_info` asks some providers' servers.
Fields: https://docs.litellm.ai/docs/proxy/configs and https://models.litellm.ai
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import litellm
from cachetools import TTLCache, cached

from recallr_litellm.core.room import Model
from recallr_litellm.learning.estimate import Price
from recallr_litellm.logs import Once

_log = logging.getLogger(__name__)
_FAULTS = Once()

_SECONDS = 60
"""How long what was found holds: deployments can be changed while the gateway runs."""

_NOT_FOR_TEXT = frozenset({"audio_speech", "image_generation", "image_edit", "video_generation"})
"""Modes of models that speak or draw what they are told."""
_SPEAKS_OR_DRAWS = re.compile(r"(?:^|[-/_.])(?:tts|imagen|veo|lyria|dall-e|gpt-image)(?:[-_.\d]|$)", re.IGNORECASE)
_GOOGLE = re.compile("gemini|vertex_ai")
"""LiteLLM makes a cached content of marked messages: https://docs.litellm.ai/docs/providers/gemini#context-caching"""
_NO_SYSTEM = re.compile("gemma", re.IGNORECASE)
"""The first versions of Gemma take no system message, nor do later ones from Google; the map lacks some of them."""


@cached(TTLCache(maxsize=1_000, ttl=_SECONDS))
def model_behind(name: str, team: str | None, *, routed: bool) -> Model:
    """What holds for all deployments behind a name; a `Model` of which nothing is known where LiteLLM knows nothing.

    Args:
        team: id of the team of the request's LiteLLM key, which may have models of its own.
        routed: False for a name that goes to the provider as it is.
    """
    try:
        return _model(name, team, routed=routed)
    except Exception as error:  # noqa: BLE001 - what LiteLLM's router raises differs between versions
        if _FAULTS.first(type(error).__name__):
            _log.warning("LiteLLM does not say what the model %.100r can take: %r", name, error)
        return Model()


def _model(name: str, team: str | None, *, routed: bool) -> Model:
    router = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None) if routed else None
    deployments = (router.get_model_list(model_name=name, team_id=team) if router is not None else None) or [{}]
    each = [_deployment(one.get("litellm_params") or {}, one.get("model_info") or {}, name) for one in deployments]
    return Model(
        windows=tuple(sorted({window for one in each for window in one.windows})),
        max_tokens=max(one.max_tokens for one in each),
        takes_system=all(one.takes_system for one in each),
        caches_apart=any(one.caches_apart for one in each),
        answers_in_text=all(one.answers_in_text for one in each),
    )


def _deployment(parameters: Mapping[str, Any], own: Mapping[str, Any], name: str) -> Model:
    """What is known of a deployment: its own `model_info` counts more than LiteLLM's map."""
    model = str(own.get("base_model") or parameters.get("base_model") or parameters.get("model") or name)
    known = _mapped(model, str(parameters.get("custom_llm_provider") or "")) | _given(own)
    window = _tokens(known.get("max_input_tokens")) or _tokens(known.get("max_tokens"))
    system = known.get("supports_system_messages", None if _NO_SYSTEM.search(model) else True)
    return Model(
        windows=(window,) if window else (),
        max_tokens=_tokens(parameters.get("max_completion_tokens") or parameters.get("max_tokens")),
        takes_system=bool(system) and parameters.get("supports_system_message") is not False,
        caches_apart=bool(_GOOGLE.match(str(parameters.get("custom_llm_provider") or parameters.get("model") or ""))),
        answers_in_text=_answers_in_text(known, model),
    )


def price_of(name: str) -> Price | None:
    """The price of a model of the gateway; that of the dearest deployment behind its name. None where LiteLLM does not
    know it of each."""
    try:
        router = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
        deployments = (router.get_model_list(model_name=name) if router is not None else None) or [{}]
        each = [_price(one.get("litellm_params") or {}, one.get("model_info") or {}, name) for one in deployments]
    except Exception as error:  # noqa: BLE001 - what LiteLLM's router raises differs between versions
        if _FAULTS.first(type(error).__name__):
            _log.warning("LiteLLM does not say what the model %.100r costs: %r", name, error)
        return None
    known = [price for price in each if price is not None]
    return max(known, key=sum) if len(known) == len(each) else None


def _price(parameters: Mapping[str, Any], own: Mapping[str, Any], name: str) -> Price | None:
    model = str(own.get("base_model") or parameters.get("base_model") or parameters.get("model") or name)
    known = _mapped(model, str(parameters.get("custom_llm_provider") or "")) | _given(own) | _given(parameters)
    costs = known.get("input_cost_per_token"), known.get("output_cost_per_token")
    return None if costs[0] is None or costs[1] is None else Price(float(costs[0]), float(costs[1]))


def _answers_in_text(known: Mapping[str, Any], model: str) -> bool:
    mode, gives = known.get("mode"), known.get("supported_output_modalities")
    if mode is None:
        return not _SPEAKS_OR_DRAWS.search(model)
    return mode not in _NOT_FOR_TEXT and not (isinstance(gives, list) and gives and "text" not in gives)


def _mapped(model: str, provider: str) -> dict[str, Any]:
    """The map's entry of a model, which may stand there with its provider or without."""
    prefix, _, bare = model.partition("/")
    entries = [litellm.model_cost.get(name) for name in (f"{provider}/{model}", model)]
    if bare:
        entry = litellm.model_cost.get(bare) or {}
        entries.append(entry if str(entry.get("litellm_provider")).startswith(prefix) else None)
    found: dict[str, Any] = {}
    for entry in reversed(entries):  # of one model there may be several, for the router adds some that say little
        found |= _given(entry or {})
    return found


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if value is not None}


def _tokens(value: Any) -> int:
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError):
        return 0
