"""What a request is shown while its user's memory changes under it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydantic import SecretStr

from recallr_litellm.core.messages import Message
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import OngoingSession
from recallr_litellm.formats import Conversation
from recallr_litellm.gateway.call import Call, now_ms
from recallr_litellm.gateway.headers import RawHeaders
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.settings import Settings

KEY = "rai_key-of-acme"


async def nobody_asks(*_: object, **__: object) -> NoReturn:
    raise AssertionError("nobody asks the gateway")


async def sound(runtime: Runtime) -> None:
    """Wait until nothing keeps memory from working."""
    async with asyncio.timeout(60):
        while runtime.faults():
            await asyncio.sleep(0.01)


def settings(folder: Path, **changes: object) -> Settings:
    return Settings(
        data_dir=folder,
        projects={"acme": [SecretStr(KEY)]},
        store_timeout_ms=60_000,
        process_interval_seconds=60,
        min_session_timeout_seconds=1,
        **changes,  # type: ignore[arg-type]
    )


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    runtime = Runtime(settings(tmp_path), gateway_embed=nobody_asks, gateway_complete=nobody_asks, count_tokens=len)
    runtime.start(lambda: None)
    await sound(runtime)
    yield runtime
    await runtime.stop()


async def ask(runtime: Runtime, text: str, *more: dict[str, Any]) -> tuple[Call, str]:
    """A chat request of Ana's; returns what became of it and what the model is shown."""
    headers = {
        "project-id": "acme",
        "api-key": KEY,
        "user-id": "ana",
        "allow-new-user-creation": "true",
        "session-timeout-seconds": "1",
    }
    raw = RawHeaders(tuple((f"x-recallr-{name}", value) for name, value in headers.items()))
    call = Call(raw)
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}, *more]}
    await runtime.recollection.enrich(call, body, "acompletion")
    return call, str(body["messages"])


async def test_a_session_that_becomes_memory_while_the_request_looks_for_it_is_recalled(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, _ = await ask(runtime, "My cat is called Felix.")
    assert told.admitted is not None
    exchange = told.admitted.exchange(
        told.request_id, (Message(role="assistant", text="Noted."),), partial=False, retried=False
    )
    assert await runtime.store(exchange, within=60)
    await asyncio.sleep(1.1)  # its session is over then

    ongoing = runtime._sessions.ongoing

    async def processed_meanwhile(owner: Owner, ids: tuple[str, ...], *, tokens: int) -> tuple[OngoingSession, ...]:
        assert ids == (told.session_id,), "it was not open when the request began"
        claims = await runtime._state.claim(1, lease_seconds=60, now_ms=now_ms())
        await runtime._processor.process(claims)
        return await ongoing(owner, ids, tokens=tokens)

    monkeypatch.setattr(runtime._sessions, "ongoing", processed_meanwhile)
    asked, shown = await ask(runtime, "What is the name of my cat?")
    assert asked.session_id != told.session_id
    assert "My cat is called Felix." in shown
    assert asked.status == "ok"


async def test_what_tools_returned_is_no_reason_to_read_a_request_on_a_thread(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the user's messages are read for their own words; a thread waits for whatever else the gateway computes."""
    threads: list[threading.Thread] = []
    of_the_user = Conversation.of_the_user

    def noted(conversation: Conversation, tags: Collection[str] = ()) -> Conversation:
        threads.append(threading.current_thread())
        return of_the_user(conversation, tags)

    monkeypatch.setattr(Conversation, "of_the_user", noted)
    result = {"role": "tool", "tool_call_id": "c", "content": "row " * 200_000}
    await ask(runtime, "Read the table.", result, {"role": "user", "content": "And now?"})
    assert threads == [threading.main_thread()]
    await ask(runtime, "word " * 100_000)
    assert threads[1] is not threading.main_thread(), "a long text of the user's holds up all others"


class Endpoint:
    """An embedding model of the gateway that answers, or fails with a status."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.asked: list[str] = []

    async def __call__(self, model: str, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        if self.status is not None:
            error = RuntimeError(f"cannot embed {texts}")
            error.status_code = self.status  # type: ignore[attr-defined]
            raise error
        return [[float(len(text)), *[1.0] * 7] for text in texts]


@pytest.mark.parametrize(("status", "fault"), [(401, "EmbeddingMisconfigured"), (503, "EmbeddingUnavailable")])
async def test_an_embedding_endpoint_that_fails_is_named_by_health_and_not_asked_by_each_request(
    tmp_path: Path, status: int, fault: str
) -> None:
    endpoint = Endpoint()
    runtime = Runtime(
        settings(tmp_path, embedding_model="litellm/embedder"),
        gateway_embed=endpoint,
        gateway_complete=nobody_asks,
        count_tokens=len,
    )
    runtime.start(lambda: None)
    try:
        await sound(runtime)
        endpoint.status = status
        asked = [await ask(runtime, f"Question {number}.") for number in range(3)]
        assert {call.status for call, _ in asked} == {"degraded; reason=embedding"}
        assert all(call.reason for call, _ in asked), "the log line of the request says why"
        assert runtime.faults() == {"embedding": fault}
        assert [text for text in endpoint.asked if text.startswith("Question")] == ["Question 0."]
        endpoint.status = None
        await sound(runtime)
        assert (await ask(runtime, "Question 3."))[0].status == "empty"
        endpoint.status = 400
        assert (await ask(runtime, "Question 4."))[0].status == "degraded; reason=embedding"
        assert runtime.faults() == {}, "one refused text stops everybody's requests"
    finally:
        await runtime.stop()
