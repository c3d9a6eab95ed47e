"""The ids by which clients name a chat, although nobody asked them to: one table of headers, one of body fields.

Only ids that name a chat: no trace ids, no ids of persons. An id that a client leaves empty, or whose template nobody
filled in, is none. Sources: the clients' public code or, where that is closed, reports of their requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from recallr_litellm.core.placeholders import is_placeholder
from recallr_litellm.json_text import parsed

_CODEX = re.compile(r"codex", re.IGNORECASE)
_CODEX_OR_ROO = re.compile(r"codex|roo", re.IGNORECASE)
_CODEX_OR_OPENCODE = re.compile(r"codex|opencode", re.IGNORECASE)

_NOT_YET: Final = "new"
"""What LibreChat calls a chat that has no id yet."""
_LONGEST: Final = 1024

USER_AGENT: Final = "user-agent"


@dataclass(frozen=True, slots=True)
class ChatId:
    """An id that a client sent."""

    value: str
    part: bool = False
    """It names a part of a chat, such as one answer: an unknown one may still belong to a chat that is known."""
    opens_chat: bool = False
    """Of a part: if nothing else tells the chat of an unknown one, it is a new chat."""


@dataclass(frozen=True, slots=True)
class _Header:
    client: str
    name: str
    """In lower case."""
    user_agent: re.Pattern[str] | None = None
    """How the User-Agent begins; None: any."""
    not_chats: tuple[str, ...] = ()
    """Beginnings of values that name something else."""
    part: bool = False


_HEADERS: Final = (
    _Header("LiteLLM", "x-litellm-session-id"),
    # `local:` and the id of a browser's connection: shared by all temporary chats of a browser tab.
    _Header("Open WebUI", "x-openwebui-chat-id", not_chats=("local:",)),
    _Header("Claude Code", "x-claude-code-session-id"),
    _Header("Kilo, old", "x-kilocode-taskid"),
    _Header("Roo", "x-roo-task-id"),
    _Header("Cline", "x-task-id"),
    _Header("opencode, Kilo", "x-session-id"),
    _Header("opencode, Kilo", "x-session-affinity"),
    _Header("Codex", "session-id", user_agent=_CODEX),
    _Header("Codex, old; Roo", "session_id", user_agent=_CODEX_OR_ROO),
    _Header("Codex", "thread-id", user_agent=_CODEX),
    _Header("Codex, old", "conversation_id", user_agent=_CODEX),
    _Header("Copilot CLI", "x-client-session-id"),
    # Some versions send another one with each message of a chat.
    _Header("Copilot in VS Code", "x-interaction-id", part=True),
)
"""In this order the first that is there counts."""

HEADER_NAMES: Final = frozenset({USER_AGENT, *(header.name for header in _HEADERS)})
"""The headers that `chat_id` reads."""

_CLAUDE_CODE = re.compile(r"\Auser_[0-9A-Za-z]*_account_[0-9A-Za-z-]*_session_(?P<session>[0-9A-Za-z-]+)\Z")


def chat_id(
    headers: Mapping[str, str], body: Mapping[str, Any], *, litellm_session: str | None = None
) -> ChatId | None:
    """The client's own id of the chat that a request belongs to; None where it sent none.

    Args:
        headers: those of `HEADER_NAMES` that the request has, names in lower case.
        body: the request as the client sent it.
        litellm_session: LiteLLM's session id in the body, if the client put it there.
    """
    agent = headers.get(USER_AGENT, "")
    for header in _HEADERS:
        value = _id(headers.get(header.name))
        if value and (header.user_agent is None or header.user_agent.match(agent)):
            if value.startswith(header.not_chats):
                continue
            return ChatId(value, part=header.part, opens_chat=header.part)
    if value := _id(litellm_session):
        return ChatId(value)
    for read in (_conversation, _claude_code, _cursor, _prompt_cache_key(agent)):
        if value := _id(read(body)):
            return ChatId(value)
    if value := _id(body.get("previous_response_id")):
        return answer_id(value)
    return None


def answer_id(id: str) -> ChatId:
    """The chat of the answer with this id, for requests that go on from it (`previous_response_id` of Responses)."""
    return ChatId(f"answer:{id}", part=True)


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    value = value.strip()
    if not 0 < len(value) <= _LONGEST or value == _NOT_YET or is_placeholder(value):
        return None
    return value


def _conversation(body: Mapping[str, Any]) -> object:
    """Responses: `conversation`, an id or an object that holds it."""
    given = body.get("conversation")
    return given.get("id") if isinstance(given, dict) else given


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = body.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _claude_code(body: Mapping[str, Any]) -> object:
    """Claude Code: the session in Anthropic's `metadata.user_id`, an old form and a JSON object as text."""
    user = _metadata(body).get("user_id")
    if isinstance(user, str) and user.startswith("{"):
        try:
            user = parsed(user)
        except (ValueError, RecursionError):
            return None
    if isinstance(user, dict):
        return user.get("session_id")
    match = _CLAUDE_CODE.match(user) if isinstance(user, str) else None
    return match["session"] if match else None


def _cursor(body: Mapping[str, Any]) -> object:
    return _metadata(body).get("cursorConversationId")


def _prompt_cache_key(agent: str) -> Callable[[Mapping[str, Any]], object]:
    """`prompt_cache_key` names a cache. Of these clients, each chat has its own."""
    return lambda body: body.get("prompt_cache_key") if _CODEX_OR_OPENCODE.match(agent) else None
