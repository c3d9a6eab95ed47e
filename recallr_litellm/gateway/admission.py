"""Who asks, and for what: key, headers and user of a request, checked before anything else is done."""

from __future__ import annotations

from dataclasses import dataclass

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.headers import HEADER_NAMES, RecallrHeaders, check_user_id, parse
from recallr_litellm.memory.sessions import SessionRequest
from recallr_litellm.projects import Projects


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may use memory."""

    headers: RecallrHeaders
    session: SessionRequest


def admit(call: Call, body_user: str | None, projects: Projects, *, min_session_timeout_seconds: int) -> Admitted:
    """Check a request.

    The key comes first, so that without one nothing can be learned of the rules behind it.

    Raises:
        Unauthorized: bad or missing key or project.
        InvalidHeaders: whatever else is wrong, all at once.
    """
    projects.authenticate(call.raw.first("project-id"), call.raw.first("api-key"))
    problems: dict[str, str] = {}
    headers: RecallrHeaders | None = None
    try:
        headers = parse(call.raw, min_session_timeout_seconds=min_session_timeout_seconds)
    except InvalidHeaders as error:
        problems = error.problems
    user = call.raw.first("user-id")
    if user is None and (problem := _problem_with_body_user(body_user)):
        problems[HEADER_NAMES["user_id"]] = problem
    if headers is None or problems:
        raise InvalidHeaders(problems)
    # authenticate() and the checks above leave no None here; Owner itself refuses empty ids
    owner = Owner(headers.project_id or "", headers.user_id or body_user or "")
    call.user_id = owner.user
    request = SessionRequest(
        owner=owner,
        at=call.received_at,
        allow_new_user=headers.allow_new_user_creation,
        session_id=headers.session_id,
        timeout_seconds=headers.session_timeout_seconds,
    )
    return Admitted(headers, request)


def _problem_with_body_user(user: str | None) -> str | None:
    if not user:
        return "is required, here or as `user` in the body"
    try:
        check_user_id(user)
    except ValueError as error:
        return f"the `user` of the body {error}"
    return None
