"""Answers in OpenAI's wire shapes: chat completions, whole and in chunks, embeddings, errors."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.support.script import Answer, last_user_text

EMBEDDING_DIMENSION = 256

_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def error(answer: Answer) -> dict[str, Any]:
    """OpenAI's error object for `answer.status`."""
    kind, code = _ERRORS.get(answer.status, ("server_error", None))
    return {"error": {"message": answer.message, "type": kind, "param": None, "code": code}}


def completion(answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
    """A whole chat completion; `number` makes the id."""
    choices = []
    for index, text in enumerate(_texts(answer, body)):
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        if answer.tool_calls:
            message["tool_calls"] = _tool_calls(answer, number, index)
        choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)})
    return {**_head("chat.completion", body, number), "choices": choices, "usage": usage(answer, body)}


def chunks(answer: Answer, body: dict[str, Any], number: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """The chunks of a streamed chat completion, each with True if it brings content (text or a tool call).

    Per choice a chunk with the role, then the content, the choices taking turns; per choice a
    chunk with the finish reason; last the usage, if the request asked for it.
    """
    head = _head("chat.completion.chunk", body, number)
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    if wants_usage:
        head["usage"] = None

    def chunk(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    texts = _texts(answer, body)
    for index, text in enumerate(texts):
        content = None if text is None else ""
        yield chunk(index, {"role": "assistant", "content": content, "refusal": None}), False
    pieces = [list(_pieces(text or "", answer.chunks)) for text in texts]
    for turn in range(max(len(of_choice) for of_choice in pieces)):
        for index, of_choice in enumerate(pieces):
            if turn < len(of_choice):
                yield chunk(index, {"content": of_choice[turn]}), True
    for index in range(len(texts)):
        for position, call in enumerate(_tool_calls(answer, number, index)):
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = ""
            yield chunk(index, {"tool_calls": [{"index": position, **call}]}), True
            for part in _pieces(arguments, 2):
                yield chunk(index, {"tool_calls": [{"index": position, "function": {"arguments": part}}]}), True
    for index in range(len(texts)):
        yield chunk(index, {}, _finish_reason(answer)), False
    if wants_usage:
        yield {**head, "choices": [], "usage": usage(answer, body)}, False


def usage(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Token counts: words, so that they are the same each time and grow with what is injected."""
    prompt = len(re.findall(r"\w+", str(body.get("messages", ""))))
    answered = sum(len((text or "").split()) for text in _texts(answer, body))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": prompt + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """Embeddings of the input texts: the same text the same vector, texts that share words near each other."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    dimension = body.get("dimensions") or EMBEDDING_DIMENSION
    as_base64 = body.get("encoding_format") == "base64"
    vectors = [_embed(str(text), dimension) for text in texts]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(len(str(text).split()) for text in texts)
    counts = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": counts}


def _head(kind: str, body: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number:029d}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_standin",
    }


def _texts(answer: Answer, body: dict[str, Any]) -> list[str | None]:
    """One text per choice; None where a tool call takes its place."""
    if answer.choices:
        return list(answer.choices)
    count = body.get("n") or 1
    if answer.text is None and answer.tool_calls:
        return [None] * count
    text = answer.text
    if text is None:
        # only the last line, so that a memory block put before the user's words is not said back
        lines = last_user_text(body).strip().splitlines() or [""]
        text = f'You said: "{lines[-1][:200]}".'
    return [text if index == 0 else f"{text} ({index + 1})" for index in range(count)]


def _tool_calls(answer: Answer, number: int, choice: int) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{number:04d}{choice:02d}{position:02d}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for position, call in enumerate(answer.tool_calls)
    ]


def _finish_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")


def _pieces(text: str, count: int | None) -> Iterator[str]:
    """The text in `count` pieces, or word by word; never an empty piece."""
    if count is None:
        yield from re.findall(r"\s*\S+|\s+$", text)
        return
    for number in range(count):
        piece = text[len(text) * number // count : len(text) * (number + 1) // count]
        if piece:
            yield piece


def _embed(text: str, dimension: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Hashed bag of words, shape (dimension,), unit length."""
    vector = np.zeros(dimension, dtype=np.float32)
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        vector[digest % dimension] += 1.0 if digest >> 63 else -1.0
    length = float(np.linalg.norm(vector))
    # two words may cancel each other out; a vector of length 0 is no embedding
    return (vector / length if length else np.eye(1, dimension, dtype=np.float32)[0]).astype(np.float32)
