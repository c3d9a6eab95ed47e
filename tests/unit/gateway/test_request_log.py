"""The log line of a request: what it says, and that nothing a client sends can forge or flood it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.errors import Unauthorized
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.middleware import RecallrMiddleware
from recallr_litellm.gateway.reporter import Reporter
from recallr_litellm.gateway.request_log import RequestLog
from recallr_litellm.reconify.person import person_of
from recallr_litellm.request_headers import RawHeaders, parse
from recallr_litellm.settings import LogUsers
from recallr_litellm.tasks import InFlight

BLOCK = (
    '<recallr_memory now="Sat 22 Nov 2025 11:05" timezone="UTC" note="…">\n'
    "<earlier in this conversation, Sat 22 Nov 2025>\n<user 10:58> 90% of the breakers?\n"
    "<facts, relevance in %>\n<1 Mon 3 Nov 2025 94%> Prefers window seats.\n<1.1 event Sun 12 Oct 2025> Missed it.\n"
    "<memories, relevance in %>\n<conversation Mon 3 Nov 2025>\n<user 18:40 91%> I always book a window seat.\n"
    "<summaries, relevance in %>\n<conversation Mon 3 Nov 2025 18:31 74%> Plans a trip.\n</recallr_memory>"
)


class Lines(logging.Handler):
    """Collects what the plugin logs while it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._logger = logging.getLogger("recallr_litellm")

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())

    def __enter__(self) -> list[str]:
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self.found

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)


def line(call: Call, status: int | None = 200, users: LogUsers = LogUsers.HASHED) -> str:
    with Lines() as lines:
        RequestLog(users).write(call, status)
    (only,) = lines
    return only


def sent(**headers: str) -> RawHeaders:
    return RawHeaders(tuple(("x-recallr-" + name.replace("_", "-"), value) for name, value in headers.items()))


def test_a_request_that_was_served() -> None:
    call = Call(sent(project_id="acme", user_id="alice"), request_id="a1", status="ok", strategy="auto:low_latency")
    call.project_id, call.user_id, call.session_id, call.spent, call.block = "acme", "alice", "5e", 0.0123, BLOCK
    call.found_by, call.block_tokens = "history", 123
    digest = hashlib.sha256(b"alice").hexdigest()[:12]
    assert line(call) == (
        f"Request id=a1 project=acme user={digest} session=5e chat=history strategy=auto:low_latency status=ok "
        f"reason=- http=200 memories=3 tokens=123 ms=12.3"
    )


def test_a_request_that_was_refused_says_what_it_asked_for_and_why_not() -> None:
    call = Call(
        sent(project_id="acme", user_id="alice", session_id="gone"), request_id="a1", reason="session_not_found"
    )
    assert line(call, 404, LogUsers.PLAIN) == (
        "Request id=a1 project=acme user=alice session=gone chat=- strategy=- status=off "
        "reason=session_not_found http=404 memories=0 tokens=0 ms=0.0"
    )


def test_users_can_be_left_out() -> None:
    assert " user=- " in line(Call(sent(user_id="alice")), users=LogUsers.OFF)


def test_a_degraded_request_is_one_field() -> None:
    call = Call(sent())
    call.degrade("store")
    assert ' status="degraded; reason=store" ' in line(call, None)


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_nothing_that_a_client_sends_forges_or_floods_the_line(project: str, user: str) -> None:
    text = line(Call(sent(project_id=project, user_id=user, session_id=user)), 401, LogUsers.PLAIN)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 13 * 3 * 256 + 500
    unquoted = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    assert re.findall(r" (\w+)=", unquoted) == (
        "id project user session chat strategy status reason http memories tokens ms".split()
    )


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
def test_each_recallr_request_has_one_line_and_no_other_request_has(fails: bool) -> None:
    written: list[int | None] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if fails:
            raise Unauthorized("no")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> Any:
        return True

    middleware = RecallrMiddleware(
        application,
        store=nothing,
        later=lambda _: None,
        deadline=lambda _: 0,
        enter=lambda *_: None,
        ended=(lambda _, http: written.append(http),),
        reporter=Reporter(),
        in_flight=InFlight(),
    )
    for headers in ([(b"x-recallr-user-id", b"alice")], []):
        try:
            asyncio.run(
                middleware({"type": "http", "method": "POST", "path": "/", "headers": headers}, nothing, nothing)
            )
        except Unauthorized:
            assert fails
    assert written == [500 if fails else 204]


def test_an_unknown_header_is_logged_once_and_the_names_that_are_remembered_are_bounded() -> None:
    with Lines() as lines:
        for _ in range(3):
            parse(sent(colour_of_the_test="red"), min_session_timeout_seconds=600)
            person_of((("x-reconify-user-colour", "red"),), None, None)
        assert lines == [
            "Ignoring the unknown header 'x-recallr-colour-of-the-test'",
            "Ignoring the unknown header 'x-reconify-user-colour'",
        ]
        for number in range(2000):
            parse(sent(**{f"colour-{number}-" + "x" * 500: "red"}), min_session_timeout_seconds=600)
    assert len(lines) <= 101
    assert max(map(len, lines)) < 150
