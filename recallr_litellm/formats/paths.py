"""The paths at which LiteLLM serves the formats: https://docs.litellm.ai/docs/supported_endpoints"""

from __future__ import annotations

from typing import Final

_ENDINGS: Final = {
    "/chat/completions": "acompletion",
    "/completions": "atext_completion",
    "/responses": "aresponses",
    "/v1/messages": "anthropic_messages",
    ":generateContent": "agenerate_content",
    ":streamGenerateContent": "agenerate_content_stream",
}
"""How a path ends → LiteLLM's call type. Of several the first counts."""


def call_type_of(path: str) -> str | None:
    """The call type with which LiteLLM will most likely hand a request to its hooks; None for other paths."""
    return next((call_type for ending, call_type in _ENDINGS.items() if path.endswith(ending)), None)
