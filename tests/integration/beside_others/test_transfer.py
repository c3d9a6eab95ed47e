"""A user's memory goes from one gateway to another, conversations come from elsewhere, and nothing is there twice."""

from __future__ import annotations

import json
import signal
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from recallr_litellm.cli import app
from tests.support.api import call, sdk
from tests.support.command import Running
from tests.support.memory import remember
from tests.support.provider import Provider
from tests.support.proxy import API_KEY, OTHER_API_KEY, OTHER_PROJECT, PROJECT, Proxy
from tests.support.reconify_endpoint import ReconifyEndpoint
from tests.support.waiting import eventually

BEGUN = datetime(2023, 5, 8, 9, 30, tzinfo=UTC)


@pytest.fixture
def other(watched: Proxy) -> Proxy:
    """Another gateway than `proxy`, with another embedding model and webhooks."""
    return watched


def environment(proxy: Proxy, project: str = PROJECT, key: str = API_KEY) -> dict[str, str]:
    return {"RECALLR_GATEWAY": proxy.url, "RECALLR_PROJECT_ID": project, "RECALLR_API_KEY": key}


def recallr(proxy: Proxy, *arguments: str, says: str = "", fails: bool = False, **options: Any) -> Result:
    """A command beside a gateway."""
    input = options.pop("input", None)
    result = CliRunner().invoke(app, [*arguments], env=environment(proxy, **options), input=input)
    assert result.exit_code == int(fails), result.output
    assert says in result.output, result.output
    return result


def summary(proxy: Proxy, user: str) -> dict[str, int]:
    found: dict[str, int] = call(proxy, "GET", f"/users/{user}/summary").raise_for_status().json()
    return found


def wait_processed(proxy: Proxy, user: str, sessions: int) -> dict[str, int]:
    return eventually(
        lambda: summary(proxy, user),
        f"{sessions} sessions are processed",
        until=lambda found: (found["processed_sessions"], found["open_sessions"]) == (sessions, 0),
    )


def exported(proxy: Proxy, user: str) -> dict[str, Any]:
    found: dict[str, Any] = call(proxy, "GET", f"/users/{user}/export").raise_for_status().json()
    return found


def lines(folder: Path, conversations: int, messages: int = 2) -> Path:
    """Conversations as JSON lines, a day apart."""
    path = folder / "conversations.jsonl"
    texts = [
        json.dumps(
            {
                "id": f"chat {number}",
                "created_at": (BEGUN.timestamp() + number * 86_400) * 1000,
                "messages": [
                    {"role": "assistant" if place % 2 else "user", "text": f"Conversation {number}, message {place}."}
                    for place in range(messages)
                ],
            }
        )
        for number in range(conversations)
    ]
    path.write_text("\n".join(texts))
    return path


def test_a_user_goes_to_another_gateway_with_another_model(
    proxy: Proxy, other: Proxy, provider: Provider, webhooks: ReconifyEndpoint, user: str, tmp_path: Path
) -> None:
    remember(proxy, user, "My cat is called Felix.", "He sleeps in the bread oven.")
    proxy.ask(user, "I also keep bees in Ghent.")  # a session that is still open
    file = tmp_path / "user.json"
    recallr(proxy, "users", "export", user, "--to", str(file), says="Written: ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "others could read it"
    document = json.loads(file.read_text())
    assert (document["format"], document["version"], document["user"]["id"]) == ("recallr-user", 1, user)
    assert [session["status"] for session in document["sessions"]] == ["processed", "open"]

    for _ in range(2):
        recallr(other, "import", str(file), says="Imported: ")
    assert (
        "2 sessions" not in recallr(other, "import", str(file), says="There already: 2 sessions").output.split(".")[0]
    )
    ids = {session["id"] for session in document["sessions"]}
    first = min(document["sessions"], key=lambda session: str(session["created_at"]))["id"]
    eventually(
        lambda: {
            posted.body["data"]["session_id"] for posted in webhooks.posted if posted.body["data"]["user_id"] == user
        },
        "the webhook is told that the session is memory",
        until=lambda told: first in told,
    )
    there = exported(other, user)
    assert {session["id"] for session in there["sessions"]} == ids, "sessions keep their ids"
    said = {id: [(m["id"], m["text"], m["at"]) for m in s["messages"]] for s in there["sessions"] for id in [s["id"]]}
    assert said == {s["id"]: [(m["id"], m["text"], m["at"]) for m in s["messages"]] for s in document["sessions"]}

    other.ask(user, "Where does my cat sleep?", conversation_id="elsewhere")
    assert "bread oven" in provider.last.user_text, "what was imported is recalled"


def test_an_import_that_is_killed_goes_on_where_it_stopped(proxy: Proxy, user: str, tmp_path: Path) -> None:
    file = lines(tmp_path, conversations=30)
    sdk(proxy).create_user(user)
    with Running("import", str(file), "--user", user, folder=tmp_path, environment=environment(proxy)) as command:
        eventually(
            lambda: sum(summary(proxy, user)[kind] for kind in ("processed_sessions", "open_sessions")),
            "a part is imported",
        )
        command.signal(signal.SIGKILL)
        command.wait()
    recallr(proxy, "import", str(file), "--user", user)
    wait_processed(proxy, user, 30)
    texts = [message["text"] for session in exported(proxy, user)["sessions"] for message in session["messages"]]
    assert texts == [f"Conversation {number}, message {place}." for number in range(30) for place in range(2)]
    recallr(proxy, "import", str(file), "--user", user, says="Imported: 0 sessions with 0 new messages")


def test_a_conversation_that_has_grown_is_brought_up_to_date(proxy: Proxy, user: str, tmp_path: Path) -> None:
    recallr(proxy, "import", str(lines(tmp_path, conversations=2)), "--user", user, says="Imported: 2 sessions")
    wait_processed(proxy, user, 2)
    longer = lines(tmp_path, conversations=2, messages=4)
    recallr(proxy, "import", str(longer), "--user", user, says="Imported: 2 sessions with 4 new messages")
    assert wait_processed(proxy, user, 2)["messages"] == 8
    [first, _] = exported(proxy, user)["sessions"]
    assert [message["text"][-2:] for message in first["messages"]] == ["0.", "1.", "2.", "3."]
    assert first["created_at"] == "2023-05-08T09:30:00.000Z", "dates are kept"
    assert first["last_at"] == "2023-05-08T09:30:03.000Z"


def test_several_users_in_one_file_and_what_cannot_be_read(proxy: Proxy, user: str, tmp_path: Path) -> None:
    names = [f"{user}/{number}?ø" for number in range(3)]
    file = tmp_path / "all.jsonl"
    file.write_text(
        "\n".join(
            [
                *(json.dumps({"user_id": name, "messages": [{"role": "user", "content": "Hi."}]}) for name in names),
                "{nothing",
            ]
        )
    )
    result = recallr(proxy, "import", str(file), fails=True)
    assert "Left out: line 4: is not JSON" in result.output
    assert "Imported: 3 sessions" in result.output
    for name in names:
        assert "open sessions" in recallr(proxy, "users", "show", name).output
    listed = recallr(proxy, "users", "list").output
    assert all(name in listed for name in names)
    nameless = tmp_path / "nameless.json"
    nameless.write_text('[{"role": "user", "content": "Hi."}]')
    recallr(proxy, "import", str(nameless), fails=True, says="name the user with --user")


def test_forgetting_says_what_it_deletes_asks_and_is_told(
    other: Proxy, webhooks: ReconifyEndpoint, user: str, tmp_path: Path
) -> None:
    file = str(lines(tmp_path, conversations=2))
    recallr(other, "import", file, "--user", user)
    wait_processed(other, user, 2)
    held = f"{user}: 2 processed sessions, 0 open sessions, 4 messages, 0 memories."
    recallr(other, "users", "forget", user, input="n\n", fails=True, says=f"{held}\n")
    assert summary(other, user)["messages"] == 4, "it was deleted although nobody said yes"
    recallr(other, "users", "forget", user, "--yes", says=f"Deleted: {user} with 2 processed sessions")
    recallr(other, "users", "show", user, fails=True, says=f"User {user} not found")
    eventually(
        lambda: [p.body for p in webhooks.posted if p.body["type"] == "user.forgotten"],
        "the webhook is told",
        until=lambda told: [body["data"] for body in told] == [{"project_id": PROJECT, "user_id": user}],
    )
    recallr(other, "import", file, "--user", user, says="Imported: 2 sessions")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"[1", "the JSON breaks off"),
        (b'{"sessions": [{}]}', 'format: must be "recallr-user"'),
        (b'{"format": "recallr-user", "version": 2, "sessions": [{}]}', "version: this gateway reads version 1"),
        (
            b'{"format": "recallr-user", "version": 1, "sessions": [{}, {"messages": [{}]}]}',
            "sessions 2: messages.0",
        ),
        (b'{"format": "recallr-user", "version": 1, "memories": [{"id": "x"}]}', "memories 1: id: "),
        (
            b'{"format": "recallr-user", "version": 1, "memories": [{"id": "%s", "session": "s", "created_at": 0, '
            b'"content": "%s"}]}' % (b"a" * 32, b"x" * 10_001),
            "memories 1: content: ",
        ),
        (b"", "the JSON breaks off"),
        (b"[" * 200_000, "nested too deep"),
    ],
)
def test_a_document_that_cannot_be_imported_says_why(proxy: Proxy, user: str, document: bytes, says: str) -> None:
    answer = call(proxy, "POST", f"/users/{user}/import", content=document)
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["detail"]


def test_nobody_elses_memory_is_exported(proxy: Proxy, user: str) -> None:
    sdk(proxy).create_user(user)
    for path in (f"/users/{user}/export", f"/users/{user}/summary"):
        assert call(proxy, "GET", path).status_code == 200
        theirs = call(proxy, "GET", path, project_id=OTHER_PROJECT, api_key=OTHER_API_KEY)
        unknown = call(proxy, "GET", path.replace(user, "nobody"), project_id=OTHER_PROJECT, api_key=OTHER_API_KEY)
        assert (theirs.status_code, theirs.text) == (404, unknown.text.replace("nobody", user))
