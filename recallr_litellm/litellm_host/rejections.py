"""`RequestError` → the HTTP answer, in the shape of the API that was called."""

from __future__ import annotations

from typing import Any

from litellm.proxy._types import ProxyException

from recallr_litellm.errors import RequestError
from recallr_litellm.formats.gemini import GEMINI

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_GOOGLE_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


class Rejection(ProxyException):  # type: ignore[misc]
    """Tells the client its machine-readable `code`; LiteLLM alone would write the HTTP status there."""

    def to_dict(self) -> dict[str, Any]:
        """The `error` object of the answer."""
        return {**super().to_dict(), "code": self.openai_code}


class GoogleRejection(ProxyException):  # type: ignore[misc]
    """The same in Google's shape (https://google.aip.dev/193), which LiteLLM does not give its errors."""

    def to_dict(self) -> dict[str, Any]:
        """The `error` object of the answer."""
        status = int(self.code)
        name = _GOOGLE_STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
        return {"code": status, "message": self.message, "status": name}


def rejection(error: RequestError, call_type: str = "") -> ProxyException:
    """LiteLLM answers with this exception, with the status given as `code`.

    Args:
        call_type: LiteLLM's name for the request; Gemini's get Google's shape, any other what LiteLLM makes of it.
    """
    shape = GoogleRejection if call_type in GEMINI.call_types else Rejection
    refusal = shape(
        message=error.message,
        type=_TYPES.get(error.status, "invalid_request_error"),
        param=error.param,
        code=error.status,
        openai_code=error.code,
    )
    refusal.status_code = error.status  # where LiteLLM 1.100 looks for it on /v1/completions
    return refusal
