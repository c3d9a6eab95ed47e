"""No endpoint of the REST API tells of what belongs to another project or another user, or changes it.

The endpoints are those of the API's OpenAPI document, so that a new one is tried too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from recallrai.models import MessageRole

from tests.support.api import call, endpoints, sdk
from tests.support.memory import remember
from tests.support.provider import Answer, Provider
from tests.support.proxy import OTHER_API_KEY, OTHER_PROJECT, Proxy

UNKNOWN = "0123456789abcdef0123456789abcdef"
SECRET = "The secret word is xylophone."
ENDPOINTS = [(method, path) for method, path, _ in endpoints()]
BODIES: dict[str, Any] = {
    "/users": {"custom_user_id": UNKNOWN},
    "/users/{user_id}": {"new_metadata": {"changed": True}},
    "/users/{user_id}/sessions": {"metadata": {}},
    "/users/{user_id}/sessions/{session_id}": {"new_metadata": {"changed": True}},
    "/users/{user_id}/sessions/{session_id}/add-message": {"role": "user", "message": "I am somebody else."},
    "/users/{user_id}/import": {"format": "recallr-user", "version": 0},  # refused, else it would make the user
    "/users/{user_id}/memory/{memory_id}": {"pinned": True},
    "/users/{user_id}/merge-conflicts/{conflict_id}/resolve": {"answers": {"question_answers": []}},
}
"""What is sent to the endpoints that take a body."""


@dataclass(frozen=True)
class Victim:
    """A user whose memory others ask for."""

    user: str
    sessions: tuple[str, ...]
    """Ids: of a processed one, of a chat, and of one made by the API."""


@pytest.fixture
def victim(proxy: Proxy, provider: Provider, user: str) -> Victim:
    provider.answer(Answer(text="Noted."))
    processed = remember(proxy, user, SECRET)
    chat = proxy.ask(user, "My other word is zither.").session_id
    made = sdk(proxy).get_user(user).create_session(metadata={"word": "marimba"})
    made.add_message(MessageRole.USER, "And the last word is glockenspiel.")
    return Victim(user, (processed, chat, made.session_id))


def everything(proxy: Proxy, victim: Victim) -> list[Any]:
    """All that its own project can see of the victim."""
    person = sdk(proxy).get_user(victim.user)
    return [
        person.metadata,
        sorted((one.session_id, str(one.metadata), one.created_at) for one in person.list_sessions(limit=50).sessions),
        [(one.content, one.session_id) for one in person.get_last_n_messages(100).messages],
    ]


def filled(path: str, ids: dict[str, str]) -> str:
    """The path with ids in the place of its parameters, any unknown one where none is given."""
    return re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], UNKNOWN), path)


def test_there_are_endpoints_to_try() -> None:
    assert len([path for _, path in ENDPOINTS if "{" in path]) >= 18
    with_body = {path for method, path, operation in endpoints() if "requestBody" in operation}
    assert with_body <= BODIES.keys(), "say what is sent to the others"


def test_another_project_learns_and_changes_nothing(proxy: Proxy, provider: Provider, victim: Victim) -> None:
    before = everything(proxy, victim)
    theirs: dict[str, object] = {"api_key": OTHER_API_KEY, "project_id": OTHER_PROJECT}
    call(proxy, "POST", "/users", body={"custom_user_id": "here"}, **theirs)

    for method, path in ENDPOINTS:
        for session in (*victim.sessions, UNKNOWN):
            ids = {"user_id": victim.user, "session_id": session, "memory_id": session, "request_id": session}
            known = call(proxy, method, filled(path, ids), body=BODIES.get(path), **theirs)
            if "{user_id}" in path:
                unknown = call(
                    proxy, method, filled(path, {**ids, "user_id": UNKNOWN * 2}), body=BODIES.get(path), **theirs
                )
                assert (known.status_code, known.text) == (
                    unknown.status_code,
                    unknown.text.replace(UNKNOWN * 2, victim.user),
                ), f"{method} {path} tells a user of another project from none"
            assert_no_word(known.text, f"{method} {path}")
        if "{" not in path:
            listed = call(proxy, method, f"{path}?limit=200", body=BODIES.get(path), **theirs)
            assert victim.user not in listed.text
    assert everything(proxy, victim) == before, "and nothing was changed"


def test_another_user_of_the_project_learns_and_changes_nothing(
    proxy: Proxy, provider: Provider, victim: Victim
) -> None:
    before = everything(proxy, victim)
    other = f"other-{victim.user}"
    sdk(proxy).create_user(other)

    for method, path in ENDPOINTS:
        if "{user_id}/" not in path:
            continue
        for name in set(re.findall(r"\{(\w+)\}", path)) - {"user_id"}:
            unknown = call(proxy, method, filled(path, {"user_id": other}), body=BODIES.get(path))
            assert unknown.status_code in (404, 405), f"{method} {path} of an unknown {name}: {unknown.text}"
            for id in victim.sessions:
                known = call(proxy, method, filled(path, {"user_id": other, name: id}), body=BODIES.get(path))
                assert (known.status_code, known.text.replace(id, UNKNOWN)) == (
                    unknown.status_code,
                    unknown.text,
                ), f"{method} {path} tells what another user has from nothing"
        if path.count("{") == 1 and method == "GET":
            assert_no_word(call(proxy, method, filled(path, {"user_id": other})).text, f"{method} {path}")
    session = sdk(proxy).get_user(other).create_session()
    session.add_message(MessageRole.USER, "What is the secret word? What are the other words?")
    context = session.get_context(min_top_k=50, memories_threshold=0.0, include_metadata_ids=True)
    assert_no_word(context.model_dump_json(), "the context of another user")
    assert everything(proxy, victim) == before, "and nothing was changed"


def test_litellms_keys_open_no_memory(proxy: Proxy, victim: Victim) -> None:
    for method, path in ENDPOINTS:
        response = call(
            proxy, method, filled(path, {"user_id": victim.user}), body=BODIES.get(path), api_key=proxy.master_key
        )
        assert response.status_code == 401, f"{method} {path}"


def assert_no_word(text: str, where: str) -> None:
    for word in ("xylophone", "zither", "marimba", "glockenspiel"):
        assert word not in text, f"{where} leaks: {text}"
