"""Gemini's generateContent and streamGenerateContent (with `alt=sse`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.script import Answer
from tests.support.wires.base import Event, Wire, data_event, pieces_of, said_back

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Gemini(Wire):
    """See `Wire`."""

    paths: tuple[str, ...] = (
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent",
    )

    def streamed(self, path: str, body: dict[str, Any]) -> bool:
        return path.endswith(":streamGenerateContent")

    def model(self, path: str, body: dict[str, Any]) -> str:
        return path.rpartition("/")[2].partition(":")[0]

    def user_text(self, body: dict[str, Any]) -> str:
        """Functions' results are no words of the user's."""
        users = [content for content in body.get("contents", ()) if content.get("role", "user") == "user"]
        texts = [[part["text"] for part in content.get("parts", ()) if "text" in part] for content in users]
        return "\n".join(next((parts for parts in reversed(texts) if parts), ()))

    def error(self, answer: Answer) -> dict[str, Any]:
        """Google's error object."""
        status = _STATUSES.get(answer.status, "UNKNOWN")
        return {"error": {"code": answer.status, "message": answer.message, "status": status}}

    def whole(self, answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
        candidates = []
        for index, text in enumerate(self._texts(answer, body)):
            parts = [{"text": text}] if text is not None else []
            parts += _calls(answer)
            candidates.append(_candidate(index, parts, answer.finish_reason or "STOP"))
        return {"candidates": candidates, **_tail(answer, number)}

    def events(self, answer: Answer, body: dict[str, Any], number: int) -> Iterator[Event]:
        """For each candidate its text, then its calls, then an empty text with the finish reason."""
        tail = _tail(answer, number)
        for index, text in enumerate(self._texts(answer, body)):
            for piece in pieces_of(text or "", answer.chunks):
                yield data_event({"candidates": [_candidate(index, [{"text": piece}])], **tail}, content=True)
            for call in _calls(answer):
                yield data_event({"candidates": [_candidate(index, [call])], **tail}, content=True)
            last = _candidate(index, [{"text": ""}], answer.finish_reason or "STOP")
            yield data_event({"candidates": [last], **tail})

    def _texts(self, answer: Answer, body: dict[str, Any]) -> list[str | None]:
        """One text for each candidate; None where a function call takes its place."""
        if answer.choices:
            return list(answer.choices)
        count = (body.get("generationConfig") or {}).get("candidateCount") or 1
        if answer.text is None and answer.tool_calls:
            return [None] * count
        text = said_back(self.user_text(body)) if answer.text is None else answer.text
        return [text if index == 0 else f"{text} ({index + 1})" for index in range(count)]


def _calls(answer: Answer) -> list[dict[str, Any]]:
    """Ids only where the answer gives them: older models have none."""
    return [
        {
            "functionCall": {"name": call.name, "args": json.loads(call.arguments)}
            | ({"id": call.id} if call.id is not None else {})
        }
        for call in answer.tool_calls
    ]


def _candidate(index: int, parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "index": index}
    return candidate if finish_reason is None else {**candidate, "finishReason": finish_reason}


def _tail(answer: Answer, number: int) -> dict[str, Any]:
    answered = len((answer.text or "").split())
    counts = {"promptTokenCount": 7, "candidatesTokenCount": answered, "totalTokenCount": 7 + answered}
    return {"usageMetadata": counts, "modelVersion": "gemini-standin", "responseId": f"standin-{number}"}
