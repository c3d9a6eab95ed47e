"""Telling a guardrail's refusal of what a request says from every other failure of it."""

from __future__ import annotations

import traceback

from litellm.exceptions import ContentPolicyViolationError
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.integrations.custom_logger import CustomLogger

_CHECKS = frozenset({"async_pre_call_hook", "async_moderation_hook"})
"""Methods that see a request before the model has answered it."""
_RESULTS = "process_pre_call_hook_response"
"""Where LiteLLM makes an error of the text or exception that such a method has returned."""
_OTHER_REASONS = frozenset({401, 404, 408, 429})
"""What a check answers that has not judged the content: no access, a limit, its own service away."""


def refuses_content(error: Exception) -> bool:
    """Whether a request failed because a guardrail, or the model's provider, refuses what it says."""
    if isinstance(error, ContentPolicyViolationError):
        return True
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and (status in _OTHER_REASONS or status >= 500):
        return False
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == _RESULTS:
            return True
        if frame.f_code.co_name in _CHECKS:
            check = frame.f_locals.get("self")
            # Other callbacks have more reasons to refuse a request than what it says: budgets, rights.
            if isinstance(check, CustomGuardrail) or (isinstance(check, CustomLogger) and status == 400):
                return True
    return False
