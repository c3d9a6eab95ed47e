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
from recallr_litellm.core.room import Model
from recallr_litellm.formats import Conversation, Reply
from recallr_litellm.gateway.call import Call, now_ms
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.settings import Settings

pytestmark = pytest.mark.usefixtures("quick_stores")
KEY = "rai_key-of-acme"
MODELS = {
    "small": Model(windows=(1_500,)),
    "speech": Model(answers_in_text=False),
    "gemma": Model(takes_system=False),
    "google": Model(caches_apart=True),
}


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
    runtime = Runtime(
        settings(tmp_path),
        gateway_embed=nobody_asks,
        gateway_complete=nobody_asks,
        gateway_write_json=nobody_asks,
        count_tokens=len,
        model_behind=lambda name, team, routed: MODELS.get(name, Model()),
    )
    runtime.start(lambda: None)
    await sound(runtime)
    yield runtime
    await runtime.stop()


async def ask(runtime: Runtime, text: str, *more: dict[str, Any], **fields: Any) -> tuple[Call, str]:
    """A chat request of Ana's; returns what became of it and what the model is shown.

    Args:
        more: messages after it.
        fields: of the body.
    """
    headers = {
        "project-id": "acme",
        "api-key": KEY,
        "user-id": "ana",
        "allow-new-user-creation": "true",
        "session-timeout-seconds": "1",
    }
    raw = RawHeaders(tuple((f"x-recallr-{name}", value) for name, value in headers.items()))
    call = Call(raw)
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}, *more], **fields}
    await runtime.recollection.enrich(call, body, "acompletion")
    await call.kept()
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
        gateway_write_json=nobody_asks,
        count_tokens=len,
        model_behind=lambda *_, **__: Model(),
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


async def tell(runtime: Runtime, *texts: str) -> None:
    """Ana's open session holds these texts."""
    for text in texts:
        told, _ = await ask(runtime, text)
        exchange = told.exchange(Reply((Message(role="assistant", text="Noted."),), complete=True))
        assert exchange is not None
        assert await runtime.store(exchange, within=60)


@pytest.mark.parametrize(
    ("words", "limit", "status", "shown"),
    [
        (10, {}, "ok", ["# Memory", "<recallr_memory", "fact 9."]),
        (10, {"model": "small"}, "degraded; reason=window", ["<recallr_memory", "fact 9."]),
        (60, {"model": "small"}, "degraded; reason=window", ["<recallr_memory", "fact 9."]),
        (10, {"model": "small", "max_tokens": 500}, "degraded; reason=window", ["<recallr_memory", "fact 9."]),
        (10, {"model": "small", "max_completion_tokens": 1_400}, "degraded; reason=window", []),
        (290, {"model": "small"}, "degraded; reason=window", []),
        (10, {"model": "small", "tools": [{"function": {"description": "t " * 650}}]}, "degraded; reason=window", []),
        (10, {"model": "small", "max_tokens": 1_500}, "degraded; reason=window", ["<recallr_memory", "fact 9."]),
    ],
    ids=["large", "small", "long question", "answer", "long answer", "too long", "tools", "all of it"],
)
async def test_memory_takes_what_the_models_window_leaves(
    runtime: Runtime, words: int, limit: dict[str, Any], status: str, shown: list[str]
) -> None:
    """Each character counts as a token here."""
    await tell(runtime, *(f"This is fact {number}. {'x' * 150}" for number in range(10)))
    question = "word " * words
    call, body = await ask(runtime, question, **limit)
    assert call.status == status
    assert [text for text in ("# Memory", "<recallr_memory", "fact 9.") if text in body] == shown
    if "small" in limit.values():
        answer = limit.get("max_tokens", limit.get("max_completion_tokens", 0)) % 1_500
        added = len(body) - len(str([{"role": "user", "content": question}]))
        assert added <= max(0, 1_500 - answer - len(question)), "no more than what the window leaves"


async def test_a_block_that_fits_is_no_loss_where_the_window_is_small(runtime: Runtime) -> None:
    await tell(runtime, "My cat is called Felix.")
    call, shown = await ask(runtime, "What is it called?", model="small")
    assert call.status == "ok"
    assert "Felix" in shown


async def test_a_turn_that_grows_out_of_the_window_goes_on_without_its_block(runtime: Runtime) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    await tell(runtime, "My cat is called Felix.")
    opening = {"role": "user", "content": "What is it called?"}
    step = [
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "nothing"},
    ]
    results = [
        await ask(runtime, "", model="small", tools=[tool], messages=messages)
        for messages in ([opening], [opening, *step], [opening, *step[:-1], {**step[-1], "content": "y " * 700}])
    ]
    assert [call.status for call, _ in results] == ["ok", "ok", "degraded; reason=window"]
    assert ["Felix" in body for _, body in results] == [True, True, False]


@pytest.mark.parametrize(
    ("system", "marked", "takes_system"),
    [([], True, False), ([], False, True), ([{"role": "system", "content": "Be brief."}], True, True)],
)
async def test_no_system_message_is_added_beside_what_google_keeps_apart(
    runtime: Runtime, system: list[Any], marked: bool, takes_system: bool
) -> None:
    await tell(runtime, "My cat is called Felix.")
    mark = {"cache_control": {"type": "ephemeral"}} if marked else {}
    manual = {"role": "user", "content": [{"type": "text", "text": "The manual.", **mark}]}
    asked = [*system, manual, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "And my cat?"}]
    _, shown = await ask(runtime, "", model="google", messages=asked)
    assert "Felix" in shown
    assert shown.startswith("[{'role': 'system'") is takes_system
    assert "# Memory" in shown


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "speech"}, "text to be spoken or drawn"),
        ({"modalities": ["image"]}, "text to be spoken or drawn"),
        ({"cached_content": "cachedContents/1"}, "cached content allows no system instruction"),
        ({"extra_body": {"cachedContent": "cachedContents/1"}}, "cached content allows no system instruction"),
    ],
)
async def test_where_memory_has_no_place_the_request_stays_as_it_is_and_a_text_that_answers_it_is_kept(
    runtime: Runtime, fields: dict[str, Any], reason: str
) -> None:
    await tell(runtime, "My cat is called Felix.")
    call, shown = await ask(runtime, "Draw my cat.", **fields)
    assert (call.status, call.reason) == ("off", reason)
    assert shown == str([{"role": "user", "content": "Draw my cat."}])
    picture = Message(role="assistant", attachments=("image",))
    assert call.exchange(Reply((picture,), complete=True)) is None, "no conversation"
    assert call.exchange(Reply((Message(role="assistant", text="Which one?"),), complete=True)) is not None


@pytest.mark.parametrize("modalities", [["text", "audio"], ["audio"], ["text"]])
async def test_an_answer_that_is_spoken_is_one_of_a_conversation(runtime: Runtime, modalities: list[str]) -> None:
    await tell(runtime, "My cat is called Felix.")
    call, shown = await ask(runtime, "What is it called?", modalities=modalities)
    assert call.status == "ok"
    assert "Felix" in shown
