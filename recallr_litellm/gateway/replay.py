"""A request's body kept until it is answered, so that the application can be given the request once more."""

from __future__ import annotations

from collections.abc import Callable

from recallr_litellm.gateway.asgi import Event, Receive


class Replay:
    """ASGI `receive` that keeps what it has received until it is told to forget it.

    Args:
        receive: the server's.
        whole: called with the body once it has been received.
    """

    def __init__(self, receive: Receive, whole: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._whole = whole
        self._kept: list[Event] | None = []

    async def __call__(self) -> Event:
        """The next event."""
        event = await self._receive()
        if self._kept is not None:
            self._kept.append(event)
            if event["type"] == "http.request" and not event.get("more_body", False):
                self._whole(b"".join(one.get("body", b"") for one in self._kept))
        return event

    def forget(self) -> None:
        """Keep nothing any more."""
        self._kept = None

    def again(self) -> Receive:
        """A `receive` that begins with what has been received, and goes on as the server's does."""
        kept = list(self._kept or ())

        async def receive() -> Event:
            return kept.pop(0) if kept else await self._receive()

        return receive
