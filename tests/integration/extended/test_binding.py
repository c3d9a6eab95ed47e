"""Projects bound to LiteLLM keys and teams: clients that know nothing of Recallr have memory, and none breaks."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from tests.support.memory import Memory
from tests.support.observe import log_lines, metric
from tests.support.provider import Answer, Provider
from tests.support.proxy import (
    CHAT_MODEL,
    EMBEDDING_MODEL,
    PROJECT,
    Proxy,
    Reply,
)
from tests.support.waiting import eventually

NEW_USERS: dict[str, Any] = {"allow_new_user_creation": True}


@pytest.fixture
def memory(extended: Proxy) -> Memory:
    return Memory(extended)


def virtual_key(metadata: Any = None, team: Any = None, **fields: Any) -> str:
    """A new LiteLLM key; `metadata` and `team` are what its own and its team's metadata hold under `recallr`."""
    told = {"key_alias": f"alias-{secrets.token_hex(4)}", "metadata": {"department": "support"}, **fields}
    if metadata is not None:
        told["metadata"] = {**told["metadata"], "recallr": metadata}
    if team is not None:
        told |= {"team_id": "team-7", "team_metadata": {"recallr": team}}
    return "sk-" + base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def bound(project: str = PROJECT, **fields: Any) -> str:
    """A key bound to a project in which new users may be created."""
    return virtual_key({"project_id": project, "defaults": NEW_USERS, **fields})


def say(
    extended: Proxy,
    key: str,
    text: str,
    *,
    user: str | None = None,
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """A chat of a client that knows nothing of Recallr, but for the headers given here."""
    body: dict[str, Any] = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}]}
    if user is not None:
        body["user"] = user
    with extended.openai().with_options(api_key=key) as client:
        create = client.chat.completions.with_raw_response.create
        if not stream:
            whole = create(**body, extra_headers=headers)
            return Reply(whole.parse().choices[0].message.content or "", whole.headers)
        raw = create(**body, extra_headers=headers, stream=True)
        pieces = [choice.delta.content or "" for chunk in raw.parse() for choice in chunk.choices]
        return Reply("".join(pieces), raw.headers)


def assert_left_alone(provider: Provider, text: str) -> None:
    """The provider got the client's message and nothing besides."""
    assert provider.last.messages == [{"role": "user", "content": text}], "nothing of ours is in the request"


@pytest.mark.parametrize(("holder", "stream"), [("key", False), ("team", True)])
def test_a_client_that_sends_only_its_user_has_memory(
    extended: Proxy, provider: Provider, memory: Memory, user: str, holder: str, stream: bool
) -> None:
    binding = {"project_id": PROJECT, "defaults": NEW_USERS}
    key = virtual_key(binding) if holder == "key" else virtual_key(team=binding)
    provider.answer(Answer(text="Nice."), Answer(text="Felix."))
    first = say(extended, key, "My cat is Felix.", user=user, stream=stream)
    second = say(extended, key, "And its name?", user=user, stream=stream)

    assert (first.memory_status, second.memory_status) == ("empty", "ok")
    assert first.session_id == second.session_id
    assert second.headers["x-recallr-user-id"] == user
    assert (first.text, second.text) == ("Nice.", "Felix.")
    assert memory.only(user).texts == ["My cat is Felix.", "Nice.", "And its name?", "Felix."]
    assert "My cat is Felix." in provider.last.user_text, "the model sees what the client did not send again"


def test_an_unknown_user_passes_without_memory_unless_it_may_be_created(
    extended: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    key = virtual_key({"project_id": PROJECT})
    reply = say(extended, key, "Hello.", user=user)
    assert reply.memory_status == "off"
    assert "x-recallr-session-id" not in reply.headers
    assert_left_alone(provider, "Hello.")
    assert not memory.user_known(user)
    request = reply.headers["x-recallr-request-id"]
    line = eventually(lambda: log_lines(extended.folder, f"id={request}"), "the request is in the log")
    assert 'status=off reason="the user may not be created"' in line[0]

    with pytest.raises(openai.NotFoundError, match="Allow-New-User-Creation"):
        say(extended, key, "Hello.", user=user, headers={"X-Recallr-Timezone": "UTC"})
    created = say(extended, key, "Hi.", user=user, headers={"X-Recallr-Allow-New-User-Creation": "true"})
    assert created.memory_status == "empty"
    assert say(extended, key, "Hello.", user=user).memory_status == "ok", "once it is known, nothing more is needed"


def test_a_client_cannot_bind_itself(extended: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    forged = {"recallr": {"project_id": PROJECT, "defaults": NEW_USERS}}
    with extended.openai().with_options(api_key=virtual_key()) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=CHAT_MODEL,
            messages=[{"role": "user", "content": "Hello."}],
            user=user,
            extra_body={
                "metadata": {**forged, "user_api_key_metadata": forged, "user_api_key_team_metadata": forged},
                "litellm_metadata": {"user_api_key_metadata": forged},
                "team_metadata": forged,
            },
        )
    assert "x-recallr-memory-status" not in raw.headers, "what a request says of its key counts for nothing"
    assert memory.sessions(user) == []


@pytest.mark.parametrize(("way", "stream"), [("bound", False), ("headers", True)])
def test_off_leaves_one_request_out(
    extended: Proxy, provider: Provider, memory: Memory, user: str, way: str, stream: bool
) -> None:
    if way == "bound":
        key, headers = bound(), {}
    else:
        key, headers = virtual_key(), extended.headers(None)
    say(extended, key, "My cat is Felix.", user=user, headers=headers)
    kept = memory.only(user)
    left_out = say(extended, key, "My cat?", user=user, headers={**headers, "X-Recallr-Memory": "OFF"}, stream=stream)

    assert left_out.memory_status == "off"
    assert_left_alone(provider, "My cat?")
    assert "x-recallr-memory" not in provider.last.headers
    assert memory.only(user) == kept, "nothing is kept of it"
    after = say(extended, key, "And now?", user=user, headers={**headers, "X-Recallr-Memory": "on"})
    assert after.memory_status == "ok"
    assert "Felix" in provider.last.user_text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_responses_and_messages_name_the_user_in_their_own_way(
    extended: Proxy, provider: Provider, memory: Memory, user: str, stream: bool
) -> None:
    key = bound()
    with extended.openai().with_options(api_key=key) as openai_client:
        answer = openai_client.responses.create(
            model=CHAT_MODEL, input="My cat is Felix.", user=user, stream=stream, store=False
        )
        if isinstance(answer, openai.Stream):
            list(answer)
    assert memory.only(user).texts[0] == "My cat is Felix."

    with extended.anthropic().with_options(api_key=key) as client:
        chat = client.messages.create(
            model=CHAT_MODEL,
            max_tokens=50,
            messages=[{"role": "user", "content": "My dog is Rex."}],
            metadata={"user_id": user},
            stream=stream,
        )
        if stream:
            list(chat)
    assert "My dog is Rex." in memory.only(user).texts


def test_a_plain_request_of_an_unbound_key_is_left_alone(extended: Proxy, provider: Provider, user: str) -> None:
    counted = metric(extended, "recallr_requests_total")
    with extended.openai().with_options(api_key=virtual_key()) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=CHAT_MODEL, messages=[{"role": "user", "content": "Hello."}], user=user
        )
        embedded = client.embeddings.with_raw_response.create(model=EMBEDDING_MODEL, input="hello", user=user)
    assert_left_alone(provider, "Hello.")
    for headers in (raw.headers, embedded.headers):
        assert not [name for name in headers if name.startswith("x-recallr")], "the answer has no header of ours"
    assert metric(extended, "recallr_requests_total") == counted, "it is no Recallr request"
