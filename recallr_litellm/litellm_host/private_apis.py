"""The private APIs of LiteLLM that the plugin uses: looked up here only, once, at the start.

LiteLLM promises none of them. What an installed version lacks switches off what needs it and nothing else, and one
line in the log names both. A part that was renamed is looked up under both names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from typing import Any

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrivateApi:
    """A private API of LiteLLM.

    >>> PrivateApi("litellm.proxy.proxy_server", ("llm_router",), "models of the gateway cannot be called").missing
    False
    """

    module: str
    names: tuple[str, ...]
    """Names in the module; the first that exists is used. Of `Class.method`, the method of a new object."""
    without: str = field(compare=False)
    """What happens where none of them exists."""

    @cached_property
    def found(self) -> Any:
        """The object. Raises LookupError where this version lacks it."""
        try:
            module = import_module(self.module)
        except ImportError:
            raise LookupError(self.module) from None
        for name in self.names:
            with suppress(AttributeError):
                return _attribute(module, name)
        raise LookupError(f"{self.module}.{self.names[0]}")

    @property
    def missing(self) -> bool:
        """Whether this version lacks it."""
        try:
            _ = self.found
        except LookupError:
            return True
        return False


def _attribute(module: Any, name: str) -> Any:
    first, *rest = name.split(".")
    holder = getattr(module, first)
    for attribute in rest:
        holder = getattr(holder() if isinstance(holder, type) else holder, attribute)
    return holder


MIDDLEWARE = PrivateApi("litellm.proxy.proxy_server", ("app.middleware_stack",), "the plugin cannot start")
SHUTDOWN = PrivateApi(
    "litellm.proxy.proxy_server",
    ("proxy_shutdown_event",),
    "exchanges that are not stored when the gateway is stopped are lost",
)
SPEND = PrivateApi(
    "litellm.proxy.hooks.proxy_track_cost_callback",
    ("_ProxyDBLogger",),
    "agentic recall is not counted in the spend of the key that asked",
)
MASTER_KEY = PrivateApi("litellm.proxy.proxy_server", ("master_key",), "the admin API refuses everybody")
GATEWAY = (MIDDLEWARE, SHUTDOWN, SPEND, MASTER_KEY)
"""What the plugin needs in every gateway."""

RESPONSES_REQUEST = PrivateApi(
    "litellm.responses.litellm_completion_transformation.transformation",
    ("LiteLLMCompletionResponsesConfig.transform_responses_api_request_to_chat_completion_request",),
    "Reconify gets no requests of /v1/responses",
)
RESPONSES_REPLY = PrivateApi(
    "litellm.completion_extras.litellm_responses_transformation.transformation",
    ("LiteLLMResponsesTransformationHandler.transform_response",),
    "Reconify gets no requests of /v1/responses",
)
GEMINI_REQUEST = PrivateApi(
    "litellm.google_genai.adapters.transformation",
    ("GoogleGenAIAdapter.translate_generate_content_to_completion",),
    "Reconify gets no requests of Gemini's API",
)
GEMINI_REPLY = PrivateApi(
    "litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini",
    (
        "VertexGeminiConfig.transform_google_generate_content_to_openai_model_response",
        "VertexGeminiConfig._transform_google_generate_content_to_openai_model_response",  # until 1.101
    ),
    "Reconify gets no requests of Gemini's API",
)
BRIDGES = (RESPONSES_REQUEST, RESPONSES_REPLY, GEMINI_REQUEST, GEMINI_REPLY)
"""What Reconify needs: LiteLLM's translations into chat completions."""


def report(apis: Iterable[PrivateApi]) -> None:
    """Log each private API that the installed version lacks."""
    for api in apis:
        if api.missing:
            name = f"{api.module}.{api.names[0]}"
            _log.warning("LiteLLM %s lacks %s: %s", version("litellm"), name, api.without)
