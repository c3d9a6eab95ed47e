"""Projects and keys without a restart: made, used, given settings, revoked, by whoever has LiteLLM's master key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from typer.testing import CliRunner

from recallr_litellm.cli import app
from tests.support.provider import Provider
from tests.support.proxy import API_KEY, OTHER_PROJECT, PROJECT, Proxy, Reply
from tests.support.waiting import eventually

Ask = Callable[..., httpx.Response]


@pytest.fixture
def project() -> str:
    """The name of a project that no other test has."""
    return f"project-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def admin(proxy: Proxy) -> Ask:
    """Asks the admin API: method, path, and a body or headers."""

    def ask(method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {proxy.master_key}", **headers}
        url = f"{proxy.url}/api/v1/admin{path}"
        return httpx.request(method, url, json=body, headers=sent, trust_env=False, timeout=60.0)

    return ask


def key_of(admin: Ask, project: str) -> dict[str, Any]:
    """A new key of the project."""
    made = admin("POST", f"/projects/{project}/keys", {"name": "laptop"})
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def system_prompt(proxy: Proxy, project: str, key: str) -> httpx.Response:
    headers = {"X-Recallr-Api-Key": key, "X-Recallr-Project-Id": project}
    return httpx.get(f"{proxy.url}/api/v1/system-prompt", headers=headers, trust_env=False, timeout=60.0)


def test_a_new_key_is_used_at_once_and_refused_once_it_is_revoked(
    proxy: Proxy, admin: Ask, provider: Provider, project: str, user: str
) -> None:
    assert admin("POST", "/projects", {"project_id": project}).status_code == 201
    assert admin("POST", "/projects", {"project_id": project}).status_code == 409
    key = key_of(admin, project)
    access = {"api_key": key["api_key"], "project_id": project}
    proxy.ask(user, "My cat is called Felix.", **access)
    proxy.ask(user, "My dog is called Rex.", **access)
    assert "Felix" in provider.last.user_text
    with pytest.raises(openai.AuthenticationError):
        proxy.ask(user, "Hello.", api_key=key["api_key"], project_id=OTHER_PROJECT)

    keys = f"/projects/{project}/keys"
    used = eventually(lambda: admin("GET", keys).json()["keys"][0]["last_used_at"], "the use of the key is noted")
    assert used >= key["created_at"]
    assert key["api_key"] not in admin("GET", f"/projects/{project}/keys").text, "a key is shown again"

    revoked = admin("DELETE", f"/projects/{project}/keys/{key['key_id']}")
    assert revoked.json()["revoked_at"]
    with pytest.raises(openai.AuthenticationError, match="does not belong"):
        proxy.ask(user, "Hello.", **access)
    assert system_prompt(proxy, project, key["api_key"]).status_code == 401


def test_projects_of_the_environment_and_of_the_api_are_listed(admin: Ask, project: str) -> None:
    admin("POST", "/projects", {"project_id": project, "settings": {"retention_days": 7}})
    listed = {one["project_id"]: one for one in admin("GET", "/projects?limit=100").json()["projects"]}
    assert listed[PROJECT]["configured"]
    assert not listed[project]["configured"]
    assert listed[project]["settings"]["retention_days"] == 7
    page = admin("GET", "/projects?limit=1&offset=1").json()
    assert (len(page["projects"]), page["has_more"]) == (1, page["total"] > 2)
    [configured] = admin("GET", f"/projects/{PROJECT}/keys").json()["keys"]
    refused = admin("DELETE", f"/projects/{PROJECT}/keys/{configured['key_id']}")
    assert (refused.status_code, "RECALLR_PROJECTS" in refused.text) == (409, True)


def test_headers_win_over_the_projects_settings_which_win_over_the_environment(
    proxy: Proxy, admin: Ask, provider: Provider, project: str, user: str
) -> None:
    defaults = {"X-Recallr-Allow-New-User-Creation": True, "include_system_prompt": False, "memory": "off"}
    admin("POST", "/projects", {"project_id": project})
    access: dict[str, Any] = {"api_key": key_of(admin, project)["api_key"], "project_id": project}
    access["allow_new_user_creation"] = None  # not sent
    with pytest.raises(openai.NotFoundError):
        proxy.ask(user, "My cat is called Felix.", **access)
    assert admin("PATCH", f"/projects/{project}", {"defaults": defaults}).status_code == 200

    assert proxy.ask(user, "My cat is called Felix.", **access).memory_status == "off"
    assert proxy.ask(None, "Hello.", **access).memory_status == "off", "with memory off, no user is needed"
    assert proxy.ask(user, "My cat is called Felix.", memory="on", **access).memory_status in ("ok", "empty")
    assert [message["role"] for message in provider.last.messages] == ["user"], "the instructions are there"
    proxy.ask(user, "My dog is called Rex.", memory="on", include_system_prompt=True, **access)
    assert provider.last.messages[0]["role"] == "system"


def test_a_project_may_be_kept_from_agentic_recall(proxy: Proxy, admin: Ask, project: str, user: str) -> None:
    admin("POST", "/projects", {"project_id": project, "settings": {"agentic": False}})
    access = {"api_key": key_of(admin, project)["api_key"], "project_id": project}
    reply = proxy.ask(user, "Hello.", recall_strategy="agentic", **access)
    assert reply.memory_status == "degraded; reason=agent"


def test_a_project_may_keep_its_requests_unexplained(proxy: Proxy, admin: Ask, project: str, user: str) -> None:
    admin("POST", "/projects", {"project_id": project, "settings": {"explain": False}})
    access = {"api_key": key_of(admin, project)["api_key"], "project_id": project}

    def explained(reply: Reply) -> int:
        url = f"{proxy.url}/api/v1/requests/{reply.headers['x-recallr-request-id']}"
        return httpx.get(url, headers=proxy.headers(None, **access), trust_env=False, timeout=60.0).status_code

    unexplained = proxy.ask(user, "Hello.", **access)
    admin("PATCH", f"/projects/{project}", {"explain": None})
    after = proxy.ask(user, "Hello again.", **access)
    eventually(lambda: explained(after) == 200, "a later request is explained")
    assert explained(unexplained) == 404


def test_a_projects_requests_to_the_api_are_limited(proxy: Proxy, admin: Ask, project: str, user: str) -> None:
    admin("POST", "/projects", {"project_id": project, "settings": {"requests_per_minute": 2}})
    key = key_of(admin, project)["api_key"]
    assert [system_prompt(proxy, project, key).status_code for _ in range(2)] == [200, 200]
    refused = system_prompt(proxy, project, key)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "2 requests a minute" in refused.json()["detail"]
    by_mcp = httpx.post(
        f"{proxy.url}/recallr/mcp",
        headers=proxy.headers(user, api_key=key, project_id=project),
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        trust_env=False,
        timeout=60.0,
    )
    assert by_mcp.status_code == 429, "MCP has no limit"
    assert system_prompt(proxy, PROJECT, API_KEY).status_code == 200, "another project pays for it"
    proxy.ask(user, "Hello.", api_key=key, project_id=project)  # LiteLLM limits chats
    admin("PATCH", f"/projects/{project}", {"requests_per_minute": None})
    assert system_prompt(proxy, project, key).status_code == 200


def test_only_the_master_key_opens_the_admin_api_and_it_opens_nothing_else(proxy: Proxy, admin: Ask) -> None:
    master_key = proxy.master_key
    wrong = ("", "Bearer", f"Bearer {API_KEY}", f"Bearer {master_key}x", f"Basic {master_key}", master_key)
    recallr = {"X-Recallr-Api-Key": API_KEY, "X-Recallr-Project-Id": PROJECT}
    for authorization in wrong:
        refused = admin("GET", "/projects", Authorization=authorization, **recallr)
        assert (refused.status_code, list(refused.json())) == (401, ["detail"]), f"with {authorization[:10]!r}…"
    assert admin("POST", "/projects", {"project_id": "x"}, Authorization=f"Bearer {API_KEY}").status_code == 401
    for key in ({}, {"X-Recallr-Api-Key": proxy.master_key}):
        headers = {"Authorization": f"Bearer {proxy.master_key}", "X-Recallr-Project-Id": PROJECT, **key}
        answer = httpx.get(f"{proxy.url}/api/v1/users/alice", headers=headers, trust_env=False, timeout=60.0)
        assert answer.status_code == 401, "the master key reads memory"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "", {"project_id": "a/b"}, 422, "project_id"),
        ("POST", "", {"project_id": "x", "settings": {"retention_days": 0}}, 422, "retention_days"),
        ("POST", "", {"project_id": "x", "settings": {"retention": 1}}, 422, "retention"),
        ("POST", "", {"project_id": "x", "settings": {"defaults": {"timezone": "Mars"}}}, 422, "X-Recallr-Timezone"),
        ("GET", "/no-such-project", None, 404, "no-such-project"),
        ("GET", "/no%2Fsuch/keys", None, 404, "no/such"),
        ("POST", "", {"project_id": "x" * 200_000}, 413, "100000 bytes"),
        ("GET", "?limit=0", None, 422, "limit"),
    ],
)
def test_what_is_wrong_is_named(admin: Ask, method: str, path: str, body: Any, status: int, said: str) -> None:
    answer = admin(method, f"/projects{path}", body)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text[:300]


def test_the_commands_make_list_and_revoke(proxy: Proxy, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_MASTER_KEY", proxy.master_key)
    monkeypatch.setenv("RECALLR_GATEWAY", proxy.url)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    run("projects", "create", project)
    key = run("keys", "create", "laptop", "--project", project).strip()
    assert system_prompt(proxy, project, key).status_code == 200
    assert f"\n{project} " in run("projects", "list")
    monkeypatch.setenv("RECALLR_PROJECT_ID", project)
    [_, row] = run("keys", "list").splitlines()
    key_id, name, *_, revoked = row.split()
    assert (name, revoked) == ("laptop", "-")
    assert "laptop" in CliRunner().invoke(app, ["keys", "revoke", key_id]).stderr
    assert system_prompt(proxy, project, key).status_code == 401

    monkeypatch.setenv("LITELLM_MASTER_KEY", API_KEY)
    refused = CliRunner().invoke(app, ["projects", "list"])
    assert refused.exit_code == 1
    assert "LITELLM_MASTER_KEY" in refused.stderr
