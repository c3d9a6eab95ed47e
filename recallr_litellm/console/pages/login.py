"""Coming in and going out."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Annotated

from fastapi import Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from recallr_litellm.console.access import Doorkeeper, NotLetIn, check_form, check_same_site
from recallr_litellm.console.pages.base import doorkeeper, next_page, page_router
from recallr_litellm.console.paths import PREFIX, address
from recallr_litellm.console.rendering import rendered, texts
from recallr_litellm.errors import TooManyRequests, Unauthorized
from recallr_litellm.services import Services

router = page_router()


@router.get("/")
async def front(request: Request) -> Response:
    """Go on to the first page that the visitor may see."""
    visit = await doorkeeper(request).visit(request)
    return RedirectResponse(next_page("", visit.project), 303)


@router.get("/login")
async def login_page(next: str = "") -> HTMLResponse:
    """Ask for a key."""
    return _page(next)


@router.post("/login")
async def login(
    request: Request,
    key: Annotated[str, Form()] = "",
    project: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "",
) -> Response:
    """Let in whoever has the key."""
    check_same_site(request)
    response = Response(status_code=303)
    services: Services = request.app.state.recallr_services
    try:
        async with services.limits.trying_a_key(_network(request)):
            shown = await doorkeeper(request).let_in(
                response, project=project.strip(), key=key.strip(), secure=request.url.scheme == "https"
            )
    except Unauthorized:
        return _page(next, project, texts()["login"]["refused"], 401)
    except TooManyRequests as error:
        page = _page(next, project, texts()["login"]["too_many"] % error.retry_after, error.status)
        page.headers.update(error.headers)
        return page
    response.headers["Location"] = next_page(next, shown)
    return response


@router.post("/logout")
async def logout(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """End the visit."""
    check_same_site(request)
    with suppress(NotLetIn):
        check_form(await doorkeeper(request).visit(request), token)
    response = RedirectResponse(address("login"), 303)
    Doorkeeper.end(response)
    return response


def _network(request: Request) -> str:
    """Where somebody comes from: the address, of IPv6 the part that one customer of a provider has."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else host


def _page(next: str, project: str = "", fault: str = "", status: int = 200) -> HTMLResponse:
    values = {"next": next, "entered": project, "fault": fault, "action": f"{PREFIX}/login"}
    return HTMLResponse(rendered("login.html", values), status)
