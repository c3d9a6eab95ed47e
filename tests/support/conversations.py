"""Conversations as real clients send them (`tests/conversations/*.yaml`), played through a gateway.

A file has these fields:

    client    name
    api       chat, anthropic, responses, cursor: how it is sent, and with which SDK
    stream    whether answers are streamed
    opening   messages in front of every history
    headers   of every request
    body      further fields of every request
    calls     requests, in order; see `Call`
    kept      the sessions that must have been remembered; see `KeptSession`
    questions what is asked in new sessions afterwards; see `Question`

`{n}` in a call is the number of its repetition, `{filler}` anywhere a paragraph of 2,000 characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field

from recallr_litellm.core.messages import Message
from tests.support.memory import SHORT, Kept, Memory, remember
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, Proxy
from tests.support.shown import CLOSING, OPENING, shown

FOLDER = Path(__file__).resolve().parents[1] / "conversations"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

LONG = 600
"""Seconds after which a session ends by itself: none does while it is played."""
KNOWN = "My boat is called Meridian."
_FILLER = "Further provisions are found in the annex to this handbook. " * 34


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(_Data):
    """What the model answers."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    transcript: str | None = None
    """Of an answer that is audio."""


class Call(_Data):
    """A request. Unless it is a helper call, its messages and the answer join the history of its chat."""

    chat: str = "main"
    add: list[dict[str, Any]]
    """New messages, in the API's own form."""
    sent: list[dict[str, Any]] | None = None
    """Sent in place of `add`, this time only."""
    answer: Reply | str
    helper: bool = False
    """It only serves the client: memory must leave it alone."""
    behind: bool = False
    """A helper call behind the chat's history; others are sent without one."""
    restart: bool = False
    """The client has dropped the history."""
    window: int | None = None
    """Messages of the history that the client sends, the newest."""
    stream: bool | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    only_body: dict[str, Any] | None = None
    """In place of the conversation's `body`."""
    body: dict[str, Any] = Field(default_factory=dict)
    repeat: int = 1

    @property
    def reply(self) -> Reply:
        return Reply(text=self.answer) if isinstance(self.answer, str) else self.answer


class KeptSession(_Data):
    """What must have been remembered of a session, by role."""

    user: list[str]
    names: list[str] | None = None
    """Of those who said it."""
    assistant: list[str] | None = None
    """Replies that have a text."""
    tools: int = 0
    """Tool results."""


class Question(_Data):
    """What is asked in a new session."""

    ask: str
    shown: list[str]
    """Must be in the memory block; regular expressions."""
    not_shown: list[Any] = Field(default_factory=list)
    """Must not be in it; lists in lists count as one."""


class Conversation(_Data):
    client: str
    api: str
    stream: bool
    opening: list[dict[str, Any]] = Field(default_factory=list)
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)
    calls: list[Call]
    kept: list[KeptSession]
    questions: list[Question]


class Asked(_Data):
    """A question and what the model saw with it."""

    question: Question
    block: str
    """The memory block; "" if there was none."""

    @property
    def missing(self) -> list[str]:
        return [text for text in self.question.shown if not re.search(text, self.block)]

    @property
    def unwanted(self) -> list[str]:
        return [text for text in _flat(self.question.not_shown) if text in self.block]


class Played(BaseModel):
    """What came of a conversation."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    conversation: Conversation
    statuses: list[tuple[bool, str]]
    """Of each request: whether it is a helper call, and the memory status."""
    blocks: int
    """How many different memory blocks stood in the requests: at most one for each turn."""
    sessions: list[Kept]
    asked: list[Asked]

    @property
    def kept(self) -> list[KeptSession]:
        """What was remembered, in the form in which it is expected."""
        return [_summary([stored.message for stored in session.messages]) for session in self.sessions]

    @property
    def mistaken(self) -> list[int]:
        """Numbers of the requests, from 0, taken for helper calls wrongly, or for turns."""
        return [number for number, (helper, status) in enumerate(self.statuses) if helper != (status == "off")]

    def differences(self) -> list[str]:
        """All that is not as it must be, in sentences."""
        found = [f"request {number} has status {self.statuses[number][1]}" for number in self.mistaken]
        expected = self.conversation.kept
        kept = [
            actual.model_copy(update={name: None for name in ("names", "assistant") if getattr(wanted, name) is None})
            for actual, wanted in zip(self.kept, expected, strict=False)
        ]
        if len(self.kept) != len(expected) or kept != expected:
            found.append(f"remembered is {_shown(self.kept)}, and should be {_shown(expected)}")
        if not 0 < self.blocks <= (turns := sum(len(session.user) for session in expected)):
            found.append(f"{turns} turns had {self.blocks} different memory blocks")
        for asked in self.asked:
            found += [f"{asked.question.ask!r} is not shown {text!r}" for text in asked.missing]
            found += [f"{asked.question.ask!r} is shown {text!r}" for text in asked.unwanted]
        return found


def load(name: str) -> Conversation:
    """A recorded conversation by the name of its file."""
    text = (FOLDER / f"{name}.yaml").read_text().replace("{filler}", _FILLER)
    return Conversation.model_validate(yaml.safe_load(text))


def play(conversation: Conversation, proxy: Proxy, provider: Provider, user: str) -> Played:
    """Send a conversation, let its sessions end and be processed, and ask the questions in new sessions.

    The user has said `KNOWN` before, so that there is something to recall in each turn.
    """
    memory = Memory(proxy)
    remember(proxy, user, KNOWN)
    provider.clear()
    statuses = []
    histories: dict[str, list[Any]] = {}
    for call in _repeated(conversation.calls):
        history = [] if call.restart else histories.get(call.chat, [])
        before = history if not call.helper or call.behind else []
        before = before[-call.window :] if call.window else before
        messages = [*conversation.opening, *before, *(call.sent or call.add)]
        statuses.append((call.helper, _send(conversation, call, messages, proxy, provider, user)))
        if not call.helper:
            histories[call.chat] = [*history, *call.add, *_answered(conversation.api, call.reply, len(statuses))]
    blocks = {
        text[text.index(OPENING) : text.index(CLOSING)]
        for request in provider.recorded
        for _, text in shown(request).said
        if OPENING in text
    }
    sessions = sorted(memory.sessions(user), key=lambda session: session.messages[0].at)
    for session in sessions:
        _end(proxy, provider, user, session)
    memory.wait_processed(user, *(session.id for session in sessions))
    return Played(
        conversation=conversation,
        statuses=statuses,
        blocks=len(blocks),
        sessions=sessions,
        asked=[_ask(question, proxy, provider, user) for question in conversation.questions],
    )


def _repeated(calls: Sequence[Call]) -> list[Call]:
    return [
        Call.model_validate_json(call.model_dump_json().replace("{n}", str(number)))
        for call in calls
        for number in range(1, call.repeat + 1)
    ]


def _send(
    conversation: Conversation, call: Call, messages: list[Any], proxy: Proxy, provider: Provider, user: str
) -> str:
    """One request, its answer read to the end. Returns the memory status."""
    reply = call.reply
    provider.answer(
        Answer(raw=_audio(reply.transcript))
        if reply.transcript is not None
        else Answer(text=reply.text or (None if reply.calls else ""), tool_calls=reply.calls)
    )
    body = {**(conversation.body if call.only_body is None else call.only_body), **call.body}
    body["stream"] = conversation.stream if call.stream is None else call.stream
    headers = {**conversation.headers, **call.headers}
    got = _SENDERS[conversation.api](proxy, user, messages, body, headers)
    return got["x-recallr-memory-status"]


def _chat(proxy: Proxy, user: str, messages: list[Any], body: dict[str, Any], headers: Any) -> Mapping[str, str]:
    completions = proxy.openai(user, session_timeout_seconds=LONG).chat.completions
    return _read(
        completions.with_raw_response.create(model=CHAT_MODEL, messages=messages, extra_headers=headers, **body), body
    )


def _anthropic(proxy: Proxy, user: str, messages: list[Any], body: dict[str, Any], headers: Any) -> Mapping[str, str]:
    api = proxy.anthropic(user, session_timeout_seconds=LONG).messages
    return _read(
        api.with_raw_response.create(model=CLAUDE_MODEL, messages=messages, extra_headers=headers, **body), body
    )


def _responses(proxy: Proxy, user: str, messages: list[Any], body: dict[str, Any], headers: Any) -> Mapping[str, str]:
    api = proxy.openai(user, session_timeout_seconds=LONG).responses
    return _read(api.with_raw_response.create(model=CHAT_MODEL, input=messages, extra_headers=headers, **body), body)


def _cursor(proxy: Proxy, user: str, messages: list[Any], body: dict[str, Any], headers: Any) -> Mapping[str, str]:
    answered = httpx.post(
        f"{proxy.url}/cursor/chat/completions",
        headers={
            "Authorization": f"Bearer {proxy.master_key}",
            **proxy.headers(user, session_timeout_seconds=LONG),
            **headers,
        },
        json={"model": CHAT_MODEL, "input": messages, **body},
        trust_env=False,
        timeout=60.0,
    )
    return answered.raise_for_status().headers


_SENDERS = {"chat": _chat, "anthropic": _anthropic, "responses": _responses, "cursor": _cursor}


def _read(raw: Any, body: Mapping[str, Any]) -> Mapping[str, str]:
    """Read an answer to its end. Returns the headers."""
    parsed = raw.parse()
    if body["stream"]:
        for _ in parsed:
            pass
    headers: Mapping[str, str] = raw.headers
    return headers


def _audio(transcript: str) -> str:
    audio = {"id": "audio_1", "expires_at": 1, "data": "UklG", "transcript": transcript}
    message = {"role": "assistant", "content": None, "audio": audio}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "created": 1, "model": CHAT_MODEL, "object": "chat.completion"}
    return json.dumps({**head, "choices": [choice]})


def _answered(api: str, reply: Reply, number: int) -> list[Any]:
    """An answer as the client sends it back."""
    if reply.transcript is not None:
        return [{"role": "assistant", "audio": {"id": f"audio_{number}"}}]
    if api == "anthropic":
        text = [{"type": "text", "text": reply.text}] if reply.text else []
        uses = [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
            for call in reply.calls
        ]
        return [{"role": "assistant", "content": text + uses}]
    if api in ("responses", "cursor"):
        content = [{"type": "output_text", "text": reply.text}]
        message = [{"type": "message", "role": "assistant", "content": content}] if reply.text else []
        return message + [
            {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
            for call in reply.calls
        ]
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.calls
    ]
    return [{"role": "assistant", "content": reply.text or None, **({"tool_calls": calls} if calls else {})}]


def _end(proxy: Proxy, provider: Provider, user: str, session: Kept) -> None:
    """Let a session end soon: a call that fails leaves nothing in it but a shorter timeout."""
    provider.answer(Answer(status=400))
    failed = httpx.post(
        f"{proxy.url}/v1/chat/completions",
        headers={
            "Authorization": f"Bearer {proxy.master_key}",
            **proxy.headers(user, session_id=session.id, session_timeout_seconds=SHORT),
        },
        json={"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Goodbye."}]},
        trust_env=False,
        timeout=60.0,
    )
    assert failed.status_code == 400, failed.text


def _ask(question: Question, proxy: Proxy, provider: Provider, user: str) -> Asked:
    provider.answer(Answer(text="I see."))
    proxy.ask(user, question.ask, conversation_id=question.ask)
    text = shown(provider.last).question
    start = text.find(OPENING)
    return Asked(question=question, block=text[start : text.index(CLOSING)] if start >= 0 else "")


def _summary(messages: Sequence[Message]) -> KeptSession:
    users = [message for message in messages if message.role == "user"]
    return KeptSession(
        user=[message.text for message in users],
        names=[message.name for message in users],
        assistant=[message.text for message in messages if message.role == "assistant" and message.text],
        tools=sum(message.role == "tool" for message in messages),
    )


def _shown(sessions: Sequence[KeptSession]) -> str:
    return json.dumps([session.model_dump(exclude_none=True) for session in sessions], indent=1, ensure_ascii=False)


def _flat(texts: Sequence[Any]) -> list[str]:
    return [one for text in texts for one in (text if isinstance(text, list) else [text])]
