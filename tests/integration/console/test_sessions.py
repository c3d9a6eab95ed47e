"""A session in the console: ended, deleted."""

from __future__ import annotations

from tests.support.console import Browser, send
from tests.support.proxy import Proxy
from tests.support.waiting import eventually


def test_a_session_is_ended_and_deleted(proxy: Proxy, browser: Browser, user: str) -> None:
    asked = proxy.ask(user, "My bike is blue.")
    client, page = browser(), f"/session?user={user}&session={asked.session_id}"
    fields = {"user": user, "session": asked.session_id}
    assert "The session becomes memory now." in send(client, "/session/end", page, **fields).text
    eventually(lambda: "processed" in client.get(page).text, "it is processed")
    assert "It was deleted." in send(client, "/session/delete", page, **fields).text
    assert client.get(page).status_code == 404
