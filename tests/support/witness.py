"""Callbacks that write down what they get, into files in the gateway's own folder, which is where it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

WITNESSED, RECORDED = "witnessed", "recorded"
"""Names of the files."""


def _lines(value: Any, depth: int = 0, seen: tuple[int, ...] = ()) -> Iterator[str]:
    """All that a value holds, to whatever depth."""
    if depth > 12 or id(value) in seen:
        return
    seen = (*seen, id(value))
    if isinstance(value, dict):
        for key, item in list(value.items()):  # live objects: others write to them
            yield repr(key)
            yield from _lines(item, depth + 1, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in list(value):
            yield from _lines(item, depth + 1, seen)
    else:
        yield repr(value)
        yield from _lines(getattr(value, "__dict__", {}), depth + 1, seen)


def _write(name: str, text: str) -> None:
    with Path(name).open("a") as file:
        file.write(text + "\n")


def _note(hook: str, *received: Any) -> None:
    _write(WITNESSED, "\n".join([hook, *_lines(received), "=" * 20]))


class Witness(CustomLogger):  # type: ignore[misc]
    """Writes down all it gets."""

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        _note("log_pre_api_call", messages, kwargs)

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> None:
        _note("async_pre_call_hook", user_api_key_dict, data)

    async def async_moderation_hook(self, data: Any, user_api_key_dict: Any, call_type: Any) -> None:
        _note("async_moderation_hook", user_api_key_dict, data)

    async def async_post_call_success_hook(self, data: Any, user_api_key_dict: Any, response: Any) -> None:
        _note("async_post_call_success_hook", user_api_key_dict, data, response)

    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Any, user_api_key_dict: Any, traceback_str: Any = None
    ) -> None:
        _note("async_post_call_failure_hook", user_api_key_dict, request_data)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        _note("async_log_success_event", kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        _note("async_log_failure_event", kwargs, response_obj)


class Recorder(CustomLogger):  # type: ignore[misc]
    """Writes down by which ids a logger would group a request."""

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        told, parameters = kwargs["standard_logging_object"], kwargs["litellm_params"]
        metadata = {**(parameters.get("litellm_metadata") or {}), **(parameters.get("metadata") or {})}
        line = {
            "kind": kwargs.get("call_type"),
            "said": str(told["messages"]),
            "trace_id": told["trace_id"],
            "session_id": told["session_id"],
            "metadata": {name: metadata.get(name) for name in ("trace_id", "session_id")},
            "headers": (parameters.get("proxy_server_request") or {}).get("headers"),
        }
        _write(RECORDED, json.dumps(line))


witness, recorder = Witness(), Recorder()
