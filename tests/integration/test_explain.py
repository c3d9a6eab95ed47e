"""Why a request got what it got: `GET /api/v1/requests/…` and `recallr explain`, against a running gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import openai
import pytest
from typer.testing import CliRunner

from recallr_litellm.cli import app
from tests.support.memory import remember
from tests.support.provider import Provider
from tests.support.proxy import API_KEY, OTHER_API_KEY, OTHER_PROJECT, PROJECT, Proxy
from tests.support.waiting import eventually

OURS = {"X-Recallr-Project-Id": PROJECT, "X-Recallr-API-Key": API_KEY}
THEIRS = {"X-Recallr-Project-Id": OTHER_PROJECT, "X-Recallr-API-Key": OTHER_API_KEY}


def get(proxy: Proxy, path: str, headers: Mapping[str, str] = OURS, **params: int) -> httpx.Response:
    return httpx.get(f"{proxy.url}/api/v1/{path}", headers=headers, params=params, timeout=60)


def explained(proxy: Proxy, headers: Mapping[str, str]) -> dict[str, Any]:
    """The explanation of the request whose response has these headers, which is there a moment after."""
    path = f"requests/{headers['x-recallr-request-id']}"
    answer = eventually(lambda: get(proxy, path), "it is explained", until=lambda found: found.status_code != 404)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_chat_request_is_explained(proxy: Proxy, provider: Provider, user: str) -> None:
    remember(
        proxy, user, "I parked the car on level 4 of the garage near the station.", "Thanks!", "My cat is called Felix."
    )
    asked = proxy.ask(user, "Where did I park the car on Friday?", recall_strategy="low_latency", max_top_k=20)
    found = explained(proxy, asked.headers)

    request = found["request"]
    assert request["user_id"] == user
    assert request["session_id"] == asked.session_id
    assert (request["status"], request["http_status"], request["strategy"]) == ("ok", 200, "low_latency")
    assert found["found_by"] == "new"
    assert found["options"]["max_top_k"] == {"value": 20, "source": "header"}
    assert found["options"]["min_top_k"] == {"value": 10, "source": "default"}
    assert not {"api_key", "project_id"} & found["options"].keys()
    assert found["question"]["text"] == "Where did I park the car on Friday?"
    assert found["question"]["periods"], "the time that it names is not told"

    best = found["candidates"][0]
    assert "level 4" in best["text"]
    assert (best["kind"], best["role"], best["outcome"]) == ("passage", "user", "shown")
    assert {"cosine", "bm25"} <= best["signs"].keys()
    assert sum(best["signs"].values()) == pytest.approx(best["score"], abs=0.002)
    assert best["relevance"] > 0.7
    scores = [one["score"] for one in found["candidates"] if one["kind"] == "passage"]
    assert scores == sorted(scores, reverse=True)
    assert request["shown"] == sum(one["outcome"] == "shown" for one in found["candidates"])

    [block] = found["blocks"]
    assert block["new"]
    assert block["place"] == "in front of the user's last message"
    assert block["text"] in str(provider.last.json["messages"][-1]["content"]), "the model saw another block"
    parts = [part["name"] for part in found["parts"]]
    assert parts[:2] == ["admission", "session"]
    assert {"question", "embedding", "search", "scoring", "block", "injection", "provider", "capture"} <= {*parts}


def test_what_had_no_room_and_what_was_said_before_is_told(proxy: Proxy, user: str) -> None:
    story = (
        "In the summer of that year the {} of our house was repaired by a friend, who took three weeks for it and " * 4
    )
    things = ("roof", "door", "floor", "stair", "gate", "wall", "stove", "fence", "well", "lamp", "bell", "pipe")
    remember(proxy, user, *(story.format(*[thing] * 4) for thing in things), "What is broken?", "What is broken?")
    first = proxy.ask(user, "What was repaired by a friend?", min_top_k=30)
    outcomes = [one["outcome"] for one in explained(proxy, first.headers)["candidates"]]
    assert {"shown", "no_room", "same_words"} <= {*outcomes}

    said = [
        {"role": "user", "content": "What was repaired by a friend?"},
        {"role": "assistant", "content": first.text},
    ]
    second = proxy.ask(user, *said, "What else was repaired by a friend?", min_top_k=30)  # type: ignore[arg-type]
    found = explained(proxy, second.headers)
    assert found["found_by"] == "history"
    assert "shown_before" in [one["outcome"] for one in found["candidates"]]
    new, old = found["blocks"]
    assert new["new"]
    assert not old["new"]
    assert old["laid_by"] == first.headers["x-recallr-request-id"]


def test_requests_without_memory_say_why_and_nothing_of_their_users(proxy: Proxy, user: str) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        proxy.ask(user, "My secret is 42.", min_top_k=300)
    with pytest.raises(openai.NotFoundError) as unknown:
        proxy.ask(user, "My secret is 42.", allow_new_user_creation="false")
    history = "<chat_history>\nUSER: My secret is 42.\nASSISTANT: Noted.\n</chat_history>"
    title = proxy.ask(user, f"### Task:\nGenerate a concise, 3-5 word title.\n\n### Chat History:\n{history}")
    reasons = []
    for headers in (bad.value.response.headers, unknown.value.response.headers, title.headers):
        found = explained(proxy, headers)
        assert found["request"]["status"] == "off"
        assert user not in str(found)
        assert "secret" not in str(found)
        reasons.append((found["request"]["http_status"], found["request"]["reason"]))
    assert reasons[0][0] == 400
    assert "X-Recallr-Min-Top-K" in reasons[0][1]
    assert reasons[1][0] == 404
    assert "X-Recallr-Allow-New-User-Creation" in reasons[1][1]
    assert reasons[2][0] == 200
    assert reasons[2][1].startswith("helper call: ")


def test_the_last_requests_are_listed_newest_first(proxy: Proxy, user: str) -> None:
    ids = [proxy.ask(user, text).headers["x-recallr-request-id"] for text in ("One.", "Two.", "Three.")]
    eventually(lambda: get(proxy, f"requests/{ids[-1]}").status_code, "it is kept", until=lambda status: status == 200)
    page = get(proxy, "requests", limit=2).json()
    assert [one["request_id"] for one in page["requests"]] == [ids[2], ids[1]]
    assert page["total"] >= 3
    assert page["has_more"]
    assert get(proxy, "requests", limit=2, offset=2).json()["requests"][0]["request_id"] == ids[0]


def test_a_request_of_another_project_is_like_an_unknown_one(proxy: Proxy, user: str) -> None:
    asked = proxy.ask(user, "My secret is 42.")
    explained(proxy, asked.headers)
    id = asked.headers["x-recallr-request-id"]
    others, unknown = (get(proxy, f"requests/{one}", THEIRS) for one in (id, "0" * 32))
    assert (others.status_code, unknown.status_code) == (404, 404)
    assert others.text.replace(id, "0" * 32) == unknown.text
    listed = get(proxy, "requests", THEIRS, limit=100).json()
    assert id not in [one["request_id"] for one in listed["requests"]]


def test_the_context_of_a_session_is_explained_too(proxy: Proxy, user: str) -> None:
    remember(proxy, user, "I parked the car on level 4 of the garage near the station.")
    session = proxy.ask(user, "Where did I park the car?").session_id
    url = f"{proxy.url}/api/v1/users/{user}/sessions/{session}/context"
    given = httpx.get(url, headers=OURS, params={"max_top_k": 20, "recall_strategy": "low_latency"}, timeout=60)
    assert given.status_code == 200, given.text
    found = explained(proxy, given.headers)
    assert (found["request"]["kind"], found["request"]["status"]) == ("context", "ok")
    assert (found["request"]["user_id"], found["request"]["session_id"]) == (user, session)
    assert found["options"]["max_top_k"] == {"value": 20, "source": "query"}
    assert found["options"]["strategy"] == {"value": "low_latency", "source": "query"}
    assert found["question"]["text"] == "Where did I park the car?"
    assert found["candidates"][0]["outcome"] == "shown"
    assert found["blocks"][0]["text"] in given.json()["context"]


def test_they_are_deleted_with_their_user(proxy: Proxy, user: str) -> None:
    asked = proxy.ask(user, "My secret is 42.")
    explained(proxy, asked.headers)
    deleted = httpx.delete(f"{proxy.url}/api/v1/users/{user}", headers=OURS, timeout=60)
    assert deleted.is_success, deleted.text
    id = asked.headers["x-recallr-request-id"]
    assert get(proxy, f"requests/{id}").status_code == 404
    assert id not in get(proxy, "requests", limit=100).text


def test_the_command_shows_it(proxy: Proxy, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(proxy, user, "I parked the car on level 4 of the garage near the station.")
    asked = proxy.ask(user, "Where did I park the car?")
    explained(proxy, asked.headers)
    monkeypatch.setenv("RECALLR_API_KEY", API_KEY)
    monkeypatch.setenv("RECALLR_PROJECT_ID", PROJECT)
    id = asked.headers["x-recallr-request-id"]
    shown = CliRunner().invoke(app, ["explain", id, "--gateway", proxy.url])
    assert shown.exit_code == 0, shown.output
    for text in (id, user, "Where did I park the car?", "level 4", "cosine+", "TIMES", "provider", "<recallr_memory"):
        assert text in shown.output, shown.output
    listed = CliRunner().invoke(app, ["explain", "--gateway", proxy.url])
    assert id in listed.output
    unknown = CliRunner().invoke(app, ["explain", "0" * 32, "--gateway", proxy.url])
    assert unknown.exit_code == 1
    assert "not found" in unknown.output
