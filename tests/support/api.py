"""Clients of the REST API of a running proxy: the official SDK, and plain HTTP."""

from __future__ import annotations

import logging
from typing import Any

import httpx
from recallrai import AsyncRecallrAI, RecallrAI

from tests.support.proxy import API_KEY, PROJECT, Proxy

logging.getLogger("httpx").setLevel(logging.WARNING)


def sdk(proxy: Proxy, *, api_key: str = API_KEY, project: str = PROJECT, timeout: int = 60) -> RecallrAI:
    """The official SDK, pointed at the proxy."""
    return RecallrAI(api_key, project, base_url=proxy.url, timeout=timeout)


def async_sdk(proxy: Proxy, *, api_key: str = API_KEY, project: str = PROJECT, timeout: int = 60) -> AsyncRecallrAI:
    """The same for an event loop."""
    return AsyncRecallrAI(api_key, project, base_url=proxy.url, timeout=timeout)


def call(proxy: Proxy, method: str, path: str, *, body: Any = None, **options: object) -> httpx.Response:
    """The response to one request below `/api/v1`. Options are headers: `idempotency_key`, else see `Proxy.headers`."""
    key = options.pop("idempotency_key", None)
    headers = proxy.headers(None, **{"allow_new_user_creation": None, **options})
    if key is not None:
        headers["Idempotency-Key"] = str(key)
    url = f"{proxy.url}/api/v1{path}"
    return httpx.request(method, url, headers=headers, json=body, trust_env=False, timeout=60.0)
