"""Fixtures of the console's tests, which share the gateway of the run: see `tests/conftest.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import call
from tests.support.chromium import Chromium, lacking
from tests.support.console import Browser
from tests.support.proxy import API_KEY, PROJECT, Proxy
from tests.support.waiting import eventually


@pytest.fixture
def browser(proxy: Proxy) -> Iterator[Browser]:
    """Makes clients that keep cookies, follow redirects, and have come in with a key unless told otherwise."""
    opened: list[httpx.Client] = []

    def open_(project: str | None = PROJECT, key: str = API_KEY) -> httpx.Client:
        client = httpx.Client(
            base_url=f"{proxy.url}/recallr/console", follow_redirects=True, trust_env=False, timeout=60.0
        )
        opened.append(client)
        if project is not None:
            came = client.post("/login", data={"project": project, "key": key})
            assert came.status_code == 200, came.text
        return client

    yield open_
    for client in opened:
        client.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Chromium]:
    """One window for all tests of this folder."""
    if lacks := lacking():
        assert not os.environ.get("CI"), lacks
        pytest.skip(lacks)
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def learned(proxy: Proxy, user: str) -> str:
    """A user of whom a memory in two versions, one that it is connected with, and a conflict are known."""
    at, session = "2026-03-01T10:00:00Z", "5" * 32
    memory = {"created_at": at, "session": session, "sources": ["m1"]}
    home = {"entities": [{"name": "Rome", "kind": "place"}], "attribute": "home", "categories": ["home"]}
    document = {
        "format": "recallr-user",
        "version": 1,
        "user": {"id": user},
        "sessions": [
            {"id": session, "created_at": at, "messages": [{"id": "m1", "role": "user", "text": "I moved to Rome."}]}
        ],
        "memories": [
            {**memory, **home, "id": "a" * 32, "content": "User lives in Rome.", "reason": "TEMPORAL_CONFLICT",
             "connected": ["b" * 32], "conflict": "c" * 32},
            {**memory, "id": "d" * 32, "content": "User lives in Porto.", "chain": "a" * 32,
             "expired_at": "2026-03-01T10:00:00Z", "expiration_reason": "TEMPORAL_CONFLICT"},
            {**memory, **home, "id": "b" * 32, "content": "User's sister <Ana> works in Rome.",
             "connected": ["a" * 32]},
        ],
        "conflicts": [
            {"id": "c" * 32, "memory": "a" * 32, "proposed": "e" * 32, "content": "User lives in Paris.",
             "questions": [{"question": "Where do you live?", "options": ["User lives in Rome.", "In Paris."]}],
             "session": session, "sources": ["m1"], "created_at": at}
        ],
    }  # fmt: skip
    answer = call(proxy, "POST", f"/users/{user}/import", body=document)
    assert answer.status_code == 200, answer.text
    status = f"/users/{user}/sessions/{session}"
    eventually(lambda: call(proxy, "GET", status).json()["status"] == "processed", "the session is processed")
    return user
