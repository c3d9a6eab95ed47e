"""Clients of the REST API of a running proxy: the official SDK, and plain HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from fastapi import FastAPI
from recallrai import AsyncRecallrAI, RecallrAI

from recallr_litellm.api.rest import serve_api
from tests.support.proxy import API_KEY, PROJECT, Proxy

logging.getLogger("httpx").setLevel(logging.WARNING)


def sdk(proxy: Proxy, *, api_key: str = API_KEY, project: str = PROJECT, timeout: int = 60) -> RecallrAI:
    """The official SDK, pointed at the proxy."""
    return RecallrAI(api_key, project, base_url=proxy.url, timeout=timeout)


def async_sdk(proxy: Proxy, *, api_key: str = API_KEY, project: str = PROJECT, timeout: int = 60) -> AsyncRecallrAI:
    """The same for an event loop."""
    return AsyncRecallrAI(api_key, project, base_url=proxy.url, timeout=timeout)


def call(
    proxy: Proxy, method: str, path: str, *, body: Any = None, content: bytes | None = None, **options: object
) -> httpx.Response:
    """The response to one request below `/api/v1`. Options are headers: `idempotency_key`, else see `Proxy.headers`."""
    key = options.pop("idempotency_key", None)
    headers = proxy.headers(None, **{"allow_new_user_creation": None, **options})
    if key is not None:
        headers["Idempotency-Key"] = str(key)
    url = f"{proxy.url}/api/v1{path}"
    return httpx.request(method, url, headers=headers, json=body, content=content, trust_env=False, timeout=60.0)


def endpoints() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path below `/api/v1`, and description of each endpoint that takes a project's key, by the API's own
    OpenAPI document."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if not path.startswith("/api/v1/admin/"):
                yield method.upper(), path.removeprefix("/api/v1"), operation


def document() -> dict[str, Any]:
    """The OpenAPI document of the API alone: LiteLLM's has hundreds of paths more."""
    app = FastAPI()
    serve_api(app, None)  # type: ignore[arg-type]  # no request is served
    return app.openapi()
