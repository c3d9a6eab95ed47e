"""The REST API under `/api/v1`: thin routes over `services`, one module a resource."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from recallr_litellm.api.rest import (
    admin,
    conflicts,
    context,
    graph,
    learning,
    memories,
    operations,
    requests,
    sessions,
    transfer,
    users,
)
from recallr_litellm.services import Services

__all__ = ["serve_api"]


def serve_api(app: FastAPI, services: Services) -> None:
    """Put the API on an application."""
    app.state.recallr_services = services
    api = APIRouter(prefix="/api/v1")
    for router in ROUTERS:
        api.include_router(router)
    app.include_router(api)


ROUTERS: tuple[APIRouter, ...] = (
    users.router,
    sessions.router,
    transfer.router,
    context.router,
    memories.router,
    conflicts.router,
    graph.router,
    learning.router,
    requests.router,
    operations.router,
    admin.router,
)
"""Of all resources."""
