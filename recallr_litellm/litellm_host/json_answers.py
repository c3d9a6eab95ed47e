"""A model of this gateway that writes JSON by a schema, by whatever way it knows.

Which ways a model knows cannot be looked up: LiteLLM's list lacks models, proxies drop parameters. So they are tried,
best first, and the one that worked is remembered for the model.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from recallr_litellm.errors import ModelBusy, ModelRefused, ModelSlow, ModelUnavailable
from recallr_litellm.learning.model import Written
from recallr_litellm.litellm_host.models import router, tokens_of
from recallr_litellm.litellm_host.spend import own_call
from recallr_litellm.stores.embedding.gateway import retry_after

_SECONDS = 180.0
"""Timeout of one call: a small model on a CPU writes ten tokens a second."""


class _Way(IntEnum):
    """How JSON is asked for, best first."""

    SCHEMA = 0
    TOOL = 1
    JSON = 2
    PROMPT = 3


class _Broke(ModelUnavailable):
    """The model's server answered 500. Some do to a way that they do not know, such as that of llama-cpp-python to a
    JSON schema: so it is an outage only where no way is left."""


_known: dict[str, _Way] = {}
"""Model → the way that worked."""


async def write_json(
    model: str, messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
) -> Written:
    """See `learning.model.WriteJson`; a completion through the gateway's router that no hook of ours sees."""
    way = _known.get(model, _Way.SCHEMA)
    while True:
        try:
            written = await _call(model, messages, schema, way, name=name, max_tokens=max_tokens)
        except (ModelRefused, _Broke):
            if way is _Way.PROMPT or model in _known:
                raise
            way = _Way(way + 1)
            continue
        if written.text or written.cut_off:
            _known[model] = way
        elif way is not _Way.PROMPT and model not in _known:
            way = _Way(way + 1)  # a proxy that drops the tool, say
            continue
        return written


async def _call(
    model: str,
    messages: Sequence[dict[str, Any]],
    schema: dict[str, Any],
    way: _Way,
    *,
    name: str,
    max_tokens: int,
) -> Written:
    asked = list(messages)
    if way in (_Way.JSON, _Way.PROMPT):
        asked.append({"role": "user", "content": f"Answer with JSON by this schema: {json.dumps(schema)}"})
    call = router(ModelUnavailable).acompletion(
        model=model,
        messages=asked,
        max_tokens=max_tokens,
        temperature=0,
        timeout=_SECONDS,
        cache={"no-cache": True, "no-store": True},
        **_format(way, schema, name),
        **own_call(),
    )
    try:
        # An empty context: our hooks must not take this call for a request that is being served.
        response = await asyncio.create_task(call, context=contextvars.Context())
        choice = response.choices[0]
        message = choice.message
        text = "".join(str(one.function.arguments or "") for one in message.tool_calls or ())
        text = text or str(message.content or getattr(message, "refusal", None) or "")
        return Written(
            text=text,
            cut_off=choice.finish_reason == "length",
            tokens=tokens_of(response, asked),
        )
    except Exception as error:
        raise _read(model, error) from error


def _format(way: _Way, schema: dict[str, Any], name: str) -> dict[str, Any]:
    match way:
        case _Way.SCHEMA:
            wanted = {"name": name, "schema": schema, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": wanted}}
        case _Way.TOOL:
            function = {"name": name, "description": "Hand over the answer.", "parameters": schema}
            return {
                "tools": [{"type": "function", "function": function}],
                "tool_choice": {"type": "function", "function": {"name": name}},
            }
        case _Way.JSON:
            return {"response_format": {"type": "json_object"}}
    return {}


def _read(model: str, error: Exception) -> Exception:
    """The error as learning knows it. Only its type: a provider's message may quote the text."""
    status = getattr(error, "status_code", None)
    problem = f"the model {model} failed: {type(error).__name__}, status {status}"
    if status == 429:
        return ModelBusy(problem, retry_after=retry_after(error))
    if status in (400, 413, 422):
        return ModelRefused(problem)
    if status == 408:
        return ModelSlow(problem)
    return _Broke(problem) if status == 500 else ModelUnavailable(problem)
