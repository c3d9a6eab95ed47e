"""Sends a forwarded request to its upstream and streams the answer to the client as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from recallr_litellm.errors import ForwardRefused
from recallr_litellm.gateway.asgi import Receive, Send

_log = logging.getLogger(__name__)

REQUEST_HEADERS = (
    "accept",
    "user-agent",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
)
"""Headers that are passed on beside the client's key. Any other may hold a secret of the gateway or of its network."""

_NOT_RETURNED = frozenset(
    """
    connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding upgrade
    alt-svc date location server set-cookie strict-transport-security
    """.split()
)
"""Headers of an answer that concern the connection to the upstream, or would be taken for the gateway's."""
_NOT_RETURNED_PREFIXES = ("x-recallr-", "access-control-")

_TIMEOUT = httpx.Timeout(600.0, connect=10.0, pool=None)
"""Seconds. Ten minutes without a byte is also what the SDKs of the providers allow."""

Headers = Sequence[tuple[bytes, bytes]]


class UpstreamClient:
    """The HTTP client of one worker: connections are shared, keys belong to single requests.

    `SSL_CERT_FILE` and `HTTPS_PROXY` in the environment have their usual effect.

    Args:
        transport: in place of the network.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def relay(self, url: str, headers: Headers, body: bytes, receive: Receive, send: Send) -> None:
        """Post the body and send the answer on, until it ends or the client goes away.

        Args:
            receive: gives what comes from the client after the body.

        Raises:
            ForwardRefused: the upstream cannot be reached, redirects, or broke off.
        """
        await _unless_disconnected(receive, self._relay(url, headers, body, send))

    async def _relay(self, url: str, headers: Headers, body: bytes, send: Send) -> None:
        # An uncompressed answer: it is read on its way, and the client may accept no compression.
        sent = [*headers, (b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
        try:
            response = await self._client.send(
                self._client.build_request("POST", url, content=body, headers=sent), stream=True
            )
        except httpx.TransportError as error:
            raise _failed(error) from None
        async with aclosing(response):
            if response.is_redirect:
                raise ForwardRefused("upstream_failed", "the upstream redirects, which is not followed")
            start = {"status": response.status_code, "headers": list(_returned(response.headers))}
            await send({"type": "http.response.start", **start})
            try:
                async for chunk in response.aiter_raw():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except httpx.TransportError as error:
                raise _failed(error) from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _failed(error: httpx.TransportError) -> ForwardRefused:
    _log.warning("A forwarded request failed: %s", type(error).__name__)  # its text may hold the URL
    if isinstance(error, httpx.TimeoutException):
        return ForwardRefused("upstream_failed", "the upstream did not answer in time", status=504)
    return ForwardRefused("upstream_failed", "the upstream cannot be reached or broke off")


def _returned(headers: httpx.Headers) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers.raw:
        lower = name.lower().decode("latin-1")
        if lower not in _NOT_RETURNED and not lower.startswith(_NOT_RETURNED_PREFIXES):
            yield name.lower(), value


async def _unless_disconnected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; cancel it when the client disconnects."""

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.create_task(work), asyncio.create_task(disconnected())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
