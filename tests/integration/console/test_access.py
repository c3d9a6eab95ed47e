"""Who is let into the console, and to what."""

from __future__ import annotations

import re
import uuid

import pytest

from recallr_litellm.services.limits import WRONG_KEYS
from tests.support.api import call
from tests.support.console import Browser, send, token
from tests.support.memory import remember
from tests.support.proxy import API_KEY, OTHER_PROJECT, PROJECT, Proxy
from tests.support.waiting import eventually


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
    assert all(flag in cookie for flag in ("HttpOnly", "SameSite=lax", "Path=/recallr/console;", "Max-Age=43200"))
    assert API_KEY not in cookie
    assert "Secure" not in cookie, "a gateway without HTTPS lets nobody in"
    assert came.headers["cache-control"] == "no-store"
    assert client.get(f"/users?project={OTHER_PROJECT}").status_code == 401
    assert client.get("/projects").status_code == 401

    left = client.post("/logout", data={"token": token(client, "/overview")})
    assert left.url.path == "/recallr/console/login"
    assert client.get("/overview").url.path == "/recallr/console/login"


def test_the_cookie_of_a_visit_by_https_goes_by_https_alone(browser: Browser) -> None:
    came = browser(None).post(
        "/login",
        data={"project": PROJECT, "key": API_KEY},
        headers={"X-Forwarded-Proto": "https"},  # as a proxy on this machine says
        follow_redirects=False,
    )
    assert "; Secure" in came.headers["set-cookie"]


def test_who_tries_many_keys_waits_and_nobody_else(browser: Browser) -> None:
    client, somewhere = browser(None), {"X-Forwarded-For": "198.51.100.7"}
    wrong, right = {"project": PROJECT, "key": "wrong"}, {"project": PROJECT, "key": API_KEY}
    for _ in range(WRONG_KEYS + 1):  # what is right does not count
        assert client.post("/login", data=right, headers=somewhere, follow_redirects=False).status_code == 303
    client.cookies.clear()
    statuses = [client.post("/login", data=wrong, headers=somewhere).status_code for _ in range(WRONG_KEYS + 1)]
    assert statuses == [401] * WRONG_KEYS + [429]
    refused = client.post("/login", data=right, headers=somewhere)
    assert refused.status_code == 429, "who has tried many keys learns which one is right"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert f"Try again in {refused.headers['retry-after']} seconds." in refused.text
    assert not client.cookies
    elsewhere = {"X-Forwarded-For": "198.51.100.8"}
    assert client.post("/login", data=right, headers=elsewhere, follow_redirects=False).status_code == 303


@pytest.mark.parametrize("next", ["https://example.com", "//example.com", "/\\example.com", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere_after_coming_in(browser: Browser, next: str) -> None:
    came = browser(None).post("/login", data={"project": PROJECT, "key": API_KEY, "next": next}, follow_redirects=False)
    assert came.headers["location"] == "/recallr/console/overview"


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
    of_all = admin.get("/audit?action=Create+key").text
    assert project in of_all
    assert "revoke key" not in of_all
    audit = admin.get(f"/audit?project={project}").text
    assert all(one in audit for one in ("create project", "create key", "revoke key", "LiteLLM master key"))
    assert found[1] not in audit
