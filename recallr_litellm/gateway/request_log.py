"""One line in the log for each Recallr request."""

from __future__ import annotations

import hashlib
import json
import logging
import re

from recallr_litellm.core.context import count_records
from recallr_litellm.gateway.call import Call
from recallr_litellm.settings import LogUsers

_log = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")
_MAX_LENGTH = 256
_DIGEST_LENGTH = 12


class RequestLog:
    """Writes the line when a request has ended.

    Args:
        users: how users are named.
    """

    def __init__(self, users: LogUsers) -> None:
        self._users = users

    def write(self, call: Call, http_status: int | None) -> None:
        """Write the line of a request.

        Args:
            http_status: None where the client went away before there was one.
        """
        if not _log.isEnabledFor(logging.INFO):
            return
        fields = {
            "id": call.request_id,
            "project": call.project_id or call.raw.first("project-id"),
            "user": self._user(call.user_id or call.raw.first("user-id")),
            "session": call.session_id or call.raw.first("session-id"),
            "chat": call.found_by,
            "strategy": call.strategy,
            "status": call.status,
            "reason": call.reason,
            "http": http_status,
            "memories": count_records(call.block),
            "tokens": call.block_tokens,
            "ms": f"{call.spent * 1000:.1f}",
        }
        _log.info("Request %s", " ".join(f"{name}={_written(value)}" for name, value in fields.items()))

    def _user(self, user: str | None) -> str | None:
        if user is None or self._users is LogUsers.OFF:
            return None
        return user if self._users is LogUsers.PLAIN else digest(user)


def digest(user: str) -> str:
    """The name of a user in the log: the first 12 hex characters of SHA-256, as `sha256sum` prints them."""
    return hashlib.sha256(user.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST_LENGTH]


def _written(value: object) -> str:
    """A value as it stands in the line: `-` for none, a JSON string in ASCII where it could be misread."""
    if value is None:
        return "-"
    text = str(value)[:_MAX_LENGTH]
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
