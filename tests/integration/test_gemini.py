"""Memory through Gemini's API with Google's own SDK: to Gemini's models, and to one of OpenAI that LiteLLM adapts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from google.genai import errors, types

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider, Recorded
from tests.support.proxy import CHAT_MODEL, GEMINI_MODEL, NEW_GEMINI_MODEL, Proxy

OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
SYSTEM = "You are a travel agent. Ünïcode 🦊."
ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}
MODELS = {"native": GEMINI_MODEL, "unpriced": NEW_GEMINI_MODEL, "bridged": CHAT_MODEL}
"""Models of Gemini that LiteLLM knows and does not know, and one of another provider behind the same API."""

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
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


def parted(turn: dict[str, Any]) -> tuple[str, list[str]]:
    """The memory block before the user's words, and those words. Fails the test if there is none."""
    block, *words = texts_of(turn)
    assert block.startswith(OPENING), f"memory should stand first: {block!r}"
    assert block.rstrip().endswith(CLOSING), f"memory should stand alone: {block!r}"
    return block, words


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
