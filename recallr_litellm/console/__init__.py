"""The console: what is remembered, why it was shown, and setting it right, in a browser.

Pages are rendered here, from `templates/` and `texts.yaml`; each is one module of `pages/`. They call the services that
the REST API calls. Scripts and styles are files of ours and of installed packages: nothing comes from elsewhere.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse

from recallr_litellm.console.access import Doorkeeper
from recallr_litellm.console.pages import ROUTERS
from recallr_litellm.console.paths import PREFIX
from recallr_litellm.console.static_files import router as static_files
from recallr_litellm.services import Services
from recallr_litellm.tasks import InFlight

__all__ = ["serve_console"]


def serve_console(app: FastAPI, services: Services, in_flight: InFlight) -> None:
    """Put the console on an application.

    Args:
        in_flight: the requests that pages give way to.
    """
    app.state.recallr_services = services
    app.state.recallr_in_flight = in_flight
    app.state.recallr_doorkeeper = Doorkeeper(services)
    pages = APIRouter(prefix=PREFIX, include_in_schema=False)
    for router in (*ROUTERS, static_files):
        pages.include_router(router)
    pages.add_api_route("", lambda: RedirectResponse(f"{PREFIX}/"))
    app.include_router(pages)
