"""Who asked: headers over body over what is stored; wrong values named, all at once; nothing left on the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recallr_litellm.errors import InvalidReconifyUser
from recallr_litellm.reconify.person import Headers, Person, person_of, take_from_body, take_headers


def headers(**fields: str) -> Headers:
    """`X-Reconify-User-*` headers, by their names in snake case."""
    sent = [(f"X-Reconify-User-{name.replace('_', '-')}".encode(), value.encode()) for name, value in fields.items()]
    return take_headers(sent)[0]


NONE: Headers = ()


def test_headers_win_over_the_body() -> None:
    person = person_of(headers(first_name="H"), {"firstName": "B", "last_name": "B", "isAuthenticated": 0}, "u")
    assert person == Person(user_id="u", first_name="H", last_name="B", is_authenticated=False)


def test_the_body_may_have_it_as_json_text_as_openais_metadata_values_are_texts() -> None:
    person = person_of(NONE, json.dumps({"email": "a@b.c", "unknown": 1}), None)
    assert person is not None
    assert person.payload() == {"email": "a@b.c"}, "an e-mail address alone says who it is"


def test_who_cannot_be_identified_is_left_out() -> None:
    nameless = person_of(headers(first_name="Jane"), None, None)
    assert nameless is not None
    assert nameless.payload() is None, "without id and e-mail address every request would be a new user"
    assert person_of(NONE, None, None) is None


def test_all_that_is_wrong_is_named_at_once_and_never_said_back() -> None:
    sent = [
        (b"x-reconify-user-email", b"nobody-secret"),
        (b"x-reconify-user-is-authenticated", b"maybe-secret"),
        (b"x-reconify-user-phone", b"1"),
        (b"x-reconify-user-phone", b"2"),
        (b"x-reconify-user-gender", b"\xff"),
    ]
    given = take_headers(sent)[0]
    with pytest.raises(InvalidReconifyUser) as raised:
        person_of(given, {"lastName": 5, "firstName": "x" * 257}, "u")
    assert raised.value.problems == {
        "X-Reconify-User-Email": "must be an e-mail address",
        "X-Reconify-User-Is-Authenticated": "must be true, false, 1 or 0",
        "X-Reconify-User-Phone": "was sent twice",
        "X-Reconify-User-Gender": "must be UTF-8",
        "metadata.reconify_user.lastName": "must be text",
        "metadata.reconify_user.firstName": "must have 1 to 256 characters",
    }
    assert raised.value.status == 400
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("written", [7, True, [], "no JSON", "[]"])
def test_what_is_no_object_in_the_body_is_named(written: Any) -> None:
    with pytest.raises(InvalidReconifyUser) as raised:
        person_of(NONE, written, "u")
    assert raised.value.problems == {"metadata.reconify_user": "must be an object"}
    assert raised.value.param == "metadata.reconify_user"


def test_the_body_is_cleared_everywhere_litellm_has_copied_it_to() -> None:
    about = {"email": "a@b.c"}
    client = {"reconify_user": about, "mine": "x"}
    body: dict[str, Any] = {
        "metadata": {**client, "requester_metadata": dict(client), "user_api_key": "k"},
        "proxy_server_request": {"body": {"metadata": dict(client)}},
    }
    assert take_from_body(body) == about
    assert "reconify_user" not in repr(body)
    assert body["metadata"]["mine"] == "x"


@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": "x"}, {"metadata": {}}, {"metadata": {"a": 1}}])
def test_a_body_that_says_nothing_of_its_user_stays_as_it_is(body: dict[str, Any]) -> None:
    before = json.dumps(body)
    assert take_from_body(body) is None
    assert json.dumps(body) == before


def test_an_emptied_metadata_goes_too() -> None:
    body = {
        "metadata": {"reconify_user": {"email": "a@b.c"}},
        "litellm_metadata": {"requester_metadata": {"reconify_user": {"email": "a@b.c"}}},
    }
    assert take_from_body(body) == {"email": "a@b.c"}
    assert body == {"litellm_metadata": {"requester_metadata": {}}}, "it would reach the provider as an empty object"
