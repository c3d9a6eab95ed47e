"""What the plugin asks of the gateway it sits on: counting tokens, embedding."""

from __future__ import annotations

import sys

import litellm

from recallr_litellm.errors import EmbeddingUnavailable


def count_tokens(text: str) -> int:
    """Tokens of a text as LiteLLM's own counter counts them.

    Always with its default tokenizer: those of some models would be downloaded in the middle of a request,
    and the budget of the memory block needs no better. The encoding is used as `token_counter` uses it, which
    spends twice as long on choosing it, and guesses at texts as long as a memory block.
    """
    return len(litellm.encoding.encode_ordinary(text))


async def embed_through_gateway(model: str, texts: list[str]) -> list[list[float]]:
    """Embed texts with a model of this gateway, through its router: no hook of ours sees the call.

    Raises:
        EmbeddingUnavailable: there is no router yet, or the call failed.
    """
    router = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
    if router is None:
        raise EmbeddingUnavailable("the gateway has no router yet")
    try:
        # Marked as ours and kept from the gateway's loggers: they would get every question and every memory.
        response = await router.aembedding(
            model=model, input=texts, metadata={"recallr_internal": True}, **{"no-log": True}
        )
    except Exception as error:
        raise EmbeddingUnavailable(f"the embedding model {model} failed: {type(error).__name__}") from error
    return [item["embedding"] for item in response.data]
