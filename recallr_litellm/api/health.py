"""`/recallr/health/live`, `/recallr/health/ready`, `/recallr/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from recallr_litellm import __version__
from recallr_litellm.metrics import exposition


def health_router(faults: Callable[[], dict[str, str]]) -> APIRouter:
    """Routes that need no key and tell nothing about any user.

    Args:
        faults: part of the plugin → what keeps it from working; empty when memory works.
    """
    router = APIRouter(prefix="/recallr", tags=["recallr"])

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """The process serves requests."""
        return {"status": "ok", "version": __version__}

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        """200 when memory works, 503 with the reasons when requests are served without it."""
        found = faults()
        return JSONResponse(
            {"status": "degraded" if found else "ok", "faults": found}, status_code=503 if found else 200
        )

    @router.get("/metrics")
    def metrics() -> Response:  # in a thread: those of many workers are read from their files
        """Prometheus metrics."""
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)

    return router
