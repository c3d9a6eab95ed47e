"""Response headers on whatever is answered, user ids in headers and bodies, refusals as the SDK's own exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from recallr_litellm.gateway.request_log import digest
from tests.support.memory import Memory
from tests.support.observe import log_lines
from tests.support.provider import Provider
from tests.support.proxy import (
    ALWAYS,
    API_KEY,
    CHAT_MODEL,
    EMBEDDING_MODEL,
    ONCE_KNOWN,
    OTHER_API_KEY,
    OTHER_PROJECT,
    PROJECT,
    Proxy,
)
from tests.support.waiting import eventually

CHAT = "/v1/chat/completions"

UNFILLED = (
    "must be filled in: a placeholder such as {{user_id}} or undefined would give many users one memory. "
    "If it is the id of one user, put a prefix before it, such as person-"
)
USER_MISSING = "is required, here or as `user` in the body (`metadata.user_id` for Anthropic)"


def hello(user: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": f"Hello from {user}."}]


def ours(headers: httpx.Headers) -> dict[str, str]:
    """The Recallr headers of a response. Fails the test if one of them stands there twice."""
    found = [(name, value) for name, value in headers.multi_items() if name.startswith("x-recallr-")]
    assert len(found) == len(dict(found)), f"each Recallr header once, not {found}"
    return dict(found)


def check(headers: httpx.Headers, names: set[str], *, status: str) -> dict[str, str]:
    """Check that a response has exactly these Recallr headers, each well-formed."""
    found = ours(headers)
    assert set(found) == names, f"the Recallr headers of the response are {sorted(found)}"
    assert re.fullmatch(r"[0-9a-f]{32}", found["x-recallr-request-id"]), found
    assert float(found["x-recallr-process-time"]) >= 0, found
    assert found["x-recallr-memory-status"] == status, found
    if "x-recallr-session-id" in names:
        assert re.fullmatch(r"[0-9a-f]{32}", found["x-recallr-session-id"]), found
    return found


def post(
    proxy: Proxy, headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]], body: Any, path: str = CHAT
) -> httpx.Response:
    """A request as plain HTTP, for what no SDK sends. `body`: bytes as they are, anything else as JSON."""
    pairs = (
        [(name.encode(), value.encode()) for name, value in headers.items()]
        if isinstance(headers, Mapping)
        else list(headers)
    )
    pairs += [(b"authorization", f"Bearer {proxy.master_key}".encode()), (b"content-type", b"application/json")]
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        return client.post(proxy.url + path, headers=pairs, **content)


def refusal(proxy: Proxy, user: str | None, **options: object) -> openai.APIStatusError:
    """The exception with which the SDK reports that a request with these headers is refused."""
    with pytest.raises(openai.APIStatusError) as refused:
        proxy.openai(user, **options).chat.completions.create(model=CHAT_MODEL, messages=hello(str(user)))
    return refused.value


@pytest.mark.parametrize(
    "suffix",
    [" Müller 李小龍 🦊", " 100% /?#[]@:,;='\"\\<>", " \u202eabc e\u0301", "x" * 230],
    ids=["letters", "reserved", "right-to-left", "long"],
)
def test_user_ids_come_back_percent_encoded_and_are_one_user_in_header_and_body(
    proxy: Proxy, provider: Provider, user: str, suffix: str
) -> None:
    id = user + suffix
    first = post(proxy, proxy.headers(id), {"model": CHAT_MODEL, "messages": hello(user)})
    in_body = proxy.openai(None, allow_new_user_creation=False).chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=hello(user), user=id
    )

    assert first.status_code == 200, first.text
    found = check(first.headers, ONCE_KNOWN, status="empty")
    assert unquote(found["x-recallr-user-id"]) == id
    assert found["x-recallr-user-id"].isascii()
    assert found["x-recallr-user-id"].isprintable()
    assert in_body.headers["x-recallr-session-id"] == found["x-recallr-session-id"], (
        "the same id in the body is the same user"
    )
    assert Memory(proxy).only(id).texts.count(f"Hello from {user}.") == 2


def test_the_header_wins_over_the_user_in_the_body(proxy: Proxy, provider: Provider, user: str) -> None:
    answer = proxy.openai(user).chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=hello(user), user=f"other-{user}"
    )

    assert answer.headers["x-recallr-user-id"] == user
    assert not Memory(proxy).user_known(f"other-{user}"), "nobody was made of the id in the body"
    assert provider.last.json["user"] == f"other-{user}", "the body's own field is the client's business"


@pytest.mark.parametrize(
    ("header", "id", "reason"),
    [
        (None, "", USER_MISSING),
        (None, ["a"], USER_MISSING),
        (None, "a\nb", "the `user` of the body must not contain control characters"),
        (None, "undefined", f"the `user` of the body {UNFILLED}"),
        ("{{LIBRECHAT_USER_ID}}", "ana", UNFILLED),
    ],
)
def test_a_user_that_cannot_be_one_is_refused_with_the_reason(
    proxy: Proxy, provider: Provider, user: str, header: str | None, id: object, reason: str
) -> None:
    refused = post(proxy, proxy.headers(header), {"model": CHAT_MODEL, "messages": hello(user), "user": id})

    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["message"] == f"X-Recallr-User-Id: {reason}"
    assert refused.json()["error"]["param"] == "X-Recallr-User-Id"
    assert provider.chats(user) == [], "the model is not called"


def test_all_bad_headers_are_named_at_once(proxy: Proxy, provider: Provider) -> None:
    error = refusal(
        proxy, None, timezone="Mars", max_top_k=999, include_system_prompt="maybe", session_timeout_seconds=0
    )

    assert isinstance(error, openai.BadRequestError)
    problems = dict(problem.split(": ", 1) for problem in str(error.body["message"]).split("; "))
    assert problems == {
        "X-Recallr-User-Id": USER_MISSING,
        "X-Recallr-Timezone": 'must be an IANA time zone such as "Europe/London"',
        "X-Recallr-Max-Top-K": "must be less than or equal to 200",
        "X-Recallr-Include-System-Prompt": "must be true, false, 1 or 0",
        "X-Recallr-Session-Timeout-Seconds": "must be a whole number of seconds from 1 to 31622400",
    }
    assert error.param is None, "there is not one header at fault but several"


@pytest.mark.parametrize(
    ("options", "at_fault"),
    [
        ({"api_key": None}, "X-Recallr-API-Key"),
        ({"project_id": None}, "X-Recallr-Project-Id"),
        ({"api_key": "rai_wrong"}, "X-Recallr-API-Key"),
        ({"api_key": OTHER_API_KEY}, "X-Recallr-API-Key"),
        ({"project_id": OTHER_PROJECT}, "X-Recallr-API-Key"),
        ({"project_id": PROJECT.upper()}, "X-Recallr-API-Key"),
        ({"api_key": "wrong", "timezone": "Mars"}, "X-Recallr-API-Key"),
    ],
    ids=lambda value: ", ".join(f"{name}={shown}" for name, shown in value.items()) if isinstance(value, dict) else "",
)
def test_a_bad_key_or_project_is_an_authentication_error(
    proxy: Proxy, provider: Provider, user: str, options: dict[str, str | None], at_fault: str
) -> None:
    error = refusal(proxy, user, **options)

    assert isinstance(error, openai.AuthenticationError)
    assert (error.type, error.code, error.param) == ("authentication_error", "invalid_recallr_api_key", at_fault)
    key, project = options.get("api_key", API_KEY), options.get("project_id", PROJECT)
    if key and project:
        assert error.body["message"] == "X-Recallr-API-Key does not belong to the project in X-Recallr-Project-Id", (
            "the answer does not tell whether key or project exist, nor what else is wrong"
        )
    assert provider.chats(user) == [], "the model is not called"


def test_any_recallr_header_makes_a_recallr_request(proxy: Proxy, provider: Provider, user: str) -> None:
    refused = post(proxy, {"x-ReCaLlR-anything": "1"}, {"model": CHAT_MODEL, "messages": hello(user)})

    assert refused.status_code == 401, "a header of ours was meant, so a key is due"
    assert provider.chats(user) == []


def test_a_wrong_key_is_refused_on_formats_that_have_no_memory_too(proxy: Proxy, user: str) -> None:
    client = proxy.openai(user, api_key="rai_wrong")
    with pytest.raises(openai.AuthenticationError):
        client.embeddings.create(model=EMBEDDING_MODEL, input="hello")
    raw = proxy.openai(user).embeddings.with_raw_response.create(model=EMBEDDING_MODEL, input="hello")
    check(raw.headers, ALWAYS, status="off")


def test_each_request_has_one_line_in_the_log(proxy: Proxy, user: str) -> None:
    served = proxy.ask(user, "Hello.").headers
    expected = {
        served["x-recallr-request-id"]: (
            f"session={served['x-recallr-session-id']} chat=new strategy=balanced status=empty"
        )
    }
    for options, code, error in (
        ({"min_top_k": "many"}, 400, "invalid_recallr_headers"),
        ({"api_key": "rai_wrong"}, 401, "invalid_recallr_api_key"),
        ({"session_id": "unknown"}, 404, "session_not_found"),
    ):
        refused = refusal(proxy, user, **options).response.headers
        expected[refused["x-recallr-request-id"]] = f"status=off reason={error} http={code}"
    for request, words in expected.items():
        lines = eventually(lambda id=request: log_lines(proxy.folder, f"Request id={id}"), "the request is in the log")
        assert len(lines) == 1
        assert words in lines[0]
        assert f"project={PROJECT} user={digest(user)} " in lines[0]
        assert "rai_" not in lines[0]
