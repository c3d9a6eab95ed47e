"""OpenAI's legacy Completions: `/v1/completions`.

Reference: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recallr_litellm.core.messages import Message
from recallr_litellm.formats.base import Body, Conversation, Injection, Reply, items, reply_of, token_limit
from recallr_litellm.formats.choices import ChoicesStream
from recallr_litellm.formats.deltas import Json


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
            messages=(message,),
            user=user if isinstance(user, str) and user else None,
            max_tokens=token_limit(body.get("max_tokens")),
            has_suffix=bool(body.get("suffix")),
        )

    def inject(self, body: Body, added: Injection) -> None:
        """There is no system message here: all of it stands in front of the prompt."""
        prompt = body.get("prompt")
        if isinstance(prompt, str):
            body["prompt"] = "\n\n".join([*filter(None, (added.instructions, added.memory)), prompt])

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """Every choice of a `text_completion` object."""
        choices = [choice for choice in items(body.get("choices")) if isinstance(choice.get("text"), str)]
        return reply_of(
            [Message(role="assistant", text=choice["text"]) for choice in choices],
            complete=all(choice.get("finish_reason") for choice in choices),
        )

    def stream_reader(self, body: Mapping[str, Any]) -> ChoicesStream:
        return ChoicesStream(body, "text_completion", _whole_choice)


COMPLETIONS = Completions()


def _whole_choice(choice: Json) -> Json:
    return {"text": "", "logprobs": None, **choice}
