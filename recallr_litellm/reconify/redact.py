"""`RECONIFY_REDACT`: takes out of the texts of a payload what must not reach analytics.

Redacted are message contents, reasoning, prompts, instructions, arguments and results of tools, descriptions in tool
definitions, the client's metadata, names of persons in messages, and every string in a field that is not known here,
so that what a provider adds tomorrow is not sent unredacted. Left alone are ids, model names, roles, types, settings,
signatures, the bytes of images and files, and the names and schemas of tools. The payload's `user` is left alone
as a whole: it is sent to say who the user is.

A text that is JSON (arguments and results of tools) is redacted twice: in its strings, where no escapes hide anything,
then as the text it is, so that numbers are reached too. A pattern that matches beyond one JSON value leaves a text that
is no JSON any more. Log probabilities repeat the reply token by token, so they are left out.
"""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Callable
from typing import Any

from recallr_litellm.errors import ConfigurationError, RedactionFailed

Redact = Callable[[str], str]

REDACTED = "[redacted]"

_NO_TEXT = frozenset(
    """
    id object model role type subtype status created created_at index service_tier system_fingerprint stream
    finish_reason stop_reason effort reasoning_effort verbosity detail format modalities voice tool_choice function_call
    mode truncation include mime_type media_type phase signature encrypted_content thoughtSignature data b64_json
    file_data user prompt_cache_key
    """.split()
)
"""Fields whose strings are no texts; objects in them are looked into."""
_IDS = re.compile(r"(?:^|_)ids?$|[a-z]Ids?$")
_SCHEMAS = frozenset({"tools", "functions", "response_format", "responseSchema", "responseJsonSchema", "output_config"})
"""Definitions: only what they say in words is text."""
_WORDS = frozenset({"description", "title"})
_ANY_KEYS = frozenset({"input", "args", "arguments", "response", "metadata"})
"""Objects whose field names are not the API's: every string in them is text, except in the client's metadata an id."""
_LINKS = frozenset({"url", "image_url", "file_uri", "fileUri"})
_LOG_PROBABILITIES = frozenset({"logprobs", "logprobs_result"})
_PERSONS = frozenset({"user", "assistant", "system", "developer"})
"""Roles whose `name` is that of a person; all other names are those of functions and tools."""


def load_redaction(setting: str) -> Redact:
    """The function that `RECONIFY_REDACT` names: `module:callable` (text → text), or a JSON list of regular expressions
    whose matches become `[redacted]`.

    >>> load_redaction('["[0-9]{4}"]')("My PIN is 1234.")
    'My PIN is [redacted].'

    Raises:
        ConfigurationError: neither of the two, or one that cannot be loaded.
    """
    try:
        if setting.lstrip().startswith("["):
            return _patterns(setting)
        found = pkgutil.resolve_name(setting.strip())
    except Exception as error:  # importing runs the user's own code, which may raise anything
        raise ConfigurationError(
            "RECONIFY_REDACT must be `module:callable` or a JSON list of regular expressions, and cannot be loaded "
            f"({type(error).__name__}: {error})"
        ) from error
    if not callable(found):
        raise ConfigurationError("RECONIFY_REDACT must be `module:callable` and names no callable")
    function: Redact = found
    return function


def _patterns(setting: str) -> Redact:
    patterns = [re.compile(pattern) for pattern in json.loads(setting)]
    if not patterns:
        raise ValueError("the list is empty")

    def redact(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub(REDACTED, text)
        return text

    return redact


def redacted(payload: dict[str, Any], redact: Redact) -> dict[str, Any]:
    """A payload of `payload.build` with its texts redacted.

    Raises:
        RedactionFailed: `redact` raised or returned something else than a text. The error does not hold the text.
    """

    def apply(text: str) -> str:
        if text.startswith(("{", "[")):
            text = _inside(text, once)
        return once(text)

    def once(text: str) -> str:
        try:
            result = redact(text)
        except Exception as error:  # noqa: BLE001 - the user's own code
            raise RedactionFailed(f"RECONIFY_REDACT raised {type(error).__name__}") from None
        if not isinstance(result, str):
            raise RedactionFailed(f"RECONIFY_REDACT returned {type(result).__name__}, not text")
        return result

    return {
        **payload,
        "request": _structured(payload["request"], apply),
        "response": _structured(payload["response"], apply),
    }


def _inside(text: str, apply: Redact) -> str:
    """A text with what is redacted in the strings of its JSON, if it is JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    result = _anything(value, apply)
    return text if result == value else json.dumps(result, ensure_ascii=False)


def _structured(value: Any, apply: Redact, key: str = "") -> Any:
    """A value of the API's own structure; `key` is the field that holds it."""
    if isinstance(value, str):
        return value if _is_no_text(key, value) else apply(value)
    if isinstance(value, list):
        return [_structured(item, apply, key) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    person = value.get("role") in _PERSONS
    plain = value.get("type") == "text"  # Anthropic's documents of plain text have it in `data`
    for name, item in value.items():
        if name == "name" and isinstance(item, str):
            result[name] = apply(item) if person else item
        elif name in _LOG_PROBABILITIES and isinstance(item, dict | list):
            result[name] = None
        elif name == "data" and plain and isinstance(item, str):
            result[name] = apply(item)
        elif name in _SCHEMAS:
            result[name] = _definition(item, apply)
        elif name in _ANY_KEYS and isinstance(item, dict):
            result[name] = _anything(item, apply, ids=name == "metadata")
        else:
            result[name] = _structured(item, apply, name)
    return result


def _is_no_text(key: str, value: str) -> bool:
    return key in _NO_TEXT or bool(_IDS.search(key)) or (key in _LINKS and value.startswith("data:"))


def _anything(value: Any, apply: Redact, *, ids: bool = False) -> Any:
    """A value of the client's or the model's own structure: field names and numbers may say as much as strings.

    Args:
        ids: leave alone what stands in fields that are named like ids.
    """
    if isinstance(value, str):
        return apply(value)
    if isinstance(value, list):
        return [_anything(item, apply, ids=ids) for item in value]
    if isinstance(value, dict):
        return {
            apply(name): item
            if ids and isinstance(item, str) and _IDS.search(name)
            else _anything(item, apply, ids=ids)
            for name, item in value.items()
        }
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        return value if (result := apply(text)) == text else result
    return value


def _definition(value: Any, apply: Redact, key: str = "") -> Any:
    if isinstance(value, str):
        return apply(value) if key in _WORDS else value
    if isinstance(value, list):
        return [_definition(item, apply) for item in value]
    if isinstance(value, dict):
        return {name: _definition(item, apply, name) for name, item in value.items()}
    return value
