"""What all pages share: who looks, at which project, and what is answered where something is wrong.

router = page_router()

@router.get("/things")
async def things(page: PageOfProject) -> Response:
    return page.show("things.html", things=await page.services.things.list(page.project))

@router.post("/things/delete")
async def delete(change: Change) -> Response:
    await change.note("delete thing", thing=change.field("thing"))
    ...
    return change.done("things", "deleted")
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from recallr_litellm.api.rest.errors import bounded, detail_of
from recallr_litellm.console.access import Doorkeeper, Forged, NotLetIn, Visit, check_form, check_same_site, project_for
from recallr_litellm.console.headers import PAGE_HEADERS
from recallr_litellm.console.paths import PREFIX, address
from recallr_litellm.console.rendering import rendered, texts
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.errors import RequestError, Unavailable, UserNotFound
from recallr_litellm.services import Services
from recallr_litellm.tasks import InFlight

PAGE: Final = 50
"""Rows of a page."""
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
"""How many rows come before those of a page."""
_TIMEZONE_COOKIE: Final = "recallr_console_timezone"
"""Set by `console.js`."""
_MOST_BYTES: Final = 200_000
"""Of a form."""
_SEE_OTHER: Final = 303
_GIVES_WAY_SECONDS: Final = 0.02
_GIVES_WAY_IN_ALL_SECONDS: Final = 0.2
"""Longest time for which a page waits because there are requests to serve: each of its pieces, and the page."""


class PageRoute(APIRoute):
    """Answers whatever a page raises by a page that says what to do."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request = Request(request.scope, bounded(request, _MOST_BYTES))
            try:
                with in_flight(request).first(within=_GIVES_WAY_SECONDS, in_all=_GIVES_WAY_IN_ALL_SECONDS):
                    response = await handler(request)
            except NotLetIn:
                response = _to_login(request)
            except Forged:
                response = _fault_page(request, 403, texts()["faults"]["forged"])
            except Exception as error:  # noqa: BLE001 - LiteLLM's handlers would answer in JSON
                if isinstance(error, RequestError):
                    await _note_refusal(request)
                status, detail = detail_of(error)
                response = _fault_page(request, status, str(detail))
            response.headers.update(PAGE_HEADERS)
            if (visit := getattr(request.state, "recallr_visit", None)) is not None:
                await doorkeeper(request).renew(request, response, visit)
            return response

        return handle


class Rows(NamedTuple):
    """A page of a list."""

    rows: Sequence[Any]
    total: int
    """How many there are in all."""
    offset: int
    name: str = "offset"
    """Of the offset, in the page's address, and of the part of the page that it is in."""
    size: int = PAGE


def page_router() -> APIRouter:
    """A router of pages."""
    return APIRouter(route_class=PageRoute, default_response_class=HTMLResponse)


def _fault_page(request: Request, status: int, detail: str) -> HTMLResponse:
    """What is shown where something is wrong; to a visitor with the way on to other pages."""
    values = {"detail": detail, "hint": texts()["faults"]["hints"].get(status, "")}
    visit: Visit | None = getattr(request.state, "recallr_visit", None)
    if visit is None:
        return HTMLResponse(rendered("fault.html", values), status)
    wanted = request.query_params.get("project")
    name = wanted if wanted and visit.may_see(wanted) else visit.project
    page = Page(request, visit, request.app.state.recallr_services, Project(name) if name else None)
    response = page.show("fault.html", **values)
    response.status_code = status
    return response


async def _note_refusal(request: Request) -> None:
    """Have the audit list say that the change that is in it was not made."""
    noted = getattr(request.state, "recallr_noted", None)
    if noted is not None:
        with suppress(Unavailable):  # the list says then that it was tried
            await request.app.state.recallr_services.audit.refused(*noted)


def _to_login(request: Request) -> Response:
    wanted = request.url.path.removeprefix(f"{PREFIX}/") if request.method == "GET" else ""
    query = f"?{request.url.query}" if request.url.query and wanted else ""
    return RedirectResponse(address("login", {"next": f"{wanted}{query}"}), _SEE_OTHER)


@dataclass(slots=True)
class Page:
    """A page that somebody looks at who was let in."""

    request: Request
    visit: Visit
    services: Services
    project: Project | None
    """Whose page it is; None for a page of all projects."""

    def show(self, template: str, **values: Any) -> HTMLResponse:
        """Render it."""
        name = self.project.id if self.project else None

        def link(page: str, **query: object | None) -> str:
            return address(page, {"project": name, **query})

        def here(**query: object | None) -> str:
            page = self.request.url.path.removeprefix(f"{PREFIX}/")
            return address(page, {**self.request.query_params, "done": None, **query})

        done = texts()["done"].get(self.request.query_params.get("done", ""))
        shared = {"visit": self.visit, "project": name, "link": link, "here": here, "done": done}
        return HTMLResponse(rendered(template, {**shared, **values}))

    @property
    def timezone(self) -> tzinfo:
        """The viewer's, as the page's script has noted it; UTC before."""
        try:
            return ZoneInfo(self.request.cookies.get(_TIMEZONE_COOKIE, "UTC"))
        except (ValueError, OSError, ZoneInfoNotFoundError):
            return UTC

    async def owner(self, user: str) -> Owner:
        """A user of the project. Raises UserNotFound."""
        owner = await self.services.users.find(self.of_project, user) if user else None
        if owner is None:
            raise UserNotFound(f"User {user} not found")
        return owner

    @property
    def of_project(self) -> Project:
        """The project."""
        if self.project is None:
            raise NotLetIn
        return self.project


@dataclass(slots=True)
class FormPage(Page):
    """A form that was sent from a page."""

    fields: Mapping[str, str]

    def field(self, name: str) -> str:
        """What was entered, without spaces around it; "" where nothing was."""
        return self.value(name).strip()

    def value(self, name: str) -> str:
        """What was sent, as it is: ids may begin and end with spaces."""
        return self.fields.get(name, "")

    async def note(self, action: str, /, **target: str) -> None:
        """Write the change into the audit list, before it is made. Where it is refused, the list says so."""
        entry = await self.services.audit.note(self.of_project, self.visit.key_name, action, **target)
        self.request.state.recallr_noted = (self.of_project, entry)

    def done(self, page: str, what: str, **query: str) -> Response:
        """Go on to a page that says what was done.

        Args:
            what: key of a text in `done`.
        """
        where = {"project": self.project.id if self.project else None, **query, "done": what}
        return RedirectResponse(address(page, where), _SEE_OTHER)


def doorkeeper(request: Request) -> Doorkeeper:
    """Who lets visitors in."""
    found: Doorkeeper = request.app.state.recallr_doorkeeper
    return found


def in_flight(request: Request) -> InFlight:
    """The requests that pages give way to."""
    found: InFlight = request.app.state.recallr_in_flight
    return found


async def _visit(request: Request) -> Visit:
    visit = await doorkeeper(request).visit(request)
    request.state.recallr_visit = visit
    return visit


async def _page(request: Request, visit: Annotated[Visit, Depends(_visit)]) -> Page:
    project = request.query_params.get("project") or visit.project
    return Page(request, visit, request.app.state.recallr_services, Project(project) if project else None)


async def _page_of_project(page: Annotated[Page, Depends(_page)]) -> Page:
    page.project = project_for(page.visit, page.project.id if page.project else None)
    return page


async def _form(request: Request, visit: Annotated[Visit, Depends(_visit)]) -> FormPage:
    check_same_site(request)
    fields = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    check_form(visit, fields.get("token"))
    project = project_for(visit, fields.get("project"))
    return FormPage(request, visit, request.app.state.recallr_services, project, fields)


PageOfAll = Annotated[Page, Depends(_page)]
"""A page that needs no project."""
PageOfProject = Annotated[Page, Depends(_page_of_project)]
"""A page of a project that the visitor may see."""
Change = Annotated[FormPage, Depends(_form)]
"""A form of a project that the visitor may see, sent from a page of this visit."""


def next_page(wanted: str, project: str | None) -> str:
    """Where a visitor goes on who was let in: only ever to a page of the console."""
    if not wanted or "//" in wanted or "\\" in wanted or ":" in wanted.partition("?")[0]:
        return address("overview" if project else "projects")
    return f"{PREFIX}/{wanted.lstrip('/')}"
