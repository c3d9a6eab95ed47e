"""The console, as a browser sees it: who is let in, what pages show, what they change."""

from __future__ import annotations

import html
import json
import re
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.api import call
from tests.support.memory import remember
from tests.support.proxy import API_KEY, OTHER_PROJECT, PROJECT, Proxy
from tests.support.waiting import eventually

Browser = Callable[..., httpx.Client]


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


def token(client: httpx.Client, page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get(page).text)
    assert found, f"{page} has no form"
    return found[1]


def addresses(client: httpx.Client, page: str, name: str) -> list[str]:
    """The links of a page to the page of this name, as they can be sent to a colleague."""
    found = re.findall(rf'href="/recallr/console(/{name}\?[^"]+)"', client.get(page).text)
    return [html.unescape(one) for one in found]


def send(client: httpx.Client, action: str, page: str, **fields: str) -> httpx.Response:
    """Send a form as the page has it."""
    return client.post(action, data={"token": token(client, page), "project": PROJECT, **fields})


def test_only_who_has_a_key_is_let_in_and_only_to_that_project(browser: Browser, user: str) -> None:
    client = browser(None)
    for page in ("/", "/overview", "/users", f"/user?project={PROJECT}&user={user}", "/projects"):
        assert client.get(page).url.path == "/recallr/console/login", page
    assert client.post("/login", data={"project": PROJECT, "key": "wrong"}).status_code == 401
    assert client.post("/login", data={"project": "", "key": API_KEY}).status_code == 401
    assert not client.cookies

    wanted = f"users?project={PROJECT}&name={user}"
    came = client.post("/login", data={"project": PROJECT, "key": API_KEY, "next": wanted}, follow_redirects=False)
    assert came.headers["location"] == f"/recallr/console/{wanted}"
    cookie = came.headers["set-cookie"]
    assert all(flag in cookie for flag in ("HttpOnly", "SameSite=strict", "Path=/recallr/console"))
    assert API_KEY not in cookie
    assert client.get(f"/users?project={OTHER_PROJECT}").status_code == 401
    assert client.get("/projects").status_code == 401

    left = client.post("/logout", data={"token": token(client, "/overview")})
    assert left.url.path == "/recallr/console/login"
    assert client.get("/overview").url.path == "/recallr/console/login"


@pytest.mark.parametrize("next", ["https://example.com", "//example.com", "/\\example.com", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere_after_coming_in(browser: Browser, next: str) -> None:
    came = browser(None).post("/login", data={"project": PROJECT, "key": API_KEY, "next": next}, follow_redirects=False)
    assert came.headers["location"] == "/recallr/console/overview"


def test_every_page_shows_what_is_there_and_texts_as_texts(proxy: Proxy, browser: Browser) -> None:
    user = f'<b>&"{uuid.uuid4().hex[:8]}/?#'
    said = "<script>alert(1)</script> \u202eevil\x1b[31m My car is **red**."
    remember(proxy, user, said)
    asked = proxy.ask(user, "What colour is my car?")
    client = browser()
    [of_user] = addresses(client, f"/users?{httpx.QueryParams(name=user)}", "user")
    sessions = addresses(client, of_user, "session")
    assert len(sessions) == 2
    wanted = f"/request?id={asked.headers['x-recallr-request-id']}"
    eventually(lambda: client.get(wanted), "it is explained", until=lambda found: found.status_code == 200)
    pages = {page: client.get(page) for page in (of_user, *sessions, wanted, "/overview", "/requests", "/operations")}
    for page, answer in pages.items():
        assert answer.status_code == 200, page
        assert "<script>alert" not in answer.text
        assert "<b>&" not in answer.text
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert html.escape("<script>alert(1)</script>") in pages[sessions[1]].text
    assert "My car is **red**." in pages[wanted].text
    assert client.get("/static/console.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/static/plotly.min.js").status_code == 200
    assert client.get("/static/../texts.yaml").status_code == 404


def test_what_is_not_there_is_said_in_words(browser: Browser) -> None:
    client = browser()
    for page in ("/user?user=nobody", "/request?id=none", f"/session?user=nobody&session={'0' * 32}"):
        answer = client.get(page)
        assert answer.status_code == 404
        assert "It may have been deleted" in answer.text
    assert client.get("/users?offset=-1").status_code == 422


def test_a_change_needs_a_form_of_this_visit_and_is_in_the_audit_list(
    proxy: Proxy, browser: Browser, user: str
) -> None:
    remember(proxy, user, "My car is red.")
    client, page = browser(), f"/user?user={user}"
    fields = {"project": PROJECT, "user": user, "confirmed": user}
    assert client.post("/user/forget", data=fields).status_code == 403
    assert client.post("/user/forget", data={**fields, "token": "x"}).status_code == 403
    other = token(browser(), page)
    assert client.post("/user/forget", data={**fields, "token": other}).status_code == 403
    for header in ({"Origin": "https://example.com"}, {"Sec-Fetch-Site": "cross-site"}):
        sent = client.post("/user/forget", data={**fields, "token": token(client, page)}, headers=header)
        assert sent.status_code == 403
    assert send(client, "/user/forget", page, user=user, confirmed="somebody").status_code == 422
    assert client.get(page).status_code == 200, "nobody was forgotten so far"

    done = send(client, "/user/forget", page, user=user, confirmed=user)
    assert "The user was forgotten." in done.text
    assert call(proxy, "GET", f"/users/{user}").status_code == 404
    assert client.get(page).status_code == 404
    row = re.search(rf"<tr>(?:(?!</tr>).)*{user}(?:(?!</tr>).)*</tr>", client.get("/audit").text, re.DOTALL)
    assert row is not None
    assert "RECALLR_PROJECTS" in row[0]
    assert "forget user" in row[0]


def test_a_session_is_ended_and_deleted(proxy: Proxy, browser: Browser, user: str) -> None:
    asked = proxy.ask(user, "My bike is blue.")
    client, page = browser(), f"/session?user={user}&session={asked.session_id}"
    fields = {"user": user, "session": asked.session_id}
    assert "The session becomes memory now." in send(client, "/session/end", page, **fields).text
    eventually(lambda: "processed" in client.get(page).text, "it is processed")
    assert "It was deleted." in send(client, "/session/delete", page, **fields).text
    assert client.get(page).status_code == 404


def test_the_master_key_opens_all_projects_and_makes_and_revokes_keys(proxy: Proxy, browser: Browser) -> None:
    admin, project = browser("", proxy.master_key), f"project-{uuid.uuid4().hex[:8]}"
    assert f"project={OTHER_PROJECT}" in admin.get("/projects").text
    assert admin.get(f"/users?project={OTHER_PROJECT}").status_code == 200

    made = send(admin, "/projects/create", "/projects", project=project)
    assert made.status_code == 200
    shown = send(admin, "/projects/create-key", "/projects", project=project, name="support").text
    found = re.search(r"<code>(rai_[^<]+)</code>", shown)
    assert found is not None
    visitor = browser(project, found[1])
    assert visitor.get("/overview").status_code == 200

    page = f"/projects?project={project}"
    key = re.search(r'name="key" value="([^"]+)"', admin.get(page).text)
    assert key is not None
    assert "The key is void" in send(admin, "/projects/revoke-key", page, project=project, key=key[1]).text
    eventually(
        lambda: visitor.get("/overview").url.path == "/recallr/console/login", "the visit with the revoked key is over"
    )
    audit = admin.get(f"/audit?project={project}").text
    assert all(one in audit for one in ("create project", "create key", "revoke key", "LiteLLM master key"))
    assert found[1] not in audit


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


def test_a_memory_shows_its_versions_and_is_corrected(browser: Browser, learned: str) -> None:
    client, page = browser(), f"/memory?user={learned}&memory={'a' * 32}"
    [of_memory] = [one for one in addresses(client, f"/user?user={learned}", "memory") if "a" * 32 in one]
    shown = client.get(of_memory).text
    assert re.search(r"<del[^>]*>Porto\.</del>\s*<ins[^>]*>Rome\.</ins>", shown)
    assert "User&#39;s sister &lt;Ana&gt; works in Rome." in shown
    fields = {"user": learned, "memory": "a" * 32}
    edited = send(client, "/memory/edit", page, **fields, content="User lives in Trastevere, Rome.").text
    assert "User lives in Trastevere, Rome." in edited
    assert "by a person" in edited
    reverted = send(client, "/memory/revert", page, **fields, version="d" * 32)
    assert re.search(r'<p class="text lead"[^>]*>User lives in Porto\.', reverted.text)
    assert "Unpin it" in send(client, "/memory/pin", page, **fields, pinned="true").text
    assert "no longer held to be true" in send(client, "/memory/invalidate", page, **fields).text
    assert send(client, "/memory/delete", page, **fields).status_code == 200
    assert client.get(page).status_code == 404


def test_a_conflict_is_answered(browser: Browser, learned: str) -> None:
    client = browser()
    [page] = addresses(client, f"/user?user={learned}", "conflict")
    shown = client.get(page).text
    assert "Where do you live?" in shown
    answered = send(
        client, "/conflict/answer", page, user=learned, conflict="c" * 32, answer0="User lives in Rome."
    ).text
    assert "RESOLVED" in answered
    assert not addresses(client, f"/user?user={learned}", "conflict")


def test_the_graph_draws_what_hangs_together(browser: Browser, learned: str) -> None:
    client = browser()
    [page] = addresses(client, f"/user?user={learned}", "graph")
    answer = client.get(page)
    found = re.search(r'data-graph="([^"]+)"', answer.text)
    assert found is not None
    drawn = json.loads(html.unescape(found[1]))
    kinds = {node["label"]: node["kind"] for node in drawn["nodes"]}
    assert kinds == {
        "User lives in Rome.": "memory",
        "User's sister <Ana> works in Rome.": "memory",
        "Rome": "entity",
        "5" * 12: "session",
    }
    names = [node["label"] for node in drawn["nodes"]]
    edges = {(*sorted((names[a], names[b])), kind) for a, b, kind in drawn["edges"]}
    assert ("User lives in Rome.", "User's sister <Ana> works in Rome.", "connected") in edges
    assert ("Rome", "User lives in Rome.", "speaks_of") in edges
    places = {(node["x"], node["y"]) for node in drawn["nodes"]}
    assert len(places) == 4, "nodes lie on each other"
    assert "User lives in Porto." not in answer.text
    assert "User lives in Porto." in client.get(f"{page}&past=true").text
    rome = next(node["url"] for node in drawn["nodes"] if node["kind"] == "entity")
    assert "The whole graph" in client.get(rome.removeprefix("/recallr/console")).text


def test_the_playground_asks_with_two_settings_and_stores_nothing(proxy: Proxy, browser: Browser, learned: str) -> None:
    client = browser()
    before = [one["request_id"] for one in call(proxy, "GET", "/requests").json()["requests"]]
    query = {
        "user": learned,
        "question": "Where do I live?",
        "a_max_top_k": "50",
        "b_min_top_k": "0",
        "b_max_top_k": "0",
    }
    page = client.get("/playground", params=query).text
    a, b = page.split("<h2>")[1:]
    assert "User lives in Rome." in a
    assert "User lives in Rome." not in b
    assert "max_top_k" in client.get("/playground", params={**query, "a_max_top_k": "500"}).text
    assert client.get("/playground", params={**query, "user": "nobody-of-us"}).status_code == 404
    sessions = call(proxy, "GET", f"/users/{learned}/sessions").json()
    assert sessions["total"] == 1, "asking has made a session"
    after = [one["request_id"] for one in call(proxy, "GET", "/requests").json()["requests"]]
    assert after == before
