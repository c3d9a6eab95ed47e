"""`RequestError` → the HTTP answer, in the shape of the API that was called."""

from __future__ import annotations

from litellm.proxy._types import ProxyException

from recallr_litellm.errors import RequestError

_TYPES = {401: "authentication_error", 404: "not_found_error"}


def rejection(error: RequestError) -> ProxyException:
    """LiteLLM turns this exception into the error shape of each API, with the status given as `code`."""
    return ProxyException(
        message=error.message,
        type=_TYPES.get(error.status, "invalid_request_error"),
        param=error.param,
        code=error.status,
        openai_code=error.code,
    )
