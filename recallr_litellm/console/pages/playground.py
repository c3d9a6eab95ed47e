"""What a question would bring into a prompt, with every header as a control, beside other settings. Stores nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Response

from recallr_litellm.console.controls import recall_controls
from recallr_litellm.console.pages.base import Page, PageOfProject, page_router
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.recall.by_strategy import Question
from recallr_litellm.request_headers import PREFIX, RawHeaders, RecallrHeaders, parse
from recallr_litellm.services.context import Context
from recallr_litellm.services.shown import Piece

router = page_router()

SIDES: Final = ("a", "b")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two columns."""

    name: str
    entered: Mapping[str, str]
    """Field of the headers → value."""
    fault: str = ""
    """What the API would say of them."""
    context: Context | None = None
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """Something that a side shows, or both do."""

    piece: Piece
    relevance: Sequence[float | None]
    """By each side."""
    shown: Sequence[bool]
    """Likewise."""


@router.get("/playground")
async def playground(page: PageOfProject, user: str = "", question: str = "") -> Response:
    """Ask as a user. The settings of a side have its name in front of theirs, as in `a_max_top_k`."""
    owner = await page.owner(user) if user and question else None
    sides = [await _side(page, name, owner, question) for name in SIDES]
    return page.show(
        "playground.html",
        user=user,
        question=question,
        sides=sides,
        controls=recall_controls(),
        defaults=_read(page, {}),
        compared=compared([side.context.shown if side.context else () for side in sides]),
    )


async def _side(page: Page, name: str, owner: Owner | None, question: str) -> Side:
    entered = {
        key.removeprefix(f"{name}_"): value.strip()
        for key, value in page.request.query_params.items()
        if key.startswith(f"{name}_") and value.strip()
    }
    try:
        headers = _read(page, entered)
    except InvalidHeaders as error:
        return Side(name, entered, error.message)
    if owner is None:
        return Side(name, entered)
    began = time.perf_counter()
    found = await page.services.context.context(owner, "", Question(question), headers.recall_options, kept=False)
    return Side(name, entered, context=found, milliseconds=1000 * (time.perf_counter() - began))


def _read(page: Page, entered: Mapping[str, str]) -> RecallrHeaders:
    """As a request's headers are read. Raises InvalidHeaders."""
    sent = tuple((PREFIX + field.replace("_", "-"), value) for field, value in entered.items())
    return parse(
        RawHeaders(sent),
        min_session_timeout_seconds=page.services.sessions.min_timeout_seconds,
        defaults=page.services.projects.defaults_of(page.of_project.id),
    )


def compared(shown: Sequence[Sequence[Piece]]) -> list[Compared]:
    """What each side shows, beside what the others do: first what not all show, in the order of the first that does.

    Args:
        shown: by side.
    """
    by_key = [{(one.kind, one.id, one.part): one for one in pieces} for pieces in shown]
    every = {key: piece for pieces in reversed(by_key) for key, piece in pieces.items()}
    found = []
    for key in dict.fromkeys(key for pieces in by_key for key in pieces):
        of_sides = [pieces.get(key) for pieces in by_key]
        relevance = [one.relevance if one else None for one in of_sides]
        found.append(Compared(every[key], relevance, [one is not None for one in of_sides]))
    return sorted(found, key=lambda one: all(one.shown))
