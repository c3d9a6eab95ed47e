"""The callback that a gateway names in its config: `callbacks: recallr_litellm.hooks.recallr`.

LiteLLM imports this module inside the startup of each worker, on the worker's event loop. Imported
anywhere else it does nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from litellm.integrations.custom_logger import CustomLogger

from recallr_litellm.errors import RequestError
from recallr_litellm.gateway.call import CURRENT
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.litellm_host.events import call_id
from recallr_litellm.litellm_host.refusals import refuses_content
from recallr_litellm.litellm_host.rejections import rejection
from recallr_litellm.litellm_host.spend import CALLER
from recallr_litellm.plugin import start


class RecallrHooks(CustomLogger):  # type: ignore[misc]
    """LiteLLM's way to the plugin.

    LiteLLM finds hooks through the class's own `__dict__`: they must be defined here, not inherited.
    """

    def __init__(self, runtime: Runtime | None) -> None:
        super().__init__()
        self._runtime = runtime

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Literal["completion"] | str
    ) -> dict[str, Any] | None:
        """Recall and inject. Requests without `X-Recallr-*` headers whose key is bound to no project are left alone.

        Raises:
            ProxyException: the request is refused for its Recallr headers.
        """
        call = CURRENT.get()
        if call is None or self._runtime is None:
            return None
        CALLER.set(user_api_key_dict)
        try:
            await self._runtime.recollection.enrich(call, data, call_type, user_api_key_dict)
        except RequestError as error:
            raise rejection(error, call_type) from None
        self._runtime.reporter.sent(call, data)
        if call.admitted is not None or call.reported is not None:
            call.witness = Witness(call_id(data))
        return data if call.awake else None

    async def async_post_call_failure_hook(
        self, request_data: dict[str, Any], original_exception: Exception, *args: Any, **kwargs: Any
    ) -> None:
        """Note that a guardrail refuses what was injected: the request is made again without it."""
        call = CURRENT.get()
        if call is not None and call.injected and not call.answering and refuses_content(original_exception):
            call.refused = True

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """Note that a provider is called, and for Reconify with what."""
        call = CURRENT.get()
        if call is not None and self._runtime is not None:
            if call.witness is not None:
                call.witness.begin(kwargs)
            self._runtime.reporter.routed(call, kwargs, getattr(call_type, "value", ""))
        return None

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Note the answer as LiteLLM knows it: what cannot be read on its way to the client is stored from here."""
        call = CURRENT.get()
        if call is not None and call.witness is not None:
            call.witness.succeed(kwargs, response_obj)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Note that the call has failed: nothing of it is to be stored or reported."""
        call = CURRENT.get()
        if call is not None and call.witness is not None:
            call.witness.fail(kwargs)


recallr = RecallrHooks(start())
