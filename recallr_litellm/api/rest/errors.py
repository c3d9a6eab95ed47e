"""Errors of the REST API: `{"detail": …}` with the status of `errors.py`, whatever route they come from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from recallr_litellm.errors import BodyTooLarge, RequestError, Unavailable
from recallr_litellm.header_values import describe
from recallr_litellm.metrics import FAULTS

_log = logging.getLogger(__name__)


class ErrorDetail(BaseModel):
    """An error."""

    detail: str | dict[str, Any] = Field(description="What is wrong, and what would be right.")


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorDetail, "description": description}
    for status, description in {
        401: "The key or the project is missing or wrong.",
        413: "The body is too large.",
        422: "A value is missing or not valid; the detail names each.",
        429: "The project's limit is reached. `Retry-After` says when to try again.",
        500: "The gateway is at fault; its log says more.",
        503: "A store cannot be reached; try again later.",
    }.items()
}
"""What any route may answer. A route adds its own, such as 404, by `documented`."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these statuses too."""
    descriptions = {
        400: "Not possible in the state it is in.",
        404: "Not found.",
        409: "It exists already, or has changed meanwhile.",
    }
    return {status: {"model": ErrorDetail, "description": descriptions[status]} for status in statuses}


class ErrorRoute(APIRoute):
    """Answers whatever a route raises."""

    async def admit(self, request: Request) -> int | None:
        """Check who asks, before anything else of the request is looked at.

        Returns:
            Most bytes of its body, which is read before the route is called. None: the route reads it, however long.

        Raises:
            Unauthorized: this one may not.
        """
        return 0

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                most_bytes = await self.admit(request)
                if most_bytes is not None:
                    request = Request(request.scope, bounded(request, most_bytes))
                    await request.body()
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - LiteLLM's handlers would answer in another shape
                return answer(error)

        return handle


def bounded(request: Request, most_bytes: int) -> Receive:
    """Receives no more of a body than this. Raises BodyTooLarge past that."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most_bytes:
            raise BodyTooLarge(f"the body must not have more than {most_bytes} bytes")
        return message

    return receive


def answer(error: Exception) -> JSONResponse:
    """The response to a request that failed."""
    status, detail = detail_of(error)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return JSONResponse(
        {"detail": detail}, status, headers=dict(error.headers) if isinstance(error, RequestError) else headers
    )


def detail_of(error: Exception) -> tuple[int, str | dict[str, Any]]:
    """Status and `detail` of the answer to a request that failed. What nobody foresaw is logged."""
    match error:
        case RequestError():
            return error.status, error.detail
        case RequestValidationError():
            return 422, _problems(error)
        case HTTPException(status_code=400):  # a body that is not even text
            return 422, str(error.detail)
        case Unavailable():
            _log.warning("A request of the REST API was not served: %s", error)
            return 503, f"memory is unavailable ({error.reason}); try again later"
    FAULTS.labels("api").inc()
    _log.error("A request of the REST API failed", exc_info=error)
    return 500, "internal error; the log of the gateway says more"


def _problems(error: RequestValidationError) -> str:
    """Every fault, as `limit: must be less than or equal to 100`."""
    return "; ".join(f"{_place(problem['loc'])}: {describe(problem['msg'])}" for problem in error.errors())


def _place(location: tuple[str | int, ...]) -> str:
    """Where a fault is, without saying whether in the path, the query or the body; that is plain from its name."""
    return ".".join(map(str, location[1:])) or str(location[0])
