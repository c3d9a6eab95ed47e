"""The user of `recallr demo`: talks to the demo's gateway through the openai SDK, as any program would."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import openai
from openai.types.chat import ChatCompletionMessageParam

from recallr_litellm.cli.demo_gateway import DemoGateway
from recallr_litellm.projects import DEFAULT_PROJECT

USER = "alice"


@dataclass(frozen=True, slots=True)
class Turn:
    """One request and its answer, seen from both ends."""

    model: str
    said: str
    headers: Mapping[str, str]
    """The `x-recallr-*` headers of the response."""
    instructions: str
    """What the gateway put into the system message."""
    memory: str
    """What the gateway put before the user's words."""
    reply: str
    streamed: bool

    @property
    def session_id(self) -> str | None:
        """The session that the gateway put this turn in."""
        return self.headers.get("x-recallr-session-id")


class DemoClient:
    """Holds conversations. Sends the history of the one it is in, as chat programs do, and nothing of earlier ones."""

    def __init__(self, gateway: DemoGateway, model: str) -> None:
        self._gateway = gateway
        self._model = model
        self._history: list[ChatCompletionMessageParam] = []
        self._stream = itertools.cycle((False, True))
        self._openai = openai.OpenAI(
            base_url=f"{gateway.url}/v1",
            api_key=gateway.master_key,
            default_headers={
                "X-Recallr-API-Key": gateway.recallr_key,
                "X-Recallr-Project-Id": DEFAULT_PROJECT,
                "X-Recallr-User-Id": USER,
                "X-Recallr-Allow-New-User-Creation": "true",
            },
            http_client=httpx.Client(trust_env=False, timeout=120),  # a loopback address, whatever proxy is set
        )

    def begin(self) -> None:
        """Begin a new conversation: an empty history."""
        self._history = []

    def say(self, text: str, *, ends_session: bool) -> Turn:
        """Say something; every second time the answer is streamed.

        Args:
            text: the user's message.
            ends_session: let the session end one second after this message.

        Raises:
            openai.OpenAIError: the gateway or the provider refused.
        """
        timeout = {"X-Recallr-Session-Timeout-Seconds": "1"} if ends_session else {}
        self._history.append({"role": "user", "content": text})
        streamed = next(self._stream)
        create = self._openai.chat.completions.with_raw_response.create
        if streamed:
            chunks = create(model=self._model, messages=self._history, stream=True, extra_headers=timeout)
            headers = chunks.headers
            reply = "".join(chunk.choices[0].delta.content or "" for chunk in chunks.parse() if chunk.choices)
        else:
            whole = create(model=self._model, messages=self._history, extra_headers=timeout)
            headers = whole.headers
            reply = whole.parse().choices[0].message.content or ""
        self._history.append({"role": "assistant", "content": reply})
        instructions, memory = _added(text, self._gateway.outgoing())
        return Turn(
            model=self._model,
            said=text,
            headers={name: value for name, value in headers.items() if name.startswith("x-recallr-")},
            instructions=instructions,
            memory=memory,
            reply=reply,
            streamed=streamed,
        )


def _added(said: str, outgoing: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What went out beyond the user's words: the system message and what stands before them in the user message."""
    system = "\n".join(str(message["content"]) for message in outgoing if message["role"] == "system")
    user = next((str(message["content"]) for message in reversed(outgoing) if message["role"] == "user"), "")
    return system.strip(), user.removesuffix(said).strip()
