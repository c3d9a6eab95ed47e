"""What the plugin asks of the gateway it sits on: counting tokens, names of models, embedding, completing."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import litellm

from recallr_litellm.core.passages import estimate_tokens
from recallr_litellm.errors import EmbeddingUnavailable, ModelUnavailable, Unavailable
from recallr_litellm.litellm_host.spend import own_call
from recallr_litellm.recall.agentic import Completion, ToolRequest

_SENT_BACK = ("role", "content", "tool_calls", "reasoning_content", "thinking_blocks")
"""Fields of an answer that belong into the next request: those of the API, and those by which LiteLLM gives a
provider back the signatures of its thoughts. `provider_specific_fields` as well, where there is anything in it:
LiteLLM sends it on to providers that know of none."""


def count_tokens(text: str) -> int:
    """Tokens of a text as LiteLLM's own counter counts them.

    Always with its default tokenizer: those of some models would be downloaded in the middle of a request,
    and the budget of the memory block needs no better. The encoding is used as `token_counter` uses it, which
    spends twice as long on choosing it, and guesses at texts as long as a memory block.
    """
    return _count_short(text) if len(text) <= _SHORT else _count(text)


def _count(text: str) -> int:
    return len(_encoding().encode_ordinary(text))


_SHORT = 48
"""Characters of a text that is not counted again: a mark or heading, of which every block has dozens."""
_count_short = lru_cache(4096)(_count)


@cache
def _encoding() -> Any:
    """Once: LiteLLM looks each of its attributes up anew, which takes as long as to count a line."""
    return litellm.encoding


def providers_name(arguments: Mapping[str, Any]) -> str:
    """The name under which the provider knows the model of a call of LiteLLM's: `openai/gpt-4o` → `gpt-4o`.

    Args:
        arguments: of the call.
    """
    name = str(arguments.get("model") or "")
    try:
        provider, base = arguments.get("custom_llm_provider"), arguments.get("api_base")
        return str(litellm.get_llm_provider(name, custom_llm_provider=provider, api_base=base)[0])
    except Exception:  # noqa: BLE001 - LiteLLM raises one of several for a name that it cannot place
        return name


async def embed_through_gateway(model: str, texts: list[str]) -> list[list[float]]:
    """Embed texts with a model of this gateway, through its router: no hook of ours sees the call.

    Raises:
        EmbeddingUnavailable: there is no router yet.
        Exception: LiteLLM's, most with a `status_code`.
    """
    response = await router(EmbeddingUnavailable).aembedding(model=model, input=texts, **own_call())
    return [item["embedding"] for item in response.data]


async def complete(
    model: str, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = (), *, max_tokens: int
) -> Completion:
    """A chat completion of a model of this gateway, through its router: no hook of ours sees the call.

    Neither the request being served nor its headers are known to the call: it goes where the gateway's config says.
    The LiteLLM key of the request pays for it.

    Args:
        messages: in OpenAI's shape, https://platform.openai.com/docs/api-reference/chat/create.
        tools: definitions of tools, likewise.
        max_tokens: most tokens of the answer.

    Raises:
        ModelUnavailable: there is no router yet, the call failed, or its answer is none.
    """
    extra = {"tools": list(tools)} if tools else {}
    call = router(ModelUnavailable).acompletion(
        model=model,
        messages=list(messages),
        max_tokens=max_tokens,
        cache={"no-cache": True, "no-store": True},
        **extra,
        **own_call(),
    )
    try:
        # An empty context: our hooks must not take this call for the request that is being served.
        response = await asyncio.create_task(call, context=contextvars.Context())
        return _read(response.choices[0].message, tokens_of(response, messages))
    except Exception as error:
        # Only the type: a provider's message may quote the text.
        raise ModelUnavailable(f"the model {model} failed: {type(error).__name__}") from error


def _read(message: Any, tokens: int) -> Completion:
    requests = tuple(
        ToolRequest(str(call.id or ""), str(call.function.name or ""), str(call.function.arguments or ""))
        for call in message.tool_calls or ()
    )
    said = message.model_dump(exclude_none=True)
    own = {field: value for field, value in said.pop("provider_specific_fields", {}).items() if value}
    kept = {field: said[field] for field in _SENT_BACK if field in said}
    return Completion({**kept, **({"provider_specific_fields": own} if own else {})}, requests, tokens)


def tokens_of(response: Any, asked: Sequence[dict[str, Any]]) -> int:
    """Tokens of a completion, both ways. Not all providers say what they used; a budget is to be kept all the same."""
    used = int(getattr(getattr(response, "usage", None), "total_tokens", 0) or 0)
    message = response.choices[0].message
    written = (str(call.function.arguments or "") for call in message.tool_calls or ())
    texts = (str(message.content or ""), *written, *(str(one.get("content") or "") for one in asked))
    return used or sum(map(estimate_tokens, texts))


def router(error: type[Unavailable]) -> Any:
    """LiteLLM's router of this gateway.

    Raises:
        Unavailable: of this type, where there is none yet.
    """
    found = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
    if found is None:
        raise error("the gateway has no router yet")
    return found
