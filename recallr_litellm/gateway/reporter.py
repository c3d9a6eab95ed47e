"""The interface through which requests are reported. Nothing of Reconify is imported while it is off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from recallr_litellm.gateway.call import Call
from recallr_litellm.header_values import Pairs


class Reporter:
    """Reports nothing, since Reconify is off. `reporting.Reporting` is its subclass that does."""

    reports = False

    def take_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[Pairs, list[tuple[bytes, bytes]]]:
        """Split ASGI headers into those about the user and the rest."""
        return (), list(headers)

    def begin(self, call: Call, body: dict[str, Any], call_type: str) -> None:
        """Take off the body what it says of its user, and decide whether the request may be reported.

        Called before anything is injected.
        """

    def identify(self, call: Call, *, takes_part: bool) -> None:
        """Say who asks, once it is known whether the request takes part in memory.

        Raises:
            InvalidReconifyUser: what the request says of its user is wrong.
        """

    def sent(self, call: Call, body: dict[str, Any]) -> None:
        """Keep the body as it goes on to the provider."""

    def routed(self, call: Call, arguments: Mapping[str, Any], call_type: str) -> None:
        """Keep the texts and the name of the model as the provider gets them, after all other callbacks.

        Args:
            arguments: of LiteLLM's call of the model that its router has chosen; of several, the last one counts.
        """

    def answered(self, call: Call, whole: dict[str, Any] | None, *, within: float) -> asyncio.Task[None] | None:
        """Report in a task that never raises. None when there is nothing to wait for before the response ends.

        Args:
            whole: the answer, as it is or would be unstreamed; None where only LiteLLM's events have it.
            within: seconds that Redis may take before the report is held in this process.
        """
        return None
