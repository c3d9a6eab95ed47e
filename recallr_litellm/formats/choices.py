"""Streams of OpenAI's chat and text completions: chunks with `choices`, then `[DONE]`.

Chunks: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recallr_litellm.formats.base import event_of, items
from recallr_litellm.formats.deltas import Json, finished, index_of, merge


class ChoicesStream:
    """Puts the choices of a stream together.

    A finish reason is not the end: where LiteLLM runs the model's tool calls itself (MCP), `tool_calls` is followed
    by the answer, in the same stream.

    Args:
        body: the request; its `n` says how many choices are expected.
        kind: the `object` of the whole answer.
        choice: a merged choice as it stands in the whole answer.
    """

    def __init__(self, body: Mapping[str, Any], kind: str, choice: Callable[[Json], Json]) -> None:
        expected = body.get("n")
        self._expected = expected if isinstance(expected, int) and expected > 0 else 1
        self._kind = kind
        self._choice = choice
        self._head: Json = {}
        self._choices: dict[int, Json] = {}
        self._done = False
        self._failed = False

    def feed(self, data: str) -> None:
        self._done = self._done or data.strip() == "[DONE]"
        chunk = event_of(data)
        self._failed = self._failed or bool(chunk.get("error"))
        for key, value in chunk.items():
            if key not in ("choices", "object") and (value is not None or key not in self._head):
                self._head[key] = self._head.get(key, value) if key in ("id", "created") else value
        for raw in items(chunk.get("choices")):
            index = index_of(raw)
            choice = self._choices.setdefault(index, {"index": index})
            if choice.get("finish_reason") and _says_more(raw):
                choice["finish_reason"] = None
            merge(choice, raw)

    @property
    def complete(self) -> bool:
        """LiteLLM passes on the finish reason of one choice only, whatever `n` is."""
        if self._failed:  # some versions of LiteLLM send `[DONE]` after an error too
            return False
        finish = [choice.get("finish_reason") for choice in self._choices.values()]
        return self._done or (len(finish) >= self._expected and all(finish))

    @property
    def whole(self) -> Json | None:
        if not self._choices:
            return None
        head = {key: value for key, value in self._head.items() if key != "usage" or value is not None}
        choices = [finished(choice) for _, choice in sorted(self._choices.items())]
        reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        of_the_stream = reasons[-1] if reasons and self._done else None
        for choice in choices:
            choice["finish_reason"] = None if self._failed else choice.get("finish_reason") or of_the_stream
        return {**head, "object": self._kind, "choices": [self._choice(choice) for choice in choices]}


def _says_more(raw: Mapping[str, Any]) -> bool:
    """Whether a choice of a chunk brings content."""
    delta = raw.get("delta")
    given = delta if isinstance(delta, dict) else raw
    return any(given.get(key) for key in ("content", "text", "tool_calls", "audio", "images"))
