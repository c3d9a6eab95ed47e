"""What users, models and admins write is shown as text on every page, whatever it is, and breaks no layout."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest
import yaml

from recallr_litellm.console.paths import address
from tests.support.api import call
from tests.support.chromium import Chromium
from tests.support.console import come_in
from tests.support.observe import embedded_redis_url, owner_of
from tests.support.populated import import_user, new_project
from tests.support.proxy import PROJECT, Proxy
from tests.support.set_aside import add_session, set_all_aside
from tests.support.waiting import eventually

SCRIPT = """<script>window.ran = 1</script><img src=x onerror="window.ran = 1">"""
WAY_OUT = """"'></textarea></title></script><svg onload="window.ran = 1">"""
MARKDOWN = "# Heading\n\n[link](javascript:window.ran=1) **bold** <a href='javascript:ran=1'>more</a>"
TEMPLATE = "{{ 7 * 7 }}"
TURNED = "\u202eevil\u202c \u2067\u05e2\u05d1\u05e8\u05d9\u05ea\u2069 \u200b\ufeff"
CONTROL = "\x1b[31m red \x07\x08 \x7f"
LONG = "w" * 100_000
ALL = "\n".join((SCRIPT, WAY_OUT, MARKDOWN, TEMPLATE, TURNED, CONTROL))
NAME = (f"{SCRIPT}{WAY_OUT}{MARKDOWN} " + "w" * 256)[:250].replace("\n", " ")
"""Of a user: the longest there is, without control characters, which none may have."""
SESSION, MEMORY, OTHER, CONFLICT = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)
AT = "2026-03-01T10:00:00Z"


@pytest.fixture(scope="module")
def pages(proxy: Proxy) -> dict[str, str]:
    """Name → address of pages that show texts which somebody wrote to do harm."""
    project = f"hostile-{uuid.uuid4().hex[:8]}" + "w" * 60
    key = new_project(proxy, project, key_name=NAME[:100])
    access: dict[str, Any] = {"project_id": project, "api_key": key}
    import_user(proxy, document(), **access)
    asked = proxy.ask(NAME, f"{ALL} Who is it? {LONG}", **access).headers["x-recallr-request-id"]
    look = partial(call, proxy, "GET", f"/requests/{asked}", **access)
    eventually(look, "the request is explained", until=lambda answer: answer.status_code == 200)
    aside = f"{NAME[:200]}{uuid.uuid4().hex[:8]}"
    add_session(embedded_redis_url(proxy), owner_of(aside), ALL)
    set_all_aside(embedded_redis_url(proxy), f"ValueError: {ALL}{LONG[:5000]}")
    of_user = {"project": project, "user": NAME}
    return {
        "login": address("login", {"next": ALL}),
        "users": address("users", {"project": project}),
        "users-none": address("users", {"project": project, "name": ALL}),
        "user": address("user", of_user),
        "session": address("session", {**of_user, "session": SESSION}),
        "memory": address("memory", {**of_user, "memory": MEMORY}),
        "conflict": address("conflict", {**of_user, "conflict": CONFLICT}),
        "graph": address("graph", of_user),
        "graph-list": address("graph/list", of_user),
        "requests": address("requests", {"project": project}),
        "request": address("request", {"project": project, "id": asked}),
        "playground": address("playground", {**of_user, "question": ALL}),
        "fault": address("user", {"project": project, "user": ALL}),
        "keys": address("projects", {"project": project}),
        "operations": address("operations", {"project": PROJECT}),
    }


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1600])
def test_it_is_shown_as_text_and_does_nothing(
    chromium: Chromium, proxy: Proxy, pages: dict[str, str], width: int
) -> None:
    chromium.look(width=width)
    come_in(chromium, proxy, "", proxy.master_key)
    faults: dict[str, list[str]] = {}
    for name, where in pages.items():
        chromium.open(f"{proxy.url}{where}")
        chromium.keep_picture(f"hostile-{name}-{width}")
        chromium.open_all()
        found = [*chromium.overflow, *chromium.barriers, *chromium.complaints()]
        if chromium.driver.execute_script("return window.ran"):
            found.append("a script of a user's has run")
        shown = chromium.driver.execute_script("return document.body.innerText")  # without what fields hold
        if name not in ("login", "users-none") and "<script>window.ran = 1</script>" not in shown:
            found.append("the text is not shown as it was written")
        found += [f"{character!r} is on the page" for character in "\u202e\u2067\x1b\x07\ufeff" if character in shown]
        if chromium.driver.execute_script("return document.documentElement.scrollHeight") > 25_000:
            found.append("a long text makes the page endless")
        if found:
            faults[name] = found
    assert not faults, yaml.safe_dump(faults, width=200)


def document() -> dict[str, Any]:
    """A user of whom everything is hostile."""
    memory = {"created_at": AT, "session": SESSION, "sources": ["m1"], "attribute": "home", "kind": "fact"}
    entities = [{"name": f"{SCRIPT} {number} {WAY_OUT}"[:200], "kind": "person"} for number in range(3)]
    return {
        "format": "recallr-user",
        "version": 1,
        "user": {"id": NAME, "created_at": AT, "metadata": {ALL: ALL, "long": LONG[:10_000]}},
        "sessions": [
            {
                "id": SESSION,
                "created_at": AT,
                "metadata": {ALL: LONG[:10_000]},
                "messages": [
                    {"id": "m1", "role": "user", "text": ALL},
                    {"id": "m2", "role": "assistant", "text": f"{ALL}{LONG}"},
                    {"id": "m3", "role": "user", "text": " ".join([ALL] * 300)},
                ],
            }
        ],
        "memories": [
            {
                **memory,
                "id": MEMORY,
                "content": f"{ALL} {LONG[:9_000]}",
                "reason": "TEMPORAL_CONFLICT",
                "categories": [SCRIPT, WAY_OUT],
                "entities": entities,
                "connected": [OTHER],
                "subject": SCRIPT,
            },
            {
                **memory,
                "id": "5" * 32,
                "content": f"{MARKDOWN} {LONG[:9_000]}",
                "chain": MEMORY,
                "expired_at": AT,
                "expiration_reason": "TEMPORAL_CONFLICT",
            },
            {**memory, "id": OTHER, "content": ALL, "entities": entities, "connected": [MEMORY]},
        ],
        "conflicts": [
            {
                "id": CONFLICT,
                "memory": MEMORY,
                "proposed": "6" * 32,
                "content": f"{ALL} {LONG[:9_000]}",
                "reason": ALL,
                "questions": [{"question": ALL, "options": [SCRIPT, WAY_OUT]}, {"question": LONG[:3_000]}],
                "session": SESSION,
                "sources": ["m1"],
                "created_at": AT,
            }
        ],
    }
