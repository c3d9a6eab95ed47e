"""A request explained: the chat and where memory stood in it, what was found and shown, and what took how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import Response

from recallr_litellm.console.pages.base import Page, PageOfProject, page_router
from recallr_litellm.core.bounds import SESSION_MESSAGES
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.errors import SessionNotFound
from recallr_litellm.services.explanation import Candidate

router = page_router()

_FUNNEL: Final = (
    "left_out",
    "beyond_top_k",
    "below_threshold",
    "same_words",
    "told_by_memory",
    "no_room",
    "shown_before",
)
"""What may become of a candidate that the new block does not show, in the order in which it is decided."""
_LAST: Final = 12
"""Messages of the chat that are shown, more where a block stands before them."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the chat."""

    stored: StoredMessage
    block: Mapping[str, Any] | None
    """That stood at it."""


@dataclass(frozen=True, slots=True)
class Chat:
    """What is kept of the chat of a request, as it was then."""

    earlier: int
    """Messages before those that are shown."""
    said: Sequence[Said]


@router.get("/request")
async def request(page: PageOfProject, id: str) -> Response:
    """One of the last requests."""
    explained = await page.services.explain.get(page.of_project, id)
    candidates: Sequence[Candidate] = explained["candidates"]
    chat = await _chat(page, explained)
    placed = [said.block for said in chat.said] if chat else []
    whole = max((part["start_ms"] + part["ms"] for part in explained["parts"]), default=1.0) or 1.0
    return page.show(
        "request.html",
        explained=explained,
        request=explained["request"],
        chat=chat,
        other_blocks=[block for block in explained["blocks"] if block not in placed],
        candidates=candidates,
        found=len(candidates) + explained["left_out"],
        funnel=funnel(candidates, explained["left_out"]),
        without_room=[one for one in candidates if one.outcome == "no_room"],
        whole_ms=whole,
    )


def funnel(candidates: Sequence[Candidate], unlisted: int) -> list[tuple[str, int, int]]:
    """What became of those that are not shown: outcome, how many, and how many are left.

    Args:
        unlisted: candidates of which nothing is kept.
    """
    outcomes = Counter[str](one.outcome for one in candidates)
    left, found = len(candidates) + unlisted, []
    for outcome, number in (("unlisted", unlisted), *((outcome, outcomes[outcome]) for outcome in _FUNNEL)):
        left -= number
        if number:
            found.append((outcome, number, left))
    return found


async def _chat(page: Page, explained: Mapping[str, Any]) -> Chat | None:
    """None where it is not, or no longer, kept."""
    request = explained["request"]
    user, session = request["user_id"], request["session_id"]
    owner = await page.services.users.find(page.of_project, user) if user and session else None
    if owner is None:
        return None
    try:
        messages, _ = await page.services.sessions.messages(owner, session, offset=0, limit=SESSION_MESSAGES)
    except SessionNotFound:
        return None
    until = datetime.fromisoformat(request["at"]).timestamp() * 1000
    messages = [one for one in messages if one.at <= until + 0.5]  # of what was said later, the model knew nothing
    if not messages:
        return None
    at = {one.exchange: one.id for one in messages if one.message.role == "user"}
    blocks = {at.get(block.get("exchange", "")): block for block in explained["blocks"]}
    said = [Said(one, blocks.get(one.id)) for one in messages]
    first = min([n for n, one in enumerate(said) if one.block] + [max(0, len(said) - _LAST)])
    return Chat(first, said[first:])
