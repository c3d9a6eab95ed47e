"""The `user` object of a payload: who it was that asked.

The id is the Recallr user's. The rest comes from `X-Reconify-User-*` headers, from `metadata.reconify_user` in the body
or from what is stored of the user; where several name a field, the first of them counts. Headers and metadata are taken
off the request, so that neither LiteLLM's loggers nor a provider see them.
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
"""The field of the body's `metadata`, and of a user's stored metadata."""


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
        frozen=True, hide_input_in_errors=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
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
_HEADER_NAMES = {name: "X-Reconify-User-" + name.replace("_", "-").title() for name in _FIELDS}
"""Field → header name as documented."""


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


def person_of(
    headers: Headers, written: Any, user_id: str | None, stored_metadata: Mapping[str, Any] | None = None
) -> Person | None:
    """Who asked; None where nothing is known of them.

    Args:
        written: what `take_from_body` returned: an object, or its JSON text, as OpenAI's metadata values are texts.
        user_id: the Recallr user.
        stored_metadata: of the user: `{"reconify_user": {…}}`. What is wrong in it is left out, being no fault of the
            request's.

    Raises:
        InvalidReconifyUser: names every header and field at fault and what is right.
    """
    values, names, problems = _from_headers(headers)
    in_body, problem = _object(written)
    if problem:
        problems[f"metadata.{METADATA}"] = problem
    for name in _FIELDS:
        given = in_body.get(to_camel(name), in_body.get(name))
        if given is not None and name not in names:
            values[name], names[name] = given, f"metadata.{METADATA}.{to_camel(name)}"
    found, faults = _validated(values)
    problems.update({names[name]: fault for name, fault in faults.items() if names[name] not in problems})
    if problems:
        raise InvalidReconifyUser(problems)
    stored, _ = _object((stored_metadata or {}).get(METADATA))
    kept, _ = _validated({name: stored.get(to_camel(name), stored.get(name)) for name in _FIELDS})
    known = {**kept, **found} | ({"user_id": user_id} if user_id else {})
    return Person.model_validate(known) if known else None


def _from_headers(headers: Headers) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Field → value, field → header name, header name → what is wrong."""
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    problems: dict[str, str] = {}
    for header, value in headers:
        name = header.removeprefix(_USER_PREFIX).replace("-", "_")
        if not header.startswith(_USER_PREFIX) or name not in _FIELDS:
            if _UNKNOWN.first(header):
                _log.info("Ignoring the unknown header %.100r", header)
        elif name in names:
            problems[_HEADER_NAMES[name]] = "was sent twice"
        else:
            values[name], names[name] = value, _HEADER_NAMES[name]
    return values, names, problems


def _object(value: Any) -> tuple[Mapping[str, Any], str | None]:
    """An object, written as one or as its JSON text, and what is wrong with it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = ()
    if value is None:
        return {}, None
    return (value, None) if isinstance(value, dict) else ({}, "must be an object")


def _validated(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields that are right, and what is wrong with the others."""
    given = {name: value for name, value in values.items() if value is not None}
    faults: dict[str, str] = {}
    if not given:
        return {}, faults
    try:
        Person.model_validate(given)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            # pydantic names a field by its alias
            name = next(name for name in _FIELDS if fault["loc"][0] in (name, to_camel(name)))
            faults.setdefault(name, describe(fault["msg"]))
    right = Person.model_validate({name: value for name, value in given.items() if name not in faults})
    return right.model_dump(exclude_none=True), faults
