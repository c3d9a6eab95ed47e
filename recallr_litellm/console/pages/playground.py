"""What a question would bring into a prompt, with every header as a control, beside other settings. Stores nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import available_timezones

from fastapi import Response
from pydantic import ValidationError

from recallr_litellm.api.rest.context import ContextQuery
from recallr_litellm.console.pages.base import Page, PageOfProject, page_router
from recallr_litellm.core.options import Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import InvalidValue
from recallr_litellm.header_values import describe
from recallr_litellm.recall.by_strategy import Question
from recallr_litellm.services.context import Context

router = page_router()

SIDES: Final = ("a", "b")
_NUMBERS: Final = {
    "min_top_k": (0, 200, 1),
    "max_top_k": (0, 200, 1),
    "memories_threshold": (0, 1, 0.05),
    "summaries_threshold": (0, 1, 0.05),
    "last_n_messages": (1, 100, 1),
    "last_n_summaries": (1, 20, 1),
}
"""Setting → smallest and largest value, and step."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two columns."""

    name: str
    entered: Mapping[str, str]
    fault: str = ""
    context: Context | None = None


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
        strategies=list(Strategy),
        numbers=_NUMBERS,
        timezones=sorted(available_timezones()),
    )


async def _side(page: Page, name: str, owner: Owner | None, question: str) -> Side:
    entered = {
        key.removeprefix(f"{name}_"): value
        for key, value in page.request.query_params.items()
        if key.startswith(f"{name}_") and value
    }
    if owner is None:
        return Side(name, entered)
    try:
        asked = ContextQuery.model_validate(entered)
        options = asked.options(page.services.projects.defaults_of(page.of_project.id))
    except ValidationError as error:
        problems = (f"{problem['loc'][0]}: {describe(problem['msg'])}" for problem in error.errors())
        return Side(name, entered, "; ".join(problems))
    except InvalidValue as error:
        return Side(name, entered, error.message)
    found = await page.services.context.context(owner, "", Question(question), options, kept=False)
    return Side(name, entered, context=found)
