"""The HTTP clients of forwarded requests: one upstream, one key, no redirects.

LiteLLM makes the call, with a client of its own kind that is handed to it. The provider's key is put in below that
client, on a copy of the request: LiteLLM, its loggers and its errors never have it. A request to anywhere else than the
upstream of the request being served is not sent. Transports: https://www.python-httpx.org/advanced/transports/
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from openai import AsyncOpenAI

from recallr_litellm.forward.request import ForwardedRequest
from recallr_litellm.gateway.call import CURRENT

FORWARDED_HEADERS = ("openai-organization", "openai-project", "openai-beta", "anthropic-version", "anthropic-beta")
"""Headers of the providers' APIs: the upstream gets the client's, never the gateway's."""

_CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "proxy-authorization", "cookie")
"""Headers that may hold a key of the gateway's, or LiteLLM's stand-in for the client's."""

_SDK_CALLS = frozenset({"acompletion", "completion", "atext_completion", "text_completion"})
"""LiteLLM's calls that go through the OpenAI SDK."""


class WrongUpstream(RuntimeError):
    """A request that is not the current forwarded one's was stopped. Raised for faults of ours or of LiteLLM's only."""


class ForwardClients:
    """The clients of one worker. Connections are shared; keys are not, they belong to the request being served.

    Args:
        stand_in: the key that LiteLLM believes to use.
    """

    def __init__(self, stand_in: str) -> None:
        self._stand_in = stand_in
        self._handler: PinnedHandler | None = None

    def client(self, forwarded: ForwardedRequest, call_type: str) -> Any:
        """What LiteLLM takes as `client` for a call of this type."""
        if self._handler is None:
            self._handler = PinnedHandler(follow_redirects=False)
        if call_type not in _SDK_CALLS:
            return self._handler
        return AsyncOpenAI(
            api_key=self._stand_in,
            base_url=forwarded.endpoint.base,
            http_client=self._handler.client,
            max_retries=0,
        )


class PinnedHandler(AsyncHTTPHandler):  # type: ignore[misc]
    """LiteLLM's own client, with its certificates, proxies and pool, whose requests go through `PinnedTransport`."""

    def create_client(self, *args: Any, **kwargs: Any) -> httpx.AsyncClient:
        """See LiteLLM's; called again when a connection has to be replaced."""
        client: httpx.AsyncClient = super().create_client(*args, **kwargs)
        client._transport = PinnedTransport(client._transport)
        client._mounts = {
            pattern: PinnedTransport(transport) if transport is not None else None
            for pattern, transport in client._mounts.items()
        }
        return client


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends what belongs to the forwarded request being served, with its key.

    Args:
        inner: sends it.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. A redirect is an answer without an answer, and becomes a fault of the upstream's.

        Raises:
            WrongUpstream: it was stopped.
        """
        call = CURRENT.get()
        if call is None or not isinstance(call.forwarded, ForwardedRequest):
            raise WrongUpstream("no forwarded request is being served")
        response = await self._inner.handle_async_request(_with_key(request, call.forwarded))
        if response.is_redirect:
            response.headers.pop("location", None)
            response.status_code = 502
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Body(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer, without the way to the connection: that one remembers the key it was asked with."""

    __slots__ = ("_inner",)

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _with_key(request: httpx.Request, forwarded: ForwardedRequest) -> httpx.Request:
    base, url = httpx.URL(forwarded.endpoint.base), request.url
    if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
        raise WrongUpstream("the request leads away from its upstream")
    if not (url.path + "/").startswith(base.path.rstrip("/") + "/"):
        raise WrongUpstream("the request leads away from its upstream's path")
    headers = request.headers.copy()
    for name in (*_CREDENTIALS, *FORWARDED_HEADERS):
        headers.pop(name, None)
    headers.update(forwarded.headers)
    headers[forwarded.key_header] = forwarded.key.get_secret_value()
    return httpx.Request(
        request.method,
        url.copy_remove_param("key") if "key" in url.params else url,
        headers=headers,
        stream=request.stream,
        extensions=request.extensions,
    )
