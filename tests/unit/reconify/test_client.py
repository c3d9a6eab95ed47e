"""Posting a payload: what goes out, what each answer means, and what never happens to the keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from recallr_litellm.delivery.posting import LONGEST_REASON, Outcome, Verdict, retry_after
from recallr_litellm.reconify.client import ReconifyClient
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.reconify.wire import encoded
from tests.support.listeners import free_port
from tests.support.reconify_endpoint import CUT, HALF_CLOSED, OK, Reaction, ReconifyEndpoint

APP_KEY = "app-key/of the tests"
API_KEY = 'api-key-"of"-the-tests'
BODY: dict[str, Any] = {"reconify": {"format": "openai", "type": "chat", "version": "1.0.0"}, "session": "s1"}
PAYLOAD = encoded(BODY).decode()
NOW = 1_790_000_000.0


@pytest.fixture(scope="module")
def running_endpoint() -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(running_endpoint: ReconifyEndpoint) -> ReconifyEndpoint:
    running_endpoint.answers = lambda posted: OK
    running_endpoint.posted.clear()
    return running_endpoint


def open_client(url: str, **settings: Any) -> ReconifyClient:
    keys = {"app_key": SecretStr(APP_KEY), "api_key": SecretStr(API_KEY)}
    return ReconifyClient(ReconifySettings(**keys, endpoint=url, **settings), now=lambda: NOW)


@pytest.fixture
async def client(endpoint: ReconifyEndpoint) -> AsyncIterator[ReconifyClient]:
    client = open_client(endpoint.url)
    yield client
    await client.close()


async def send_once(url: str, **settings: Any) -> Outcome:
    client = open_client(url, **settings)
    try:
        return await client.send(PAYLOAD, "m1")
    finally:
        await client.close()


async def test_the_payload_goes_out_with_the_keys_and_the_message_id(
    endpoint: ReconifyEndpoint, client: ReconifyClient
) -> None:
    outcome = await client.send(PAYLOAD, "m1")
    assert (outcome.verdict, outcome.status) == (Verdict.DELIVERED, 200)
    [posted] = endpoint.posted
    assert posted.body == {**BODY, "reconify": {**BODY["reconify"], "appKey": APP_KEY, "apiKey": API_KEY}}
    assert posted.message_id == "m1"
    assert posted.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Verdict.DELIVERED) for status in (200, 202, 204)),
        *((status, Verdict.RETRY) for status in (404, 408, 425, 429, 500, 503)),
        *((status, Verdict.REFUSED) for status in (400, 401, 413, 301, 307)),
    ],
)
async def test_what_a_status_means(
    endpoint: ReconifyEndpoint, client: ReconifyClient, status: int, verdict: Verdict
) -> None:
    body = "" if status == 204 else "said"
    endpoint.answers = lambda posted: Reaction(status, body, {"Location": f"{endpoint.url}/elsewhere"})
    outcome = await client.send(PAYLOAD, "m1")
    assert (outcome.verdict, outcome.status, outcome.reason) == (verdict, status, body)
    assert len(endpoint.posted) == 1, "the client followed a redirect, or tried again by itself"


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (207, '{"errors": [{"index": 0, "message": "too old"}]}', Verdict.REFUSED),
        (200, '{"success": false, "error": "invalid appKey"}', Verdict.REFUSED),
        (200, '{"Success": "false"}', Verdict.REFUSED),
        (200, '{"code": 401, "message": "invalid key"}', Verdict.REFUSED),
        (207, '[{"status": 200}, {"status": 422}]', Verdict.REFUSED),
        (207, '{"results": [{"status": "ok"}, {"status": "failed"}]}', Verdict.REFUSED),
        (200, '{"code": 0, "status": 200, "results": [{"error": null}]}', Verdict.DELIVERED),
        (200, '{"error": {"message": "quota"}}', Verdict.REFUSED),
        (202, '{"status": "FAILED"}', Verdict.REFUSED),
        (200, '{"ok": false}', Verdict.REFUSED),
        (200, '{"success": true, "error": null, "errors": []}', Verdict.DELIVERED),
        (200, '{"status": "ok", "message": "no error"}', Verdict.DELIVERED),
        (200, "error", Verdict.DELIVERED),
    ],
)
async def test_a_success_that_reports_an_error_is_a_refusal_in_the_endpoints_words(
    endpoint: ReconifyEndpoint, client: ReconifyClient, status: int, body: str, verdict: Verdict
) -> None:
    endpoint.answers = lambda posted: Reaction(status, body)
    assert await client.send(PAYLOAD, "m1") == Outcome(verdict, status, body)


@pytest.mark.parametrize("reaction", [HALF_CLOSED, CUT], ids=["no answer", "half a head"])
async def test_a_broken_connection_is_tried_again(
    endpoint: ReconifyEndpoint, client: ReconifyClient, reaction: Reaction
) -> None:
    endpoint.answers = lambda posted: reaction
    outcome = await client.send(PAYLOAD, "m1")
    assert (outcome.verdict, outcome.status) == (Verdict.RETRY, None)
    assert outcome.reason, "nobody is told what went wrong"


async def test_an_endpoint_that_drips_is_given_up() -> None:
    """Each read ends in time, all of them together never would."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 ")
        while not reader.at_eof():
            writer.write(b"2")
            await asyncio.sleep(0.05)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await send_once(f"http://127.0.0.1:{port}/", timeout_seconds=0.3)
    server.close()
    assert outcome.verdict is Verdict.RETRY


@pytest.mark.parametrize("spelled", ["http://{}", "{}"])
@pytest.mark.parametrize("exempt", [False, True])
async def test_a_proxy_of_the_environment_is_on_the_way(
    monkeypatch: pytest.MonkeyPatch, spelled: str, exempt: bool
) -> None:
    asked = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    monkeypatch.setenv("https_proxy", spelled.format(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    monkeypatch.setenv("no_proxy", "track.invalid" if exempt else "")
    outcome = await send_once("https://track.invalid/")
    server.close()
    assert outcome.verdict is Verdict.RETRY
    assert asked == ([] if exempt else ["CONNECT track.invalid:443 HTTP/1.1\r\n"])


async def test_a_proxy_of_the_environment_is_not_on_the_way_to_this_machine(
    endpoint: ReconifyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    assert (await send_once(endpoint.url)).verdict is Verdict.DELIVERED


async def test_the_reason_is_short_without_the_keys_and_safe_to_print(
    endpoint: ReconifyEndpoint, client: ReconifyClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = f'{APP_KEY} {API_KEY} app-key%2Fof%20the%20tests api-key-\\"of\\"-the-tests \x1b]0;wrong\n' + "x" * 100_000
    endpoint.answers = lambda posted: Reaction(403, said)
    outcome = await client.send(PAYLOAD, "m1")
    assert outcome.reason.startswith("[key] [key] [key] [key] ]0;wrong x"), outcome.reason
    assert len(outcome.reason) == LONGEST_REASON
    for key in (APP_KEY, API_KEY):
        assert key not in caplog.text, "a key is in the log"
        assert key not in repr(client.__dict__["_poster"].__dict__["_http"].__dict__), (
            "a key is a default of the HTTP client"
        )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 5000, 3600.0),
        ("Mon, 21 Sep 2026 14:13:50 GMT", 30.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("Tue, 21 Sep 2027 14:00:00 GMT", 3600.0),
        ("Mon, 99 Sep 2026 14:13:50 GMT", None),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=NOW) == seconds


async def test_any_message_id_can_be_a_header(endpoint: ReconifyEndpoint, client: ReconifyClient) -> None:
    for message_id in ("id with\r\nX-Injected: 1", "größe", "\ud83d"):
        assert (await client.send(PAYLOAD, message_id)).verdict is Verdict.DELIVERED
    assert all("x-injected" not in posted.headers for posted in endpoint.posted)
    assert len({posted.message_id for posted in endpoint.posted}) == 3, "different ids became the same"
