"""The `user` object of a payload: who it was that asked.

The id is the Recallr user's. The rest comes from `X-Reconify-User-*` headers, or else from `metadata.reconify_user` in
the body. Both are taken off the request, so that neither LiteLLM's loggers nor a provider see them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from recallr_litellm.errors import InvalidReconifyUser
from recallr_litellm.header_values import Boolean, Pairs, check_text, describe, take
from recallr_litellm.logs import Once

_log = logging.getLogger(__name__)

_UNKNOWN = Once()

HEADER_PREFIX = "x-reconify-"
_USER_PREFIX = "x-reconify-user-"
Headers = Iterable[tuple[str, str]]
"""The `x-reconify-*` headers of a request, names in lower case."""
METADATA = "reconify_user"
"""The field of the body's `metadata`."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - pydantic takes this for a fault of the value, a TypeError not
    return check_text(value)


def _email(value: str) -> str:
    name, at, host = value.partition("@")
    if not (name and at and host) or "@" in host or any(character.isspace() for character in value):
        raise ValueError("must be an e-mail address")
    return value


Text = Annotated[str, BeforeValidator(_text)]


class Person(BaseModel):
    """Who asked. A field `first_name` is `firstName` in the payload and `X-Reconify-User-First-Name` as a header."""

    model_config = ConfigDict(
        frozen=True,
        hide_input_in_errors=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
    )

    user_id: str | None = None
    is_authenticated: Boolean | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    email: Annotated[Text, AfterValidator(_email)] | None = None
    phone: Text | None = None
    gender: Text | None = None

    def payload(self) -> dict[str, Any] | None:
        """The `user` object; None where neither an id nor an e-mail address says who it is: Reconify then makes every
        request a user of its own.
        """
        if self.user_id is None and self.email is None:
            return None
        fields = self.model_dump(by_alias=True, exclude_none=True)
        return {name: int(value) if isinstance(value, bool) else value for name, value in fields.items()}


_FIELDS = tuple(name for name in Person.model_fields if name != "user_id")


def take_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Pairs, list[tuple[bytes, bytes]]]:
    """Split ASGI headers into `x-reconify-*`, names in lower case, and the rest."""
    return take(HEADER_PREFIX, headers)


def take_from_body(body: dict[str, Any]) -> Any:
    """Take `metadata.reconify_user` off a request body, and an emptied `metadata` with it.

    Args:
        body: as `async_pre_call_hook` gets it: the copies that LiteLLM has made for its loggers are cleared too.

    Returns:
        What was written there, whatever its type; None when there was nothing.
    """
    written = _pop(body)
    logged = body.get("proxy_server_request")
    if isinstance(logged, dict) and isinstance(logged.get("body"), dict):
        _pop(logged["body"])
    return written


def _pop(body: dict[str, Any]) -> Any:
    written = None
    for name in ("metadata", "litellm_metadata"):
        metadata = body.get(name)
        if not isinstance(metadata, dict):
            continue
        found = metadata.pop(METADATA, None)
        copied = metadata.get("requester_metadata")
        if isinstance(copied, dict):
            copied.pop(METADATA, None)
        if found is not None:
            written = found if written is None else written
        if found is not None and not metadata:
            del body[name]
    return written


def person_of(headers: Headers, written: Any, user_id: str | None) -> Person | None:
    """Who asked; None where nothing is known of them.

    Args:
        written: what `take_from_body` returned: an object, or its JSON text, as OpenAI's metadata values are texts.
        user_id: the Recallr user.

    Raises:
        InvalidReconifyUser: names every header and field at fault and what is right.
    """
    given: dict[str, tuple[Any, str]] = {}
    """Field → its value, and what the client calls it."""
    problems: dict[str, str] = {}
    for header, value in headers:
        name = header.removeprefix(_USER_PREFIX).replace("-", "_")
        if not header.startswith(_USER_PREFIX) or name not in _FIELDS:
            if _UNKNOWN.first(header):
                _log.info("Ignoring the unknown header %.100r", header)
        elif name in given:
            problems[given[name][1]] = "was sent twice"
        else:
            given[name] = value, "X-Reconify-User-" + name.replace("_", "-").title()
    in_body = _object(written)
    if in_body is None:
        problems[f"metadata.{METADATA}"] = "must be an object"
    for name in _FIELDS:
        value = (in_body or {}).get(to_camel(name), (in_body or {}).get(name))
        if value is not None:
            given.setdefault(name, (value, f"metadata.{METADATA}.{to_camel(name)}"))
    try:
        person = Person.model_validate({"user_id": user_id} | {name: value for name, (value, _) in given.items()})
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            problems.setdefault(given[str(fault["loc"][0])][1], describe(fault["msg"]))
    if problems:
        raise InvalidReconifyUser(problems)
    return person if given or user_id else None


def _object(value: Any) -> Mapping[str, Any] | None:
    """An object, written as one or as its JSON text; None where it is something else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None
