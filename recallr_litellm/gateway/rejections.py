"""`RequestError` → the HTTP answer, in the shape of the API that was called."""

from __future__ import annotations

from typing import Any

from litellm.proxy._types import ProxyException

from recallr_litellm.errors import RequestError

_TYPES = {401: "authentication_error", 404: "not_found_error"}


class Rejection(ProxyException):  # type: ignore[misc]
    """Tells the client its machine-readable `code`; LiteLLM alone would write the HTTP status there."""

    def to_dict(self) -> dict[str, Any]:
        """The `error` object of the answer."""
        return {**super().to_dict(), "code": self.openai_code}


def rejection(error: RequestError) -> ProxyException:
    """LiteLLM turns this exception into the error shape of each API, with the status given as `code`."""
    return Rejection(
        message=error.message,
        type=_TYPES.get(error.status, "invalid_request_error"),
        param=error.param,
        code=error.status,
        openai_code=error.code,
    )
