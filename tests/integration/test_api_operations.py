"""What the console asks for: requests over time, queues, failed sessions, refused payloads."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.proxy import OTHER_API_KEY, OTHER_PROJECT, Proxy
from tests.support.waiting import eventually

THEIRS = {"X-Recallr-Project-Id": OTHER_PROJECT, "X-Recallr-API-Key": OTHER_API_KEY}


def get(proxy: Proxy, path: str, **params: str) -> Any:
    answer = httpx.get(f"{proxy.url}/api/v1/{path}", headers=THEIRS, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def counted(proxy: Proxy, step: str) -> dict[str, int]:
    """Status → requests of all points."""
    total: dict[str, int] = {}
    for point in get(proxy, "metrics/series", step=step)["points"]:
        for status, number in point["requests"].items():
            total[status] = total.get(status, 0) + number
    return total


def test_requests_are_counted_over_time(proxy: Proxy, user: str) -> None:
    before = counted(proxy, "hour")
    for text in ("My cat is called Felix.", "And my dog is called Rex."):
        proxy.ask(user, text, project_id=OTHER_PROJECT, api_key=OTHER_API_KEY, conversation_id=text[:6])
    expected = {**before, "empty": before.get("empty", 0) + 1, "ok": before.get("ok", 0) + 1}
    eventually(lambda: counted(proxy, "hour"), "both are counted", until=lambda found: found == expected)
    assert counted(proxy, "minute").get("ok", 0) >= 1
    last = [point for point in get(proxy, "metrics/series")["points"] if point["requests"]][-1]
    assert 0 < last["added_ms_p50"] <= last["added_ms_p99"]
    assert get(proxy, "metrics/series", since="2999-01-01T00:00:00Z")["points"] == []


def test_what_a_project_has_is_counted(proxy: Proxy, user: str) -> None:
    def totals() -> tuple[int, int, int]:
        found = get(proxy, "metrics/totals")
        sessions = found["sessions"]
        assert sessions.keys() == {"pending", "processing", "processed", "failed"}
        return found["users"], sessions["processed"], sum(sessions.values())

    users, processed, sessions = totals()
    of_project = {"project_id": OTHER_PROJECT, "api_key": OTHER_API_KEY}
    proxy.ask(user, "My cat is called Felix.", session_timeout_seconds=1, **of_project)
    eventually(totals, "a session is processed", until=lambda found: found == (users + 1, processed + 1, sessions + 1))
    proxy.ask(user, "And my dog is called Rex.", **of_project)
    eventually(totals, "another one waits", until=lambda found: found == (users + 1, processed + 1, sessions + 2))
    found = get(proxy, "users", search=user[2:].upper(), order="last_seen")
    assert [one["custom_user_id"] for one in found["users"]] == [user]
    assert found["total"] == 1


def test_where_nothing_failed_there_is_nothing_to_retry(proxy: Proxy) -> None:
    queues = get(proxy, "metrics/queues")
    assert all(queues[name] == 0 for name in ("failed", "learning", "learning_failed", "dead", "dead_webhooks"))
    nothing = {"total": 0, "has_more": False}
    assert get(proxy, "operations/failed-sessions") == {"sessions": [], **nothing}
    assert get(proxy, "operations/dead-letters") == {"dead_letters": [], **nothing}
    for path, status in (
        ("failed-sessions/retry", 200),
        ("dead-letters/retry", 200),
        ("failed-sessions/none/retry", 404),
        ("dead-letters/none/retry", 404),
    ):
        answer = httpx.post(f"{proxy.url}/api/v1/operations/{path}", headers=THEIRS, timeout=60)
        assert answer.status_code == status, answer.text
        assert answer.json().get("retried", 0) == 0
