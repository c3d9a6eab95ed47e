"""OpenAI's legacy Completions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.support.script import Answer
from tests.support.wires.base import Event, Wire, data_event, pieces_of, said_back


class Completions(Wire):
    """See `Wire`."""

    paths: tuple[str, ...] = ("/v1/completions",)

    def user_text(self, body: dict[str, Any]) -> str:
        return "\n".join(_prompts(body))

    def whole(self, answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
        texts = _texts(answer, body)
        choices = [_choice(index, text, answer.finish_reason or "stop") for index, text in enumerate(texts)]
        return {**_head(body, number), "choices": choices, "usage": _usage(body, texts)}

    def events(self, answer: Answer, body: dict[str, Any], number: int) -> Iterator[Event]:
        head, texts = _head(body, number), _texts(answer, body)
        pieces = [list(pieces_of(text, answer.chunks)) for text in texts]
        for turn in range(max(map(len, pieces))):
            for index, of_choice in enumerate(pieces):
                if turn < len(of_choice):
                    yield data_event({**head, "choices": [_choice(index, of_choice[turn], None)]}, content=True)
        for index in range(len(texts)):
            yield data_event({**head, "choices": [_choice(index, "", answer.finish_reason or "stop")]})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield data_event({**head, "choices": [], "usage": _usage(body, texts)})
        yield data_event("[DONE]")


def _prompts(body: dict[str, Any]) -> list[str]:
    """The prompts of a request; one of token ids is told by their count."""
    given = body.get("prompt")
    if isinstance(given, list) and given and isinstance(given[0], int):
        given = [given]
    prompts = given if isinstance(given, list) else [given]
    return [prompt if isinstance(prompt, str) else f"{len(prompt or ())} tokens" for prompt in prompts]


def _texts(answer: Answer, body: dict[str, Any]) -> list[str]:
    """One text for each choice: `n` of them for each prompt."""
    if answer.choices:
        return list(answer.choices)
    texts = []
    for prompt in _prompts(body):
        text = (prompt if body.get("echo") else "") + (said_back(prompt) if answer.text is None else answer.text)
        texts += [text if number == 0 else f"{text} ({number + 1})" for number in range(body.get("n") or 1)]
    return texts


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _head(body: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-{number:029d}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": body["model"],
    }


def _usage(body: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    asked = sum(len(prompt.split()) for prompt in _prompts(body))
    answered = sum(len(text.split()) for text in texts)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
