"""Projects bound to LiteLLM keys and teams: what their metadata may say, and who is admitted under it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.proxy._types import UserAPIKeyAuth

from recallr_litellm.core.options import Strategy
from recallr_litellm.errors import InvalidHeaders, RecallrError, Unauthorized
from recallr_litellm.gateway.admission import Admission, admit
from recallr_litellm.gateway.binding import Binding, Bindings
from recallr_litellm.gateway.call import Call
from recallr_litellm.litellm_host.tracing import name_session
from recallr_litellm.metrics import FAULTS
from recallr_litellm.projects import Projects
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.settings import BoundBy

KEY, PROJECT = "rai_key-of-acme", "acme"
OTHER_KEY, OTHER_PROJECT = "rai_key-of-globex", "globex"
PROJECTS = Projects({PROJECT: [KEY], OTHER_PROJECT: [OTHER_KEY]})
LITELLM_KEY = "key-that-nobody-may-read"


def key(metadata: Any = None, team: Any = None, **fields: Any) -> UserAPIKeyAuth:
    """A LiteLLM key; `metadata` and `team` are what stands under `recallr`."""
    return UserAPIKeyAuth(
        api_key=LITELLM_KEY,
        metadata={} if metadata is None else {"recallr": metadata},
        team_metadata=None if team is None else {"recallr": team},
        **fields,
    )


def binding_of(metadata: Any = None, team: Any = None) -> Binding | None:
    return Bindings(min_session_timeout_seconds=600).of(key(metadata, team))


@pytest.mark.parametrize(("holders", "bound_to"), [(["team"], "of-team"), (["key"], "of-key"), ([], None)])
def test_an_administrator_says_whose_metadata_counts(holders: list[str], bound_to: str | None) -> None:
    bindings = Bindings(min_session_timeout_seconds=600, holders=[BoundBy(holder) for holder in holders])
    found = bindings.of(key({"project_id": "of-key"}, {"project_id": "of-team"}))
    assert (found.project_id if found else None) == bound_to, "a key may have been made by anybody"


def raw(**headers: str) -> RawHeaders:
    return RawHeaders(tuple(("x-recallr-" + name.replace("_", "-"), value) for name, value in headers.items()))


def admitted(metadata: Any, body_user: str | None = None, **headers: str) -> Admission | None:
    """What becomes of a request of a key with this metadata; None: it goes on without memory."""
    binding = None if metadata is None else binding_of(metadata)
    return admit(Call(raw(**headers)), body_user, PROJECTS, binding, min_session_timeout_seconds=600)


def served(metadata: Any, body_user: str | None = None, **headers: str) -> Admission:
    """As `admitted`, for a request that has memory."""
    found = admitted(metadata, body_user, **headers)
    assert found is not None, f"with {metadata}, user {body_user!r} and headers {headers} the request has no memory"
    return found


def test_what_is_said_is_said_in_the_timezone_of_the_header():
    assert served({"project_id": "acme"}, user_id="u", timezone="Europe/Berlin").session.timezone == "Europe/Berlin"
    assert served({"project_id": "acme"}, user_id="u").session.timezone == ""


def test_the_least_a_binding_says_is_its_project():
    assert binding_of({"project_id": "acme"}) == Binding(project_id="acme", user_from="user", enabled=True, defaults={})


def test_a_keys_binding_replaces_its_teams_as_a_whole():
    team = {"project_id": "acme", "user_from": "header", "defaults": {"timezone": "Asia/Tokyo"}}
    assert binding_of(team=team) == Binding.model_validate(team)
    assert binding_of({"project_id": "globex"}, team) == Binding(project_id="globex"), (
        "nothing of the team's binding is mixed into the key's"
    )


def test_defaults_are_named_like_fields_or_like_headers():
    defaults = {"min_top_k": 3, "X-Recallr-Timezone": "Asia/Tokyo", "x-recallr-include-system-prompt": False}
    binding = binding_of({"project_id": "acme", "defaults": {**defaults, "memories_threshold": 0.5}})
    assert binding is not None
    assert dict(binding.defaults) == {
        "min_top_k": "3",
        "timezone": "Asia/Tokyo",
        "include_system_prompt": "False",
        "memories_threshold": "0.5",
    }


@pytest.mark.parametrize(
    ("metadata", "at_fault"),
    [
        ({}, "project_id: Field required"),
        ({"project_id": "acme", "projekt": 1}, "projekt: "),
        ({"project_id": "acme", "user_from": "body"}, "user_from: must be 'user' or 'header'"),
        ({"project_id": "acme", "enabled": "perhaps"}, "enabled: must be true, false, 1 or 0"),
        ({"project_id": "acme", "defaults": []}, "defaults: must be an object"),
        ({"project_id": "acme", "defaults": {"colour": "red"}}, "defaults: 'colour' is no header"),
        ({"project_id": "acme", "defaults": {"api_key": KEY}}, "defaults: 'api_key' is no header"),
        ({"project_id": "acme", "defaults": {"session_id": "abc"}}, "defaults: 'session_id' is no header"),
        ({"project_id": "acme", "defaults": {"timezone": "Mars"}}, "defaults: X-Recallr-Timezone: must be an IANA"),
        ({"project_id": "acme", "defaults": {"min_top_k": 60}}, "defaults: X-Recallr-Min-Top-K: X-Recallr-Min"),
        ({"project_id": "acme", "defaults": {"session_timeout_seconds": 5}}, "X-Recallr-Session-Timeout-Seconds: "),
        ({"project_id": "acme", "defaults": {"timezone": "UTC", "Timezone": "UTC"}}, "X-Recallr-Timezone is there"),
        ("acme", "recallr: "),
    ],
    ids=str,
)
def test_wrong_metadata_turns_memory_off_and_the_log_says_once_what_is_wrong(
    caplog: pytest.LogCaptureFixture, metadata: Any, at_fault: str
) -> None:
    bindings, counter = Bindings(min_session_timeout_seconds=600), FAULTS.labels("binding")
    before = counter._value.get()
    with caplog.at_level(logging.INFO):
        found = [bindings.of(key(metadata, key_alias="support", team_id="team-7")) for _ in range(3)]

    assert all(binding is not None and not binding.enabled for binding in found), "bound, but without memory"
    assert len(caplog.records) == 1, f"told once, not {caplog.messages}"
    assert caplog.records[0].levelname == "WARNING"
    for part in (at_fault, "'support'", "'team-7'"):
        assert part in caplog.text, f"the log line should hold {part!r}"
    assert LITELLM_KEY not in caplog.text, "the LiteLLM key is nobody's business"
    assert KEY not in caplog.text, "nor is a Recallr key that was put there by mistake"
    assert counter._value.get() == before + 3, "the metric counts every request"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["project_id", "user_from", "enabled", "defaults", "timezone", "user_id"]) | st.text(),
                inner,
            )
        ),
    )
)
def test_any_metadata_is_a_binding_or_is_told_and_never_raises(metadata: Any) -> None:
    binding = Bindings(min_session_timeout_seconds=600).of(key(metadata, team=metadata))
    assert (binding is None) == (metadata is None)


def test_defaults_of_the_metadata_stand_between_header_and_default():
    defaults = {"recall_strategy": "auto", "max_top_k": 20, "allow_new_user_creation": True}
    metadata = {"project_id": "acme", "defaults": defaults}
    options = served(metadata, "alice").headers.recall_options
    assert (options.strategy, options.min_top_k, options.max_top_k) == (Strategy.AUTO, 10, 20)
    assert served(metadata, "alice").session.allow_new_user
    options = served(metadata, "alice", recall_strategy="Deep", max_top_k="30").headers.recall_options
    assert (options.strategy, options.max_top_k) == (Strategy.AGENTIC, 30)
    assert not served(metadata, "alice", allow_new_user_creation="0").session.allow_new_user


def test_a_header_that_does_not_fit_the_metadatas_defaults_is_at_fault():
    with pytest.raises(InvalidHeaders) as refused:
        admitted({"project_id": "acme", "defaults": {"max_top_k": 20}}, "alice", min_top_k="30")
    assert refused.value.param == "X-Recallr-Min-Top-K"


@pytest.mark.parametrize(
    ("user_from", "body", "header", "default", "user"),
    [
        ("user", "body", None, None, "body"),
        ("user", "body", "header", "default", "header"),
        ("user", "body", None, "default", "body"),
        ("user", None, None, "default", "default"),
        ("user", None, "header", "default", "header"),
        ("user", None, None, None, None),
        ("user", "", None, None, None),
        ("header", "body", None, None, None),
        ("header", "body", "header", None, "header"),
        ("header", "body", None, "default", "default"),
    ],
)
def test_where_the_user_of_a_bound_request_is_found(
    user_from: str, body: str | None, header: str | None, default: str | None, user: str | None
) -> None:
    defaults = {} if default is None else {"user_id": default}
    found = admitted(
        {"project_id": "acme", "user_from": user_from, "defaults": defaults},
        body,
        **({} if header is None else {"user_id": header}),
    )
    assert (None if found is None else found.session.owner.user) == user


def test_a_user_that_cannot_be_one_passes_unless_the_client_speaks_to_us():
    assert admitted({"project_id": "acme"}, "a\x07b") is None
    with pytest.raises(InvalidHeaders, match="control characters"):
        admitted({"project_id": "acme"}, "a\x07b", timezone="UTC")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("{{LIBRECHAT_USER_ID}}", {}),
        ("undefined", {"timezone": "UTC"}),
        (None, {"user_id": "${user.id}"}),
        ("ana", {"user_id": ""}),
    ],
    ids=["body", "body, other headers", "header", "empty header"],
)
def test_a_placeholder_for_a_user_passes_under_a_bound_key_and_is_refused_without_one(
    body: str | None, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    holder = key({"project_id": "acme"}, key_alias=f"alias-{body}-{headers}")
    bindings = Bindings(min_session_timeout_seconds=600)
    for _ in range(2):
        call = Call(raw(**headers))
        found = admit(call, body, PROJECTS, bindings.of(holder), min_session_timeout_seconds=600, key=holder)
        assert found is None
        assert call.reason == "the user id is a placeholder"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1, f"once for each key and value: {told}"
    assert repr(holder.key_alias) in told[0]
    assert LITELLM_KEY not in told[0]
    with pytest.raises(InvalidHeaders) as refused:
        admitted(None, body, project_id=PROJECT, api_key=KEY, **headers)
    assert set(refused.value.problems) == {"X-Recallr-User-Id"}


def test_a_recallr_key_of_its_own_makes_the_binding_void():
    metadata = {"project_id": "acme", "user_from": "header", "enabled": False, "defaults": {"timezone": "Asia/Tokyo"}}
    found = served(metadata, "alice", api_key=OTHER_KEY, project_id=OTHER_PROJECT)
    assert found.session.owner.project == OTHER_PROJECT
    assert str(found.headers.timezone) == "UTC"
    assert not found.lenient


@pytest.mark.parametrize(
    ("metadata", "headers"),
    [
        ({"project_id": "acme"}, {"project_id": OTHER_PROJECT}),
        ({"project_id": "acme"}, {"project_id": PROJECT, "api_key": OTHER_KEY}),
        ({"project_id": "acme"}, {"project_id": PROJECT, "api_key": ""}),
        ({"project_id": "acme"}, {"api_key": KEY}),
        ({"project_id": "acme", "enabled": False}, {"project_id": PROJECT, "api_key": "wrong"}),
        (None, {"project_id": PROJECT}),
        (None, {"memory": "off", "project_id": PROJECT, "api_key": "wrong"}),
        (None, {"anything": "1"}),
    ],
    ids=str,
)
def test_a_wrong_or_missing_key_is_refused(metadata: Any, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        admitted(metadata, "alice", **headers)


@pytest.mark.parametrize(
    ("metadata", "headers"),
    [
        ({"project_id": "acme"}, {}),
        ({"project_id": "acme"}, {"user_id": "alice"}),
        ({"project_id": "acme", "enabled": False}, {}),
        ({"nonsense": 1}, {}),
        (None, {}),
        (None, {"project_id": PROJECT, "api_key": KEY}),
    ],
    ids=str,
)
def test_off_leaves_the_request_out(metadata: Any, headers: dict[str, str]) -> None:
    assert admitted(metadata, None, memory="OFF", **headers) is None


def test_off_can_be_the_default_that_a_request_lifts():
    metadata = {"project_id": "acme", "defaults": {"memory": "off"}}
    assert admitted(metadata, "alice") is None
    assert admitted(metadata, "alice", memory="on") is not None


def test_on_alone_gives_an_unbound_request_no_memory():
    assert admitted(None, "alice", memory="on") is None


@pytest.mark.parametrize("metadata", [None, {"project_id": "acme"}, {"nonsense": 1}], ids=str)
def test_a_bad_value_is_refused_like_that_of_every_header(metadata: Any) -> None:
    with pytest.raises(InvalidHeaders) as refused:
        admitted(metadata, "alice", memory="perhaps")
    assert refused.value.param == "X-Recallr-Memory"
    with pytest.raises(InvalidHeaders) as refused:
        admitted(None, None, memory="off", timezone="Mars", api_key=KEY, project_id=PROJECT)
    assert set(refused.value.problems) == {"X-Recallr-Timezone"}, "a request that is left out needs no user"


@given(
    metadata=st.sampled_from([None, {}, {"project_id": "acme"}, {"project_id": "acme", "enabled": False}]),
    body_user=st.none() | st.text(max_size=5),
    headers=st.dictionaries(
        st.sampled_from(["memory", "user_id", "project_id", "api_key", "timezone", "min_top_k"]),
        st.sampled_from(["off", "on", "", "acme", KEY, "UTC", "99", "\x00"]),
    ),
)
def test_no_request_reads_a_project_that_neither_its_key_nor_its_binding_opens(
    metadata: Any, body_user: str | None, headers: dict[str, str]
) -> None:
    try:
        found = admitted(metadata, body_user, **headers)
    except RecallrError:
        return
    if found is not None:
        opened = headers.get("api_key") == KEY or ("api_key" not in headers and metadata == {"project_id": "acme"})
        assert opened, f"headers {headers} under {metadata} opened a project"
        assert found.session.owner.project == "acme"


SESSION = "0123456789abcdef0123456789abcdef"


def named(**body: Any) -> dict[str, Any]:
    name_session(body, SESSION)
    return body


def test_an_id_that_litellm_made_up_is_none_of_the_clients():
    body = named(
        metadata={"session_id": "x", "litellm_session_id_generated": True}, litellm_session_id="x", litellm_trace_id="x"
    )
    assert body == {
        "metadata": {"session_id": SESSION, "trace_id": SESSION},
        "litellm_session_id": SESSION,
        "litellm_trace_id": SESSION,
    }
