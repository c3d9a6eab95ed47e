"""The stand-in provider's ASGI application. Tests use it through the handles in `provider.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.script import Answer, Recorded, Script
from tests.support.wires import WIRES, Event, Wire
from tests.support.wires.anthropic import count_tokens
from tests.support.wires.embeddings import embeddings

ANSWERS = TypeAdapter(list[Answer])
RECORDED = TypeAdapter(list[Recorded])


class Dropped(Exception):
    """Makes uvicorn close the connection without ending the response."""


class StandIn:
    """State and routes of one provider. All of it runs on one event loop, so nothing is locked."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script or Script()
        self._recorded: list[Recorded] = []
        self._answered = 0
        self._held = Held()
        self.app = Starlette(
            routes=[
                *(Route(path, self._speak(wire), methods=["POST"]) for wire in WIRES for path in wire.paths),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._without_script(count_tokens), methods=["POST"]),
                Route("/_script", self._control_script, methods=["POST", "DELETE"]),
                Route("/_recorded", self._control_recorded, methods=["GET", "DELETE"]),
                Route("/_held", self._control_held, methods=["GET", "DELETE"]),
            ]
        )

    def _speak(self, wire: Wire) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def answer_in_its_shape(request: Request) -> ASGIApp:
            return await self._answer(wire, request)

        return answer_in_its_shape

    async def _answer(self, wire: Wire, request: Request) -> ASGIApp:
        body, path = await self._record(request), request.url.path
        answer = self._script.take(wire.user_text(body), wire.model(path, body))
        self._answered += 1
        if answer.hang and not await self._held.go_on(request.receive):
            return Response()
        if answer.raw is not None:
            return Response(answer.raw, answer.status, answer.headers, media_type="application/json")
        if answer.is_error:
            return JSONResponse(wire.error(answer), answer.status, answer.headers)
        if wire.streamed(path, body):
            return EventStream(answer, wire.events(answer, body, self._answered), self._held)
        return JSONResponse(wire.whole(answer, body, self._answered), headers=answer.headers)

    def _without_script(self, answer: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answer_body(request: Request) -> Response:
            return JSONResponse(answer(await self._record(request)))

        return answer_body

    async def _embeddings(self, request: Request) -> Response:
        body = await self._record(request)
        rule = self._script.rule_for(" ".join(map(str, body["input"])), body["model"])
        if rule is not None and rule.hang and not await self._held.go_on(request.receive):
            return Response()
        if rule is not None and rule.is_error:
            return JSONResponse({"error": {"message": rule.message}}, rule.status)
        return JSONResponse(embeddings(body))

    async def _record(self, request: Request) -> dict[str, Any]:
        raw = await request.body()
        self._recorded.append(Recorded(request.method, request.url.path, dict(request.headers), raw))
        body: dict[str, Any] = json.loads(raw)
        return body

    async def _control_script(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._script = Script()
        else:
            self._script.add(ANSWERS.validate_json(await request.body()))
        return Response(status_code=204)

    async def _control_recorded(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._recorded.clear()
            return Response(status_code=204)
        return Response(RECORDED.dump_json(self._recorded), media_type="application/json")

    async def _control_held(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._held.end(drop=request.query_params["drop"] == "true")
        return JSONResponse(len(self._held))


class Held:
    """Requests that hang, each until its client has gone or the test ends the wait of all."""

    def __init__(self) -> None:
        self._verdicts: set[asyncio.Future[bool]] = set()

    def __len__(self) -> int:
        return len(self._verdicts)

    def end(self, *, drop: bool) -> None:
        """Let all go on, or drop their connections."""
        while self._verdicts:
            self._verdicts.pop().set_result(drop)

    async def go_on(self, receive: Receive) -> bool:
        """Hang. True if the test said to go on, False if the client has gone.

        Raises:
            Dropped: the test said to drop the connection.
        """
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._verdicts.add(verdict)
        gone = asyncio.create_task(_until_gone(receive))
        either: set[asyncio.Future[Any]] = {verdict, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            self._verdicts.discard(verdict)
        if verdict.done() and verdict.result():
            raise Dropped
        return verdict.done()


class EventStream:
    """A streamed answer, as server-sent events; breaks off or hangs where the answer says so."""

    def __init__(self, answer: Answer, events: Iterator[Event], held: Held) -> None:
        self._answer = answer
        self._events = events
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer
        await _start(send, 200, {"content-type": "text/event-stream; charset=utf-8", **answer.headers})
        sent, hang_after = 0, answer.hang_after
        for event in self._events:
            if (event.content or sent) and hang_after == sent:
                hang_after = None  # once
                if not await self._held.go_on(receive):
                    return
            sent += event.content
            await send({"type": "http.response.body", "body": event.data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
