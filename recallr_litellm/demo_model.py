"""`recallr-demo`: a model without a model behind it, to try memory with no provider key.

It answers from the memory block that the gateway put into the request, by plain word overlap,
and says so. Same request, same answer; no network, no clock, no randomness. For chat completions,
completions, responses and Anthropic's messages; LiteLLM has no custom providers for Gemini's API.

    model_list:
      - model_name: recallr-demo
        litellm_params: {model: recallr/demo}
    litellm_settings:
      custom_provider_map:
        - {provider: recallr, custom_handler: recallr_litellm.demo_model.demo_model}
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from litellm import CustomLLM, token_counter
from litellm.types.utils import GenericStreamingChunk, ModelResponse, Usage

from recallr_litellm.core.escaping import unescape
from recallr_litellm.core.stopwords import ENGLISH

NOTHING_KNOWN = "Demo model: I was handed no memory yet. What you say is kept; ask about it in a later session."
NOTHING_RELATED = "Demo model: nothing in the memory I was handed shares a word with that. It begins:"
FOUND = "Demo model: the memory I was handed says:"

_BLOCK = re.compile(r"<recallr_memory\b[^>]*>(?P<inside>.*?)</recallr_memory>\s*", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = ENGLISH | {"know", "said", "say", "tell", "user", "assistant"}
_STEM_LETTERS = 5
_SHOWN_LINES = 3


def answer(messages: Sequence[Mapping[str, Any]]) -> str:
    """The demo model's reply to a conversation in OpenAI's chat format."""
    blocks = [match["inside"] for message in messages for match in _BLOCK.finditer(_text(message.get("content")))]
    if not blocks:
        return NOTHING_KNOWN
    asked = _stems(_last_user_words(messages))
    lines = dict.fromkeys(line.strip() for line in blocks[-1].splitlines())
    # The user's own words before those of assistants, this one's among them. `sorted` is stable: of lines
    # that match equally well, the one that memory put first stays first.
    best = sorted(
        (line for line in lines if asked & _stems(line)),
        key=lambda line: (-len(asked & _stems(line)), line.startswith("<assistant")),
    )
    # A question such as "What do you know about me?" shares no word with what answers it.
    shown = best or [line for line in lines if line.startswith(("<user", "<assistant"))]
    return "\n".join([FOUND if best else NOTHING_RELATED, *(unescape(line) for line in shown[:_SHOWN_LINES])])


def _last_user_words(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user said last, without the memory block in front of it."""
    said = next((message for message in reversed(messages) if message.get("role") == "user"), None)
    return _BLOCK.sub("", _text(said.get("content"))) if said else ""


def _text(content: Any) -> str:
    """The text of a message: a string, content parts, or nothing."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _stems(text: str) -> frozenset[str]:
    """Words that carry meaning, cut to their beginnings so that "allergic" meets "allergy"."""
    words = _WORD.findall(text.casefold())
    return frozenset(word[:_STEM_LETTERS] for word in words if word not in _COMMON)


class DemoModel(CustomLLM):  # type: ignore[misc]  # LiteLLM is not type-checked here
    """The `recallr/demo` model as LiteLLM calls it, whole and streamed."""

    async def acompletion(
        self, model: str, messages: list[dict[str, Any]], *args: Any, model_response: ModelResponse, **kwargs: Any
    ) -> ModelResponse:
        """The whole reply, in the response object that LiteLLM prepared."""
        reply = answer(messages)
        asked, answered = token_counter(model, messages=messages), token_counter(model, text=reply)
        model_response.model = model
        model_response.choices[0].message.content = reply
        model_response.choices[0].finish_reason = "stop"
        model_response.usage = Usage(prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered)
        return model_response

    async def astreaming(
        self, model: str, messages: list[dict[str, Any]], *args: Any, **kwargs: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        """The same reply, word by word."""
        for word in re.findall(r"\S+\s*", answer(messages)):
            yield _chunk(word)
        yield _chunk("", finish_reason="stop")


def _chunk(text: str, *, finish_reason: str = "") -> GenericStreamingChunk:
    return GenericStreamingChunk(
        text=text, is_finished=bool(finish_reason), finish_reason=finish_reason, usage=None, index=0, tool_use=None
    )


demo_model = DemoModel()
"""The instance that `custom_provider_map` names."""
