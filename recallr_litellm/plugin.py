"""Starts the plugin in a LiteLLM worker: builds the runtime and puts it on LiteLLM's application."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType, ModuleType
from typing import Any

from recallr_litellm.api.health import health_router
from recallr_litellm.api.rest import serve_api
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.gateway.asgi import App
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.explaining import count, record
from recallr_litellm.gateway.middleware import RecallrMiddleware
from recallr_litellm.gateway.request_log import RequestLog
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.litellm_host.deployments import model_behind, price_of
from recallr_litellm.litellm_host.json_answers import write_json
from recallr_litellm.litellm_host.models import complete, count_tokens, embed_through_gateway
from recallr_litellm.litellm_host.private_apis import BRIDGES, GATEWAY, MIDDLEWARE, SHUTDOWN, report
from recallr_litellm.litellm_host.spend import count_own_calls
from recallr_litellm.logs import shorten_failed_start, show_logs
from recallr_litellm.metrics import OF_ALL_WORKERS
from recallr_litellm.reconify.settings import misspelt_settings
from recallr_litellm.settings import load_settings
from recallr_litellm.tasks import end
from recallr_litellm.upstream_urls import Upstreams

_log = logging.getLogger(__name__)

_LEAST_TIME_TO_STORE = 0.25
"""Seconds that storing an exchange gets even when the deadline is used up."""


def start() -> Runtime | None:
    """Start the plugin in the LiteLLM worker that is importing `hooks.py`. None outside of such a worker.

    Raises:
        ConfigurationError: the worker must not start; the message says what to do.
    """
    proxy_server = sys.modules.get("litellm.proxy.proxy_server")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    if proxy_server is None:
        return None
    show_logs()
    if not OF_ALL_WORKERS and os.environ.get("NUM_WORKERS", "1") != "1":
        _log.warning("/recallr/metrics is that of one worker: set PROMETHEUS_MULTIPROC_DIR to a folder for all of them")
    for unknown in misspelt_settings():
        _log.warning("%s", unknown)
    try:
        runtime = Runtime(
            load_settings(),
            gateway_embed=embed_through_gateway,
            gateway_complete=complete,
            gateway_write_json=write_json,
            count_tokens=count_tokens,
            model_behind=model_behind,
            price_of=price_of,
        )
        runtime.start(lambda: install(proxy_server, runtime))
    except ConfigurationError as error:
        shorten_failed_start(f"recallr: {error}")
        raise
    _spare_garbage_collection()
    return runtime


def _spare_garbage_collection() -> None:
    """Have no garbage sought among what the process has by now, which stays to its end; nor among what its first
    requests make, such as FastAPI's routes.

    LiteLLM is some million objects: to go through them holds all requests up for 0.4 s, again and again.
    """
    gc.collect()
    gc.freeze()
    gc.callbacks.append(_spare_first_survivors)


def _spare_first_survivors(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.callbacks.remove(_spare_first_survivors)
        gc.freeze()


def install(proxy_server: ModuleType, runtime: Runtime) -> None:
    """Wrap the running proxy application. Called once a worker, while its startup is running.

    Args:
        proxy_server: the module `litellm.proxy.proxy_server`.

    Raises:
        ConfigurationError: this version of LiteLLM cannot be wrapped.
    """
    report((*GATEWAY, *BRIDGES) if runtime.reporter.reports else GATEWAY)
    if MIDDLEWARE.missing:
        raise ConfigurationError("the installed LiteLLM cannot be used with this plugin; install another version")
    settings = runtime.settings

    def seconds_left(call: Call) -> float:
        deadline = settings.deadline_seconds(call.admitted.strategy) if call.admitted else 0.0
        return max(_LEAST_TIME_TO_STORE, deadline - call.spent)

    app: Any = proxy_server.app
    forwards = bool(settings.forward_upstreams)
    middleware = RecallrMiddleware(
        _forward(app.middleware_stack, runtime) if forwards else app.middleware_stack,
        store=runtime.store,
        later=runtime.store_later,
        deadline=seconds_left,
        enter=runtime.recollection.door.enter,
        ended=(
            RequestLog(settings.log_users).write,
            partial(record, runtime.services.explain),
            partial(count, runtime.services.series),
        ),
        reporter=runtime.reporter,
        in_flight=runtime.in_flight,
    )
    app.middleware_stack = middleware
    if forwards:
        from recallr_litellm.forward.middleware import KeyOutOfUrl

        app.middleware_stack = KeyOutOfUrl(middleware)
    app.include_router(health_router(runtime.faults))
    serve_api(app, runtime.services)
    if settings.console:
        from recallr_litellm.console import serve_console

        serve_console(app, runtime.services, runtime.in_flight)
    if not SHUTDOWN.missing:
        _stop_with(proxy_server, runtime)
    count_own_calls()
    # last: what it starts on this loop could not be stopped from a start that fails
    app.middleware_stack = _with_mcp(app.middleware_stack, runtime)
    _on_termination(asyncio.get_running_loop(), middleware.store_beginnings)


def _forward(app: App, runtime: Runtime) -> App:
    from recallr_litellm.forward.middleware import Forward
    from recallr_litellm.forward.upstream import UpstreamClient

    client = UpstreamClient()
    runtime.close_at_stop(client.close)
    return Forward(
        app,
        upstreams=Upstreams(runtime.settings.forward_upstreams),
        authenticate=runtime.projects.authenticate,
        enrich=runtime.recollection.enrich,
        client=client,
        sent=runtime.reporter.sent,
    )


def _with_mcp(app: App, runtime: Runtime) -> App:
    try:
        from recallr_litellm.api.mcp.endpoint import McpEndpoint
        from recallr_litellm.api.mcp.server import mcp_server
    except ImportError as error:  # the version of the package that LiteLLM asks for depends on LiteLLM's own
        _log.warning("/recallr/mcp is off: it needs the package mcp, version 2 or later (%s)", error)
        return app
    minimum = runtime.settings.min_session_timeout_seconds
    endpoint = McpEndpoint(app, mcp_server(runtime.services, min_session_timeout_seconds=minimum), runtime.services)
    serving = asyncio.create_task(endpoint.run())
    runtime.close_at_stop(lambda: end([serving]))
    return endpoint


def _stop_with(proxy_server: ModuleType, runtime: Runtime) -> None:
    """Drain when the proxy shuts down: after its last request, before its process ends."""
    proxy_shutdown: Callable[..., Awaitable[None]] = proxy_server.proxy_shutdown_event

    async def shutdown(*args: Any, **kwargs: Any) -> None:
        try:
            await runtime.stop()
        finally:
            await proxy_shutdown(*args, **kwargs)

    proxy_server.proxy_shutdown_event = shutdown  # type: ignore[attr-defined]


def _on_termination(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Act at the first sign of the end, then let the server's own handler do its work.

    The server waits for running streams, but whoever sent the signal may not: what has been received of
    them by then is stored at once.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)

        def handle(
            received: int,
            frame: FrameType | None,
            previous: Callable[..., Any] | int | signal.Handlers | None = previous,
        ) -> None:
            loop.call_soon_threadsafe(act)
            if callable(previous):
                previous(received, frame)
            elif previous == signal.SIG_DFL:
                signal.signal(received, signal.SIG_DFL)
                signal.raise_signal(received)

        try:
            signal.signal(number, handle)
        except ValueError:  # not the main thread: nobody can be told
            _log.debug("Termination signals cannot be observed from this thread")
            return
