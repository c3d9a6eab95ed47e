"""Types of the ASGI interface, and the paths of the plugin's own routes.

https://asgi.readthedocs.io/en/latest/specs/main.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import quote

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]

FORWARD_PREFIX: Final = "/api/v1/forward/"
_API_PREFIX: Final = "/api/v1/"


def path_of(scope: Event) -> str:
    """The path of a request, below that of the application."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def is_api_request(scope: Event) -> bool:
    """Whether it is for the REST API, whose requests name key and project in the same headers as chats."""
    return (
        scope["type"] == "http"
        and (path := path_of(scope)).startswith(_API_PREFIX)
        and not path.startswith(FORWARD_PREFIX)
    )


def with_path_undecoded(scope: Event) -> Event:
    """The request with its path as it was sent, so that an id may hold an encoded slash; the API decodes ids itself."""
    raw: bytes | None = scope.get("raw_path")
    return {**scope, "path": raw.decode("latin-1") if raw else quote(scope["path"])}
