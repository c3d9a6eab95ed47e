"""What others see of a request: nothing of Recallr's headers and keys; no difference at all where there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.provider import Answer, Provider, Recorded, ThreadedProvider
from tests.support.proxy import API_KEY, CHAT_MODEL, OTHER_API_KEY, Proxy
from tests.support.waiting import eventually

WITNESS = '''
"""A callback that writes down all it gets, to whatever depth."""

from litellm.integrations.custom_logger import CustomLogger

FILE = {file!r}


def lines(value, depth=0, seen=()):
    if depth > 12 or id(value) in seen:
        return
    seen = (*seen, id(value))
    if isinstance(value, dict):
        for key, item in list(value.items()):  # live objects: others write to them
            yield repr(key)
            yield from lines(item, depth + 1, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in list(value):
            yield from lines(item, depth + 1, seen)
    else:
        yield repr(value)
        yield from lines(getattr(value, "__dict__", {{}}), depth + 1, seen)


def note(hook, *received):
    text = "\\n".join([hook, *lines(received)])
    with open(FILE, "a") as file:
        file.write(text + "\\n" + "=" * 20 + "\\n")


class Witness(CustomLogger):
    def log_pre_api_call(self, model, messages, kwargs):
        note("log_pre_api_call", messages, kwargs)

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        note("async_pre_call_hook", user_api_key_dict, data)

    async def async_moderation_hook(self, data, user_api_key_dict, call_type):
        note("async_moderation_hook", user_api_key_dict, data)

    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        note("async_post_call_success_hook", user_api_key_dict, data, response)

    async def async_post_call_failure_hook(
        self, request_data, original_exception, user_api_key_dict, traceback_str=None
    ):
        note("async_post_call_failure_hook", user_api_key_dict, request_data)

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        note("async_log_success_event", kwargs, response_obj)

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        note("async_log_failure_event", kwargs, response_obj)


witness = Witness()
'''
SEEN = {
    "log_pre_api_call",
    "async_pre_call_hook",
    "async_moderation_hook",
    "async_post_call_success_hook",
    "async_post_call_failure_hook",
    "async_log_success_event",
    "async_log_failure_event",
}
CONTROL = {"X-Control": "control-value-of-the-client"}
"""A header of the client's own: that it is seen shows that headers are looked at."""


@pytest.fixture(scope="module")
def watched(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy as talkative as can be: forwards client headers, logs everything, has a second callback."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "witness.py").write_text(WITNESS.format(file=str(folder / "witnessed")))
    with Proxy(
        folder,
        running_provider,
        callbacks=["witness.witness"],
        config={"general_settings": {"forward_client_headers_to_llm_api": True}},
        arguments=["--detailed_debug"],
    ) as proxy:
        yield proxy


def chat(proxy: Proxy, text: str, *, stream: bool = False, **recallr: str) -> None:
    with proxy.openai() as client:
        answer = client.chat.completions.create(
            model=CHAT_MODEL,
            messages=[{"role": "user", "content": text}],
            stream=stream,
            extra_headers=CONTROL | recallr,
        )
        if isinstance(answer, openai.Stream):
            for _ in answer:
                pass


def ours_in(text: str) -> list[str]:
    """The lines that hold one of our header names or a key."""
    secrets = ("x-recallr", "x_recallr", API_KEY.lower())
    return [line[:500] for line in text.splitlines() if any(secret in line.lower() for secret in secrets)]


def test_neither_provider_nor_log_nor_other_callbacks_see_our_headers(
    watched: Proxy, provider: Provider, user: str
) -> None:
    witnessed = watched.folder / "witnessed"
    headers = watched.headers(user, timezone="Europe/Berlin", min_top_k=3)
    chat(watched, "A whole answer.", **headers)
    chat(watched, "A streamed answer.", stream=True, **headers)
    provider.answer(Answer(status=500))
    with pytest.raises(openai.InternalServerError):
        chat(watched, "A failure.", **headers)

    for request in provider.chats():
        assert request.headers["x-control"] == CONTROL["X-Control"], "the gateway forwards what is not ours"
        found = ours_in(json.dumps(request.headers) + request.body.decode())
        assert found == [], f"the provider got of ours: {found}"
    assert len(provider.chats()) == 3

    # the success and failure events come when the answer is out already
    seen = eventually(
        lambda: set(_hooks(witnessed)),
        f"the second callback has seen all of {sorted(SEEN)}",
        until=lambda seen: seen >= SEEN,
    )
    assert seen == SEEN
    text = witnessed.read_text()
    assert text.count(CONTROL["X-Control"]) >= 3, "the callback does get the client's headers"
    assert ours_in(text) == [], "the second callback got something of ours"
    assert CONTROL["X-Control"] in watched.log, "LiteLLM logs the headers of requests"
    assert ours_in(watched.log) == [], "LiteLLM's log has something of ours in it"


def test_a_refused_key_is_told_to_nobody(watched: Proxy, provider: Provider, user: str) -> None:
    witnessed = watched.folder / "witnessed"
    before = _hooks(witnessed).count("async_post_call_failure_hook")
    with pytest.raises(openai.AuthenticationError) as refused:
        chat(watched, "A refusal.", **watched.headers(user, api_key=OTHER_API_KEY))

    eventually(
        lambda: _hooks(witnessed).count("async_post_call_failure_hook"),
        "the second callback has seen that the request failed",
        until=lambda count: count > before,
    )
    for where in (refused.value.response.text, witnessed.read_text(), watched.log):
        assert OTHER_API_KEY not in where
    assert provider.chats() == []


def _hooks(file: Path) -> list[str]:
    """The names of the hooks that were called, in order."""
    parts = file.read_text().split("=" * 20 + "\n")[:-1] if file.exists() else []
    return [part.partition("\n")[0] for part in parts]


BODIES: dict[str, Any] = {
    "plain": {"messages": [{"role": "user", "content": "Hello there."}]},
    "unicode": {"messages": [{"role": "user", "content": "naïve 🦊 \u2028 \u202e שלום \x00"}], "temperature": 0.5},
    "tools": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "There."}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
        ],
        "tools": [{"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}],
        "user": "somebody",
        "metadata": {"a": "b"},
    },
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_request_without_our_headers_is_served_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, body: dict[str, Any], stream: bool
) -> None:
    def send(to: Proxy) -> tuple[Recorded, httpx.Response]:
        provider.answer(Answer(text="Good morning to you."))
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            answer = client.post(
                f"{to.url}/v1/chat/completions",
                headers={"Authorization": f"Bearer {to.master_key}"},
                json={"model": CHAT_MODEL, **body, "stream": stream},
            )
        assert answer.status_code == 200, answer.text
        return provider.last, answer

    (asked, answered), (plainly_asked, plainly_answered) = send(proxy), send(plain_proxy)

    assert asked.body == plainly_asked.body, "the provider gets the same bytes"
    assert _names(asked) == _names(plainly_asked), "and the same headers"
    assert answered.headers.keys() == plainly_answered.headers.keys(), "the client gets the same headers, none of ours"
    assert not [name for name in answered.headers if name.startswith("x-recallr")]
    assert _without_numbers(answered.text) == _without_numbers(plainly_answered.text), "and the same answer"


def _names(request: Recorded) -> set[str]:
    return set(request.headers)


def _without_numbers(text: str) -> str:
    """An answer without what differs from one to the next: ids and times."""
    return "".join(character for character in text if not character.isdigit())
