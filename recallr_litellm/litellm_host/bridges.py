"""Responses and Gemini → chat completions, in the shape that LiteLLM itself bridges them to.

LiteLLM translates these APIs for providers that only know chat; its own code does it here. What that code loses is put
back where chat has a place for it: refusals, `n`, several parts of a system instruction, media in Gemini's own spelling
and every field that it does not know.

LiteLLM's code is named in `private_apis.py`. Where a version lacks a translation, its function raises LookupError.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import httpx
from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import ModelResponse

from recallr_litellm.litellm_host.private_apis import GEMINI_REPLY, GEMINI_REQUEST, RESPONSES_REPLY, RESPONSES_REQUEST

Json = dict[str, Any]

_RESPONSES_BRIDGED = frozenset(
    """
    input instructions model tools tool_choice top_p user temperature parallel_tool_calls max_output_tokens metadata
    service_tier safety_identifier text reasoning context_management stream
    """.split()
)
"""Fields of a Responses request that have their place in the bridged one."""
_GEMINI_BRIDGED = frozenset(
    "contents model systemInstruction system_instruction tools toolConfig tool_config generationConfig config".split()
)
_CONFIG_BRIDGED = frozenset(
    """
    temperature maxOutputTokens topP stopSequences candidateCount responseMimeType response_mime_type responseSchema
    response_schema responseJsonSchema response_json_schema
    """.split()
)
_RESPONSE_KEPT = ("service_tier", "system_fingerprint")


def responses_request(body: Mapping[str, Any]) -> Json:
    """A body of `/v1/responses` → that of the chat completion. Raises whatever LiteLLM raises for odd bodies."""
    stream = body.get("stream")
    bridged: Json = RESPONSES_REQUEST.found(
        model=str(body.get("model") or ""),
        input=body.get("input") or "",
        responses_api_request=dict(body),
        stream=stream if isinstance(stream, bool) else None,
        metadata=body.get("metadata"),
        service_tier=body.get("service_tier"),
    )
    return {**_rest(body, _RESPONSES_BRIDGED), **_plain(bridged)}


def responses_reply(reply: Mapping[str, Any]) -> Json | None:
    """A response object → `chat.completion`; None where it holds nothing that chat could show.

    What broke off has no finish reason. Raises whatever LiteLLM raises for odd objects.
    """
    items = [item for item in reply.get("output") or () if isinstance(item, dict) and item.get("type")]
    if not items and reply.get("status") != "incomplete":
        return None
    response = ResponsesAPIResponse(**{**reply, "output": [_whole_item(item) for item in items], "error": None})
    model_response: ModelResponse = RESPONSES_REPLY.found(
        model=str(reply.get("model") or ""),
        raw_response=response,
        model_response=ModelResponse(created=int(reply.get("created_at") or 0)),
        logging_obj=_no_call(),
        request_data={},
        messages=[],
        optional_params={},
        litellm_params={},
        encoding=None,
    )
    bridged = _dumped(model_response)
    bridged.update({key: reply[key] for key in _RESPONSE_KEPT if reply.get(key) is not None})
    if reply.get("usage") is None:
        bridged.pop("usage", None)
    broken_off = reply.get("status") not in ("completed", "incomplete", None)
    for choice in bridged["choices"]:
        if broken_off:
            choice["finish_reason"] = None
        if refusal := _refusal(items):
            choice["message"]["refusal"] = refusal
    return bridged


def gemini_request(body: Mapping[str, Any]) -> Json:
    """A body of `:generateContent` (its `model` from the path) → that of the chat completion.

    Raises whatever LiteLLM raises for odd bodies.
    """
    config = body.get("generationConfig") or body.get("config")
    config = config if isinstance(config, dict) else {}
    bridged: Json = GEMINI_REQUEST.found(
        model=str(body.get("model") or ""),
        contents=_contents(body.get("contents")),
        config=config,
        tools=body.get("tools"),
        toolConfig=body.get("toolConfig") or body.get("tool_config"),
        systemInstruction=_system(body.get("systemInstruction") or body.get("system_instruction")),
    )
    if isinstance(config.get("candidateCount"), int):
        bridged["n"] = config["candidateCount"]
    left = _rest(config, _CONFIG_BRIDGED)
    return {**_rest(body, _GEMINI_BRIDGED), **({"generationConfig": left} if left else {}), **_plain(bridged)}


def gemini_reply(reply: Mapping[str, Any], *, model: str, created: int) -> Json | None:
    """A GenerateContentResponse → `chat.completion`; None where it holds nothing that chat could show.

    Raises whatever LiteLLM raises for odd objects.

    Args:
        model: where the reply names none.
        created: seconds since the epoch; Gemini does not say.
    """
    model_response: ModelResponse = GEMINI_REPLY.found(
        completion_response={
            "usageMetadata": {},
            **reply,
        },  # what broke off may have none, which LiteLLM does not allow
        model_response=ModelResponse(created=created),
        model=model,
        logging_obj=_no_call(),
        raw_response=httpx.Response(200),
    )
    bridged = _dumped(model_response)
    if not bridged.get("choices"):
        return None
    if "usageMetadata" not in reply:
        bridged.pop("usage", None)
    broken_off = {
        candidate.get("index", 0)
        for candidate in reply.get("candidates") or ()
        if isinstance(candidate, dict) and not candidate.get("finishReason")
    }
    for choice in bridged["choices"]:
        if choice.get("index") in broken_off:
            choice["finish_reason"] = None
    return bridged


def _no_call() -> SimpleNamespace:
    """Stands for the object in which LiteLLM keeps what it knows of a call: what its translators read of it."""
    return SimpleNamespace(model_call_details={}, optional_params={}, litellm_params={})


def _rest(body: Mapping[str, Any], known: frozenset[str]) -> Json:
    return {key: value for key, value in body.items() if key not in known}


def _plain(value: Any) -> Any:
    """LiteLLM's objects as JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


def _dumped(response: ModelResponse) -> Json:
    """As LiteLLM's proxy answers with it."""
    dumped: Json = response.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    return dumped


def _whole_item(item: Json) -> Json:
    """An output item that broke off has not all that the type asks for."""
    if item["type"] == "message":
        content = [{"annotations": [], **part} for part in item.get("content") or () if isinstance(part, dict)]
        return {"id": "", "status": "completed", "role": "assistant", **item, "content": content}
    if item["type"] == "function_call":
        return {"arguments": "", "name": "", "call_id": "", **item}
    return item


def _refusal(items: list[Json]) -> str:
    parts = [part for item in items if item.get("type") == "message" for part in item.get("content") or ()]
    refusals = [part.get("refusal") for part in parts if isinstance(part, dict) and part.get("type") == "refusal"]
    return "".join(refusal for refusal in refusals if isinstance(refusal, str))


def _contents(contents: Any) -> list[Json]:
    """Contents as LiteLLM's adapter reads them: a list of objects with roles, media spelled in snake case."""
    if isinstance(contents, str):
        return [{"role": "user", "parts": [{"text": contents}]}]
    listed = contents if isinstance(contents, list) else [contents]
    texts = ({"role": "user", "parts": [{"text": item}]} if isinstance(item, str) else item for item in listed)
    return [{**item, "parts": [_part(part) for part in _parts(item)]} for item in texts if isinstance(item, dict)]


def _parts(content: Mapping[str, Any]) -> list[Any]:
    parts = content.get("parts")
    return parts if isinstance(parts, list) else [parts] if parts else []


def _part(part: Any) -> Any:
    media = part.get("inlineData") if isinstance(part, dict) else None
    if not isinstance(media, dict):
        return part
    return {"inline_data": {"mime_type": media.get("mimeType") or media.get("mime_type"), "data": media.get("data")}}


def _system(instruction: Any) -> Json | None:
    """A system instruction in one part: LiteLLM's adapter reads only the first, and ours may be the second."""
    if isinstance(instruction, str):
        return {"parts": [{"text": instruction}]}
    if not isinstance(instruction, dict):
        return None
    texts = [
        part["text"] for part in _parts(instruction) if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    return {"parts": [{"text": "\n\n".join(texts)}]} if texts else None
