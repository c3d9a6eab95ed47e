"""OpenAI's legacy Completions: `/v1/completions`.

Reference: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recallr_litellm.core.messages import Message
from recallr_litellm.formats.base import Body, Conversation, Ending, Reply, event_of, items, reply_of


class Completions:
    """The completions format: a prompt is one user message, each of its completions an assistant's."""

    call_types = frozenset({"atext_completion", "text_completion"})

    def read(self, body: Mapping[str, Any]) -> Conversation | None:
        """What the client sent. None unless `prompt` is one string: several prompts are no conversation, and token
        ids are not ours to make. None for `echo` too, which would say the memory back to the client."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or body.get("echo"):
            return None
        message = Message(role="user", text=prompt)
        user = body.get("user")
        return Conversation(
            messages=() if message.empty else (message,), user=user if isinstance(user, str) and user else None
        )

    def inject(self, body: Body, *, instructions: str, memory: str, into_system: bool) -> None:
        """See `Format.inject`. There is no system message here: all of it stands in front of the prompt."""
        prompt = body.get("prompt")
        if isinstance(prompt, str):
            body["prompt"] = "\n\n".join([*filter(None, (instructions, memory)), prompt])

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """Every choice of a `text_completion` object."""
        choices = [choice for choice in items(body.get("choices")) if isinstance(choice.get("text"), str)]
        return reply_of(
            [Message(role="assistant", text=choice["text"]) for choice in choices],
            complete=all(choice.get("finish_reason") for choice in choices),
        )

    def stream_reader(self, body: Mapping[str, Any]) -> CompletionsStream:
        """See `Format.stream_reader`."""
        expected = body.get("n")
        return CompletionsStream(expected if isinstance(expected, int) and expected > 0 else 1)


COMPLETIONS = Completions()


class CompletionsStream:
    """Puts the choices of streamed `text_completion` chunks together."""

    def __init__(self, choices: int) -> None:
        self._expected = choices
        self._texts: dict[int, list[str]] = {}
        self._finished: set[int] = set()
        self._ending = Ending()

    def feed(self, data: str) -> None:
        """See `StreamReader.feed`."""
        event = event_of(data)
        self._ending.see(data, event)
        for choice in items(event.get("choices")):
            index = choice.get("index", 0)
            index = index if isinstance(index, int) else 0
            texts = self._texts.setdefault(index, [])
            if isinstance(choice.get("text"), str):
                texts.append(choice["text"])
            if choice.get("finish_reason"):
                self._finished.add(index)

    @property
    def complete(self) -> bool:
        """See `StreamReader.complete`."""
        finished = len(self._texts) >= self._expected and self._finished.issuperset(self._texts)
        return self._ending.done or (finished and not self._ending.failed)

    @property
    def reply(self) -> Reply:
        """See `StreamReader.reply`."""
        messages = [Message(role="assistant", text="".join(texts)) for _, texts in sorted(self._texts.items())]
        return reply_of(messages, complete=self.complete)
