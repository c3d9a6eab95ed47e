"""The matrix: every API × whole or streamed × a provider of the same API or a bridged one × every situation.

One table in one file. `COLUMNS` are the situations, each a test below that is marked with `covers`; `ROUTES` × `MODES`
are the rows; `MISSING` says which cells cannot be, and why. What a run has covered is printed at its end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from tests.support.clients import SDKS, Answered, Failure, Sdk
from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded, ThreadedProvider, ToolCall
from tests.support.proxy import CHAT_MODEL, GEMINI_MODEL, Proxy
from tests.support.shown import OPENING, Shown, parted, shown
from tests.support.waiting import eventually

INSTRUCT_MODEL = "openai/gpt-3.5-turbo-instruct"
CLAUDE = "claude-haiku-4-5"

CHATS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
COMPLETIONS, CONTENTS = "/v1/completions", f"/v1beta/models/{GEMINI_MODEL}:"
"""Where at the provider a request arrives: what shows that a bridge is one."""


@dataclass(frozen=True)
class Route:
    """An API of the gateway, and what stands behind the model that is asked for."""

    sdk: Sdk
    kind: str
    model: str
    path: str
    """How the path begins on which the provider is reached."""
    bad_request: int = 400
    """What LiteLLM makes of the provider's 400."""

    @property
    def name(self) -> str:
        return f"{self.sdk.name}, {self.kind}"


SAME = "same API"
_sdk = {sdk.name: sdk for sdk in SDKS}
ROUTES = [
    Route(_sdk["chat"], SAME, CHAT_MODEL, CHATS),
    Route(_sdk["chat"], "bridged to Anthropic", CLAUDE, MESSAGES),
    Route(_sdk["chat"], "bridged to Gemini", GEMINI_MODEL, CONTENTS),
    Route(_sdk["completions"], SAME, INSTRUCT_MODEL, COMPLETIONS),
    Route(_sdk["completions"], "bridged to chat", CHAT_MODEL, CHATS),
    Route(_sdk["responses"], SAME, CHAT_MODEL, RESPONSES),
    Route(_sdk["responses"], "bridged to Anthropic", CLAUDE, MESSAGES),
    Route(_sdk["anthropic"], SAME, CLAUDE, MESSAGES),
    Route(_sdk["anthropic"], "bridged to responses", CHAT_MODEL, RESPONSES),
    Route(_sdk["gemini"], SAME, GEMINI_MODEL, CONTENTS),
    Route(_sdk["gemini"], "bridged to chat", CHAT_MODEL, CHATS, bad_request=500),
]
MODES = {"whole": False, "streamed": True}
COLUMNS = (
    "first turn",
    "recall turn",
    "tool turn",
    "provider 4xx",
    "provider 5xx",
    "rejected header",
    "error in mid-stream",
    "client gone in mid-stream",
)

Cell = tuple[str, str, str]
"""Names of route, mode and column."""
PRODUCT: frozenset[Cell] = frozenset(itertools.product((route.name for route in ROUTES), MODES, COLUMNS))

NO_TOOLS = "the completions API has no tools"
NO_STREAM = "an answer that is whole has no middle: nothing is seen of it before it is stored"
MISSING: dict[Cell, str] = {
    **{cell: NO_TOOLS for cell in PRODUCT if cell[0].startswith("completions") and cell[2] == "tool turn"},
    **{cell: NO_STREAM for cell in PRODUCT if cell[1] == "whole" and cell[2].endswith("mid-stream")},
}

COVERED: set[Cell] = set()
"""The cells for which there are tests."""

ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}
ONCE_KNOWN = ALWAYS | {"x-recallr-session-id", "x-recallr-user-id"}
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
FACT = "My cat is called Felix and we live in Oslo."


def covers(column: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark the test of a column: it runs for every cell of it, as `route` and `stream`."""
    cells = [
        (route, mode) for route in ROUTES for mode in MODES if (route.name, mode, column) not in MISSING
    ]
    COVERED.update((route.name, mode, column) for route, mode in cells)

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        parameters = [
            pytest.param(route, MODES[mode], id=f"{route.name}, {mode}", marks=pytest.mark.cell(route.name, mode, column))
            for route, mode in cells
        ]
        return pytest.mark.parametrize(("route", "stream"), parameters)(test)

    return mark
