"""Who asks, and for what: key, headers and user of a request, checked before anything else is done."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.placeholders import is_placeholder
from recallr_litellm.errors import InvalidHeaders, Unauthorized
from recallr_litellm.gateway.binding import Binding
from recallr_litellm.gateway.call import Call
from recallr_litellm.logs import Once
from recallr_litellm.memory.sessions import SessionRequest
from recallr_litellm.projects import Projects
from recallr_litellm.request_headers import HEADER_NAMES, RawHeaders, RecallrHeaders, Switch, check_user_id, parse

_log = logging.getLogger(__name__)

_PLACEHOLDERS = Once()
_OF_BODY = "the `user` of the body"
_FILL_IN = (
    "must be filled in: a placeholder such as {{user_id}} or undefined would give many users one memory. "
    "If it is the id of one user, put a prefix before it, such as person-"
)


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that may use memory."""

    headers: RecallrHeaders
    session: SessionRequest
    lenient: bool = False
    """The client sent no header of ours, so it knows of no error of ours: an unknown user is let through."""


def authorise(raw: RawHeaders, projects: Projects, binding: Binding | None) -> str | None:
    """The project whose memory a request may use; None: it is let through without memory.

    A Recallr key of the request's own makes its LiteLLM key's binding void.

    Raises:
        Unauthorized: bad or missing key or project.
        KeysUnavailable: see `Projects.authenticate`.
    """
    if binding is None or raw.first("api-key") is not None:
        if not raw.ask_for_memory:
            return None
        projects.authenticate(raw.first("project-id"), raw.first("api-key"))
        return raw.first("project-id")
    if not binding.enabled:
        return None
    if raw.first("project-id") not in (None, binding.project_id):
        raise Unauthorized("X-Recallr-API-Key is missing", param="X-Recallr-API-Key")
    return binding.project_id


def admit(
    call: Call,
    body_user: str | None,
    projects: Projects,
    binding: Binding | None,
    *,
    min_session_timeout_seconds: int,
    key: Any = None,
) -> Admission | None:
    """Check a request. None: it is let through without memory.

    The key comes first, so that without one nothing can be learned of the rules behind it.

    Args:
        body_user: the user in the body, as the request's format has it.
        binding: of the request's LiteLLM key.
        key: LiteLLM's `UserAPIKeyAuth`, named in the log where what its clients send for an id is none.

    Raises:
        Unauthorized: bad or missing key or project.
        KeysUnavailable: see `Projects.authenticate`.
        InvalidHeaders: whatever else is wrong, all at once.
    """
    raw = call.raw
    project = call.project_id = authorise(raw, projects, binding)
    bound = binding if raw.first("api-key") is None else None
    defaults = projects.defaults_of(project, bound.defaults if bound else None) if project is not None else {}
    if bound is not None and bound.user_from == "header":
        body_user = None
    sent, elsewhere = raw.first("user-id"), body_user or defaults.get("user_id")
    needed = project is not None and (raw.first("memory") or defaults.get("memory", "")).lower() != Switch.OFF
    user = elsewhere if sent is None else sent
    unfilled = needed and user is not None and is_placeholder(user)
    if unfilled and bound is not None:
        call.reason = "the user id is a placeholder"
        _report_placeholder(user or "", key)
        return None
    problems: dict[str, str] = {}
    headers: RecallrHeaders | None = None
    try:
        headers = parse(raw, min_session_timeout_seconds=min_session_timeout_seconds, defaults=defaults)
        call.headers = headers
        call.defaults = {"binding": bound.defaults if bound else (), "project": defaults}
    except InvalidHeaders as error:
        problems = error.problems
    problem = _problem_with_user(elsewhere) if sent is None else None
    # What a bound client's request says to its provider is no fault, as long as it does not speak to us.
    if problem and needed and (bound is None or (elsewhere and raw.ask_for_memory)):
        problems[HEADER_NAMES["user_id"]] = problem
    elif unfilled:
        problems.setdefault(HEADER_NAMES["user_id"], _FILL_IN if sent is not None else f"{_OF_BODY} {_FILL_IN}")
    if headers is None or problems:
        raise InvalidHeaders(problems)
    if project is None or headers.memory is Switch.OFF:
        return None
    if problem:
        call.reason = f"user id {problem}"
        return None
    owner = Owner(project, user or "")
    call.user_id = owner.user
    request = SessionRequest(
        owner=owner,
        at=call.received_at,
        timezone="" if headers.timezone.key == "UTC" else headers.timezone.key,
        allow_new_user=headers.allow_new_user_creation,
        session_id=headers.session_id,
        timeout_seconds=headers.session_timeout_seconds,
    )
    return Admission(headers, request, lenient=bound is not None and not raw.ask_for_memory)


def _problem_with_user(user: str | None) -> str | None:
    """What is wrong with an id that did not come in `X-Recallr-User-Id`."""
    if not user:
        return "is required, here or as `user` in the body (`metadata.user_id` for Anthropic)"
    try:
        check_user_id(user)
    except ValueError as error:
        return f"{_OF_BODY} {error}"
    return None


def _report_placeholder(user: str, key: Any) -> None:
    """Tell the log, once for each key and value, of a template that the client of a bound key did not fill in."""
    digest = hashlib.sha256(repr((getattr(key, "api_key", None), user)).encode("utf-8", "replace")).hexdigest()
    if _PLACEHOLDERS.first(digest):
        _log.warning(
            "The user id %.60r is a placeholder: requests with it pass without memory (key alias %r)",
            user,
            getattr(key, "key_alias", None),
        )
