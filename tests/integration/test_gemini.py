"""Memory through Gemini's API with Google's own SDK: to Gemini's models, and to one of OpenAI that LiteLLM adapts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from tests.support.differences import GEMINI_BRIDGED_BAD_REQUEST
from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded, ToolCall
from tests.support.proxy import CHAT_MODEL, GEMINI_MODEL, NEW_GEMINI_MODEL, Proxy
from tests.support.waiting import eventually

OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
SYSTEM = "You are a travel agent. Ünïcode 🦊."
ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}
ONCE_KNOWN = ALWAYS | {"x-recallr-session-id", "x-recallr-user-id"}
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather in a city — today.",
            parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
        )
    ]
)
MODELS = {"native": GEMINI_MODEL, "unpriced": NEW_GEMINI_MODEL, "bridged": CHAT_MODEL}
"""Models of Gemini that LiteLLM knows and does not know, and one of another provider behind the same API."""

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
either_kind = pytest.mark.parametrize("model", [GEMINI_MODEL, CHAT_MODEL], ids=["native", "bridged"])
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass(frozen=True)
class Answered:
    """What the client got."""

    text: str
    headers: dict[str, str]
    calls: list[types.FunctionCall]


def ask(
    proxy: Proxy,
    user: str | None,
    contents: Any,
    *,
    model: str,
    stream: bool = False,
    config: dict[str, Any] | None = None,
    **options: object,
) -> Answered:
    """One request through the SDK, a streamed answer read to its end."""
    with proxy.gemini(user, **options) as client:
        call: dict[str, Any] = {"model": model, "contents": contents, "config": config or {}}
        answers = (
            list(client.models.generate_content_stream(**call)) if stream else [client.models.generate_content(**call)]
        )
    contents = [answer.candidates[0].content for answer in answers if answer.candidates]
    parts = [part for content in contents if content for part in content.parts or ()]
    assert answers[0].sdk_http_response, "the SDK gives the headers of the response"
    return Answered(
        "".join(part.text or "" for part in parts),
        dict(answers[0].sdk_http_response.headers or {}),
        [part.function_call for part in parts if part.function_call],
    )


def ours(headers: Mapping[str, str]) -> set[str]:
    """Names of the Recallr headers of a response."""
    return {name.lower() for name in headers if name.lower().startswith("x-recallr-")}


def last(provider: Provider) -> Recorded:
    """The request that reached the provider last."""
    assert provider.recorded, "no request has reached the provider"
    return provider.recorded[-1]


def turns_of(request: Recorded) -> list[dict[str, Any]]:
    """The conversation as the model gets it, without the system's part, in the provider's own format."""
    turns: list[dict[str, Any]] = request.json.get("contents") or request.messages
    return [turn for turn in turns if turn["role"] != "system"]


def texts_of(turn: dict[str, Any]) -> list[str]:
    """The texts of one turn."""
    parts = turn.get("parts") or turn.get("content") or ()
    return [parts] if isinstance(parts, str) else [part["text"] for part in parts if "text" in part]


def system_of(request: Recorded) -> str:
    """The system's part as the model gets it."""
    system = request.json.get("systemInstruction")
    return "\n".join(texts_of(system)) if system else request.system_text if "messages" in request.json else ""


def parted(turn: dict[str, Any]) -> tuple[str, list[str]]:
    """The memory block before the user's words, and those words. Fails the test if there is none."""
    block, *words = texts_of(turn)
    assert block.startswith(OPENING), f"memory should stand first: {block!r}"
    assert block.rstrip().endswith(CLOSING), f"memory should stand alone: {block!r}"
    return block, words


@every_model
def test_a_later_session_recalls_the_first(proxy: Proxy, provider: Provider, user: str, model: str) -> None:
    provider.answer(Answer(text="What a good name for a cat."))
    first = ask(proxy, user, "My cat is called Felix.", model=model, session_timeout_seconds=SHORT)
    assert first.text == "What a good name for a cat."
    assert system_of(last(provider)).startswith(INSTRUCTIONS), "instructions come where the client gives none"
    assert texts_of(turns_of(last(provider))[0]) == ["My cat is called Felix."], "nothing to remember: no block"
    Memory(proxy).wait_processed(user, first.headers["x-recallr-session-id"])

    for stream in (False, True):
        name = f"What is my cat called? {stream}"
        answered = ask(proxy, user, name, model=model, stream=stream, config={"system_instruction": SYSTEM})
        block, words = parted(turns_of(last(provider))[-1])
        assert words == [name], "the user's words follow the block, as they were"
        assert "My cat is called Felix." in block
        assert "What a good name for a cat." in block, "what the model said is remembered too"
        system = system_of(last(provider))
        assert system.startswith(f"{SYSTEM}\n\n{INSTRUCTIONS}"), f"behind the client's own: {system}"
        assert "Felix" not in system, "memory is never in a privileged role"
        assert ours(answered.headers) == ONCE_KNOWN
        assert answered.headers["x-recallr-memory-status"] == "ok"
        assert answered.headers["x-recallr-user-id"] == user


@every_model
@whole_and_streamed
def test_a_conversation_of_the_sdk_is_stored_once_each_message_before_the_answer_ends(
    proxy: Proxy, provider: Provider, user: str, model: str, stream: bool
) -> None:
    provider.answer(Answer(text="Nice to meet Felix."), Answer(text="Felix, of course."))
    client = proxy.gemini(user)  # kept: it closes its connections when it is dropped
    chat = client.chats.create(model=model)
    expected = []
    for question, answer in (("My cat is Felix.", "Nice to meet Felix."), ("My cat?", "Felix, of course.")):
        if stream:
            for _ in chat.send_message_stream(question):
                pass
        else:
            chat.send_message(question)
        expected += [("user", question), ("assistant", answer)]
        kept = Memory(proxy).only(user)
        assert kept.said == expected, "history sent again is not new, in however many pieces the SDK keeps it"
        assert not any(stored.partial for stored in kept.messages)
    turns = turns_of(last(provider))
    if stream and model == CHAT_MODEL:
        # The SDK finds LiteLLM's last chunk, which has no parts, invalid and leaves the whole turn out of its history.
        block, words = parted(*turns)
        assert "My cat is Felix." in block, "what the client leaves out, it is reminded of"
        assert words == ["My cat?"]
    else:
        assert OPENING not in json.dumps(turns), "the client has sent it all: nothing is left to be shown as memory"


def test_every_candidate_is_stored(proxy: Proxy, provider: Provider, user: str) -> None:
    for stream in (False, True):
        name = f"{user}-{stream}"
        provider.answer(Answer(choices=("Red.", "Green.")))
        ask(proxy, name, "A colour?", model=GEMINI_MODEL, stream=stream, config={"candidate_count": 2})
        kept = Memory(proxy).only(name)
        assert kept.texts == ["A colour?", "Red.", "Green."]
        assert not any(stored.partial for stored in kept.messages)


@pytest.mark.parametrize(
    ("model", "ids"),
    [(GEMINI_MODEL, (None, None)), (GEMINI_MODEL, ("c1", "c2")), (CHAT_MODEL, (None, None))],
    ids=["native", "native with ids", "bridged"],
)
@whole_and_streamed
def test_in_a_turn_with_functions_the_block_stays_and_nothing_parts_call_and_result(
    proxy: Proxy, provider: Provider, user: str, model: str, ids: tuple[str | None, str | None], stream: bool
) -> None:
    ask(proxy, user, "I live in Oslo and dislike rain.", model=model)
    cities = ("Oslo", "Bergen")
    calls = [
        ToolCall(id=id, name="weather", arguments=json.dumps({"city": city}))
        for id, city in zip(ids, cities, strict=True)
    ]
    provider.answer(Answer(tool_calls=(calls[0],)), Answer(tool_calls=(calls[1],)), Answer(text="Dry."))
    config = {"tools": [WEATHER], "system_instruction": SYSTEM, "automatic_function_calling": {"disable": True}}
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text="Will I like the weather where I live?")])]
    sent: list[Recorded] = []
    # A block made anew would differ in its timezone.
    for zone in ("UTC", "Asia/Tokyo", "America/Lima"):
        answered = ask(proxy, user, contents, model=model, stream=stream, config=config, timezone=zone)
        sent.append(last(provider))
        contents.append(types.Content(role="model", parts=[types.Part(function_call=call) for call in answered.calls]))
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"output": f"{call.args}"}
                )
            )
            for call in answered.calls
        ]
        if results:
            contents.append(types.Content(role="user", parts=results))
    assert answered.text == "Dry.", "the turn has come to its end"

    asked, *_ = opening = turns_of(sent[0])
    assert "Oslo" in parted(asked)[0]
    for earlier, later in pairwise(sent):
        before, after = turns_of(earlier), turns_of(later)
        assert after[: len(before)] == before, "what stood there, the block included, is unchanged"
        if model == CHAT_MODEL:
            *_, call, result = after
            assert result["tool_call_id"] == call["tool_calls"][0]["id"], "the result follows its call"
        else:
            assert [set(part) for turn in after[-2:] for part in turn["parts"]] == [
                {"functionCall"},
                {"functionResponse"},
            ]
            end = earlier.body.index(json.dumps(before[-1], ensure_ascii=False, separators=(",", ":")).encode())
            assert later.body[:end] == earlier.body[:end], "up to what is new, the same bytes"
        assert system_of(later) == system_of(earlier)
        assert later.json["tools"] == earlier.json["tools"]
    assert sum(OPENING in text for turn in turns_of(sent[-1]) for text in texts_of(turn)) == 1
    assert len(opening) == 1

    messages = [stored.message for stored in Memory(proxy).only(user).messages][2:]
    assert [message.role for message in messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    said = [[json.loads(call.arguments) for call in message.tool_calls] for message in (messages[1], messages[3])]
    assert said == [[{"city": city}] for city in cities]
    assert [message.tool_call_id for message in (messages[2], messages[4])] == [id or "weather" for id in ids]
    assert "Bergen" in messages[4].text
    assert messages[-1].text == "Dry."


def test_images_and_many_system_parts_stay_as_they_are(proxy: Proxy, provider: Provider, user: str) -> None:
    ask(proxy, user, "My cat is called Felix.", model=GEMINI_MODEL)
    image = types.Part.from_bytes(data=b"GIF89a", mime_type="image/gif")
    config = {"system_instruction": ["One.", "Two."], "temperature": 0.5}
    ask(proxy, None, [image, types.Part(text="Is this a cat?")], model=GEMINI_MODEL, config=config)
    without = last(provider).json
    ask(proxy, user, [image, types.Part(text="Is this a cat?")], model=GEMINI_MODEL, config=config)

    body = last(provider).json
    block, *parts = body["contents"][-1]["parts"]
    assert parts == without["contents"][-1]["parts"]
    assert "Felix" in block["text"]
    *system, instructions = body["systemInstruction"]["parts"]
    assert system == without["systemInstruction"]["parts"]
    assert [part["text"] for part in system] == ["One.", "Two."]
    assert instructions["text"].startswith(INSTRUCTIONS)
    assert body["generationConfig"] == {"temperature": 0.5}
    kept = Memory(proxy).only(user).messages[-2].message
    assert (kept.text, kept.attachments) == ("Is this a cat?", ("inlineData",))


@either_kind
@whole_and_streamed
@pytest.mark.parametrize("status", [400, 500])
def test_an_error_of_the_provider_is_the_sdks_own_and_stores_nothing(
    proxy: Proxy, provider: Provider, user: str, model: str, stream: bool, status: int
) -> None:
    seen = GEMINI_BRIDGED_BAD_REQUEST if model == CHAT_MODEL and status == 400 else status
    provider.answer(Answer(status=status, message="No such luck."))
    with pytest.raises(errors.ClientError if seen < 500 else errors.ServerError, match="No such luck") as failed:
        ask(proxy, user, "Hello.", model=model, stream=stream)

    assert failed.value.code == seen
    assert ours(failed.value.response.headers) == ONCE_KNOWN
    assert Memory(proxy).sessions(user) == []


@pytest.mark.parametrize(
    ("options", "code", "status", "says"),
    [
        ({"min_top_k": "many", "timezone": "Mars"}, 400, "INVALID_ARGUMENT", "X-Recallr-Min-Top-K.*X-Recallr-Timezone"),
        ({"api_key": "rai_wrong"}, 401, "UNAUTHENTICATED", "X-Recallr-API-Key"),
        ({"allow_new_user_creation": False}, 404, "NOT_FOUND", "X-Recallr-Allow-New-User-Creation"),
        ({"user_id": None}, 400, "INVALID_ARGUMENT", "X-Recallr-User-Id"),
    ],
    ids=["bad values", "wrong key", "unknown user", "no user"],
)
@whole_and_streamed
def test_a_refused_request_is_answered_in_googles_shape(
    proxy: Proxy,
    provider: Provider,
    user: str,
    stream: bool,
    options: dict[str, Any],
    code: int,
    status: str,
    says: str,
) -> None:
    with pytest.raises(errors.ClientError, match=says) as refused:
        ask(proxy, user, "Hello.", model=GEMINI_MODEL, stream=stream, **options)

    error = refused.value
    assert (error.code, error.status) == (code, status)
    assert set(error.details["error"]) == {"code", "message", "status"}, "the shape of Google's errors"
    assert ours(error.response.headers) >= ALWAYS
    assert error.response.headers["x-recallr-memory-status"] == "off"
    assert provider.recorded == [], "the model is not called"


def started(client: genai.Client, model: str, until: str) -> Any:
    """A stream of the SDK, read up to these words. The connection is open still."""
    stream = client.models.generate_content_stream(model=model, contents="Count to four.")
    received = ""
    while received != until:
        received += next(stream).text or ""
    return stream


def check_kept_of_broken(proxy: Proxy, user: str) -> None:
    """Check that what the client got of a broken stream is stored, and said to be a part."""
    kept = eventually(lambda: Memory(proxy).sessions(user), "the broken exchange is stored")[0]
    assert kept.said == [("user", "Count to four."), ("assistant", "one two")]
    assert [stored.partial for stored in kept.messages] == [False, True]


@every_model
def test_of_a_stream_that_the_client_leaves_what_it_got_is_stored_until_it_asks_again(
    proxy: Proxy, provider: Provider, user: str, model: str
) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2), Answer(text="One to four."))
    with proxy.gemini(user) as client:
        started(client, model, "one two").close()
    check_kept_of_broken(proxy, user)

    ask(proxy, user, "Count to four.", model=model)
    assert Memory(proxy).only(user).said == [("user", "Count to four."), ("assistant", "One to four.")]


@either_kind
def test_of_a_stream_that_the_provider_breaks_off_what_the_client_got_is_stored(
    proxy: Proxy, provider: Provider, user: str, model: str
) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2))
    client = proxy.gemini(user)
    stream = started(client, model, "one two")
    provider.drop()
    # Not the SDK's own error: LiteLLM's frame has the code as text, and the SDK fails to compare it with a number.
    with pytest.raises((errors.APIError, TypeError)):
        list(stream)
    check_kept_of_broken(proxy, user)


def test_an_error_frame_in_mid_stream_reaches_the_client_and_what_came_before_is_stored(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    frames: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]}
        for text in ("one", " two")
    ]
    frames.append({"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}})
    raw = "".join(f"data: {json.dumps(frame)}\r\n\r\n" for frame in frames)
    provider.answer(Answer(raw=raw, headers={"content-type": "text/event-stream"}))
    with pytest.raises(errors.ServerError, match="Overloaded"):
        ask(proxy, user, "Count to four.", model=GEMINI_MODEL, stream=True)
    check_kept_of_broken(proxy, user)


@every_model
@whole_and_streamed
def test_a_request_without_our_headers_is_the_same_bytes_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, model: str, stream: bool
) -> None:
    bodies = []
    for gateway in (plain_proxy, proxy):
        answered = ask(gateway, None, "Hello.", model=model, stream=stream, config={"system_instruction": SYSTEM})
        assert not ours(answered.headers)
        bodies.append(last(provider).body)
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    "body",
    [
        {"contents": {"parts": {"text": "Hi."}}},
        {"contents": "Hi."},
        {"contents": []},
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": [{"role": "user", "parts": [{}]}]},
        {"contents": [{"role": "user", "parts": None}]},
        {"contents": [{"role": "model", "parts": [{"text": "As I said."}]}]},
        {"contents": [None]},
        {"contents": None},
        {"contents": [{"parts": [{"text": "Hi."}]}], "systemInstruction": "Be kind."},
        {"contents": [{"parts": [{"text": "Hi."}]}], "systemInstruction": {"parts": {"text": "Be kind."}}},
        {"contents": [{"parts": [{"text": "Hi."}]}], "generationConfig": None},
        {},
    ],
    ids=lambda body: json.dumps(body),
)
@pytest.mark.parametrize("path", ["generateContent", "streamGenerateContent?alt=sse"])
def test_odd_bodies_are_answered_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, body: dict[str, Any], path: str
) -> None:
    def send(gateway: Proxy, headers: dict[str, str]) -> httpx.Response:
        return httpx.post(
            f"{gateway.url}/v1beta/models/{NEW_GEMINI_MODEL}:{path}",
            headers=headers | {"x-goog-api-key": gateway.master_key},
            json=body,
            trust_env=False,
            timeout=60.0,
        )

    provider.answer(Answer(model=NEW_GEMINI_MODEL, text="Whatever you say."))
    there, here = send(plain_proxy, {}), send(proxy, proxy.headers(user))
    assert here.status_code == there.status_code, f"with the plugin: {here.text}\nwithout: {there.text}"
    assert here.headers["x-recallr-memory-status"] in {"ok", "empty", "off"}, f"trouble with it: {here.headers}"
    if there.status_code == 200:
        assert Memory(proxy).only(user).said[-1] == ("assistant", "Whatever you say.")
