"""The APIs of the gateway as the benchmark asks them: the same conversation in the words of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, GEMINI_MODEL

INSTRUCT_MODEL = "openai/gpt-3.5-turbo-instruct"

History = Sequence[Mapping[str, str]]
"""Messages as chat completions have them, the question last."""


@dataclass(frozen=True)
class Api:
    """One API, to a provider that speaks it too."""

    whole: str
    """Path."""
    streamed: str
    """The same for a streamed answer."""
    body: Callable[[History], dict[str, Any]]
    says_stream: bool = True
    """Whether the body says `stream`, or the path alone."""

    def request(self, history: History, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        said = {"stream": stream} if self.says_stream else {}
        return (self.streamed if stream else self.whole), self.body(history) | said


def _contents(history: History) -> list[dict[str, Any]]:
    roles = {"user": "user", "assistant": "model"}
    return [{"role": roles[message["role"]], "parts": [{"text": message["content"]}]} for message in history]


_GEMINI = f"/v1beta/models/{GEMINI_MODEL}"
APIS = {
    "chat": Api(*["/v1/chat/completions"] * 2, body=lambda history: {"model": CHAT_MODEL, "messages": list(history)}),
    "completions": Api(
        *["/v1/completions"] * 2, body=lambda history: {"model": INSTRUCT_MODEL, "prompt": history[-1]["content"]}
    ),
    "responses": Api(*["/v1/responses"] * 2, body=lambda history: {"model": CHAT_MODEL, "input": list(history)}),
    "anthropic": Api(
        *["/v1/messages"] * 2,
        body=lambda history: {"model": CLAUDE_MODEL, "max_tokens": 1000, "messages": list(history)},
    ),
    "gemini": Api(
        f"{_GEMINI}:generateContent",
        f"{_GEMINI}:streamGenerateContent?alt=sse",
        body=lambda history: {"contents": _contents(history)},
        says_stream=False,
    ),
}
