"""One client for every API of the gateway: the real SDK of each, driven alike.

    for sdk in SDKS:
        turns = [sdk.user_says("The weather?")]
        answered = sdk.ask(gateway, "alice", turns, model=..., stream=True, tools=True)
        turns += [*answered.turns, *sdk.results(answered.calls)]

A turn is what the SDK itself takes and gives, so that what is sent back is what a client sends back.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import anthropic
import openai
from google.genai import errors, types
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.support.proxy import Proxy

TOOL = "weather"
"""Name of the one tool."""
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


@dataclass(frozen=True)
class Call:
    """A tool call as the SDK gives it."""

    id: str | None
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """What the SDK makes of an answer."""

    text: str
    headers: Mapping[str, str]
    """Of the response; names in lower case."""
    calls: tuple[Call, ...] = ()
    turns: tuple[Any, ...] = ()
    """The answer as a client sends it back in its history."""


@dataclass(frozen=True)
class Failure:
    """What an exception of the SDK tells."""

    status: int
    message: str
    headers: Mapping[str, str]
    """Of the response; names in lower case."""


class StreamFailed(Exception):
    """A stream that ended with an event that says so, where its SDK has no exception for it."""


class Stream:
    """A stream of the SDK, read as far as the test has asked for."""

    def __init__(self, headers: Mapping[str, str], pieces: Iterator[str], owned: ExitStack) -> None:
        self.headers = {name.lower(): value for name, value in headers.items()}
        self._pieces = pieces
        self._owned = owned

    def read_until(self, text: str) -> None:
        """Read on until this is all the text that has come."""
        received = ""
        while received != text:
            received += next(self._pieces)

    def rest(self) -> str:
        """Read to the end. Raises what the SDK raises where the stream breaks, or `StreamFailed`."""
        return "".join(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The client goes away: its connection is closed."""
        self._owned.close()


class Sdk(ABC):
    """An API of the gateway as its own SDK speaks it."""

    name: str
    exceptions: Mapping[int, type[Exception]]
    """Status → the SDK's own exception."""
    broken: tuple[type[Exception], ...]
    """What a client sees of a stream that breaks in the middle."""
    system_apart = True
    """The API has a place for the system message."""

    def user_says(self, text: str) -> Any:
        """A turn of the user."""
        return {"role": "user", "content": text}

    @abstractmethod
    def results(self, calls: Iterable[Call]) -> list[Any]:
        """The turns that bring the results of tool calls."""

    def ask(
        self,
        gateway: Proxy,
        user: str,
        turns: Sequence[Any],
        *,
        model: str,
        stream: bool,
        tools: bool = False,
        **options: object,
    ) -> Answered:
        """One request, a streamed answer read to its end. Options are Recallr headers (see `Proxy.headers`)."""
        with self._client(gateway, user, options) as client:
            return self._ask(client, turns, model=model, stream=stream, tools=tools)

    def begin(self, gateway: Proxy, user: str, text: str, *, model: str, **options: object) -> Stream:
        """Ask for a stream, of which nothing is read yet."""
        with ExitStack() as stack:
            client = stack.enter_context(self._client(gateway, user, options))
            headers, pieces = self._begin(client, text, model, stack)
            return Stream(headers, pieces, stack.pop_all())

    def failure(self, exception: Any) -> Failure:
        """What one of `exceptions` says."""
        return Failure(exception.status_code, exception.message, _lower(exception.response.headers))

    @abstractmethod
    def _client(self, gateway: Proxy, user: str, options: Mapping[str, object]) -> Any: ...

    @abstractmethod
    def _ask(self, client: Any, turns: Sequence[Any], *, model: str, stream: bool, tools: bool) -> Answered: ...

    @abstractmethod
    def _begin(
        self, client: Any, text: str, model: str, stack: ExitStack
    ) -> tuple[Mapping[str, str], Iterator[str]]: ...


class _OpenAI(Sdk):
    """What is alike in the APIs that OpenAI's SDK speaks."""

    exceptions: Mapping[int, type[Exception]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
    }
    broken: tuple[type[Exception], ...] = (openai.APIError,)

    def _client(self, gateway: Proxy, user: str, options: Mapping[str, object]) -> Any:
        return gateway.openai(user, **options)

    @abstractmethod
    def _create(self, client: openai.OpenAI, turns: Sequence[Any], **request: Any) -> Any:
        """The raw response."""

    @abstractmethod
    def _text(self, event: Any) -> str:
        """What one event of a stream adds."""

    def _begin(self, client: Any, text: str, model: str, stack: ExitStack) -> tuple[Mapping[str, str], Iterator[str]]:
        raw = self._create(client, [self.user_says(text)], model=model, stream=True)
        return raw.headers, map(self._text, stack.enter_context(raw.parse()))


class Chat(_OpenAI):
    """Chat completions."""

    name = "chat"
    tools: Sequence[Any] = ({"type": "function", "function": {"name": TOOL, "parameters": _PARAMETERS}},)

    def results(self, calls: Iterable[Call]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": call.id, "content": _result(call)} for call in calls]

    def _ask(self, client: Any, turns: Sequence[Any], *, model: str, stream: bool, tools: bool) -> Answered:
        request: dict[str, Any] = {"tools": list(self.tools)} if tools else {}
        raw = self._create(client, turns, model=model, stream=stream, **_with_usage(stream), **request)
        completion = raw.parse()
        if stream:
            state = ChatCompletionStreamState()
            for chunk in completion:
                state.handle_chunk(chunk)
            completion = state.get_final_completion()
        message = completion.choices[0].message
        calls = [
            Call(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
        ]
        turn = message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
        return Answered(message.content or "", _lower(raw.headers), tuple(calls), (turn,))

    def _create(self, client: openai.OpenAI, turns: Sequence[Any], **request: Any) -> Any:
        return client.chat.completions.with_raw_response.create(messages=list(turns), **request)

    def _text(self, event: Any) -> str:
        return "".join(choice.delta.content or "" for choice in event.choices)


class Responses(_OpenAI):
    """Responses."""

    name = "responses"
    broken: tuple[type[Exception], ...] = (openai.APIError, StreamFailed)
    tools: Sequence[Any] = ({"type": "function", "name": TOOL, "parameters": _PARAMETERS, "strict": False},)

    def results(self, calls: Iterable[Call]) -> list[Any]:
        return [{"type": "function_call_output", "call_id": call.id, "output": _result(call)} for call in calls]

    def _ask(self, client: Any, turns: Sequence[Any], *, model: str, stream: bool, tools: bool) -> Answered:
        request = {"tools": list(self.tools)} if tools else {}
        raw = self._create(client, turns, model=model, stream=stream, **request)
        response = list(raw.parse())[-1].response if stream else raw.parse()
        calls = [
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        sent_back = tuple(item.model_dump(exclude_none=True) for item in response.output)
        return Answered(response.output_text, _lower(raw.headers), tuple(calls), sent_back)

    def _create(self, client: openai.OpenAI, turns: Sequence[Any], **request: Any) -> Any:
        return client.responses.with_raw_response.create(input=list(turns), **request)

    def _text(self, event: Any) -> str:
        if event.type in ("response.failed", "error"):
            raise StreamFailed(event.type)
        return event.delta if event.type == "response.output_text.delta" else ""


class Completions(_OpenAI):
    """Legacy completions: no tools, no history, no system message."""

    name = "completions"
    system_apart = False

    def results(self, calls: Iterable[Call]) -> list[Any]:
        """See `Sdk.results`. Raises NotImplementedError: there are no tools here."""
        raise NotImplementedError("the completions API has no tools")

    def _ask(self, client: Any, turns: Sequence[Any], *, model: str, stream: bool, tools: bool) -> Answered:
        raw = self._create(client, turns, model=model, stream=stream, **_with_usage(stream))
        text = "".join(map(self._text, raw.parse() if stream else [raw.parse()]))
        return Answered(text, _lower(raw.headers), turns=({"role": "assistant", "content": text},))

    def _create(self, client: openai.OpenAI, turns: Sequence[Any], **request: Any) -> Any:
        [turn] = turns
        return client.completions.with_raw_response.create(prompt=turn["content"], **request)

    def _text(self, event: Any) -> str:
        return "".join(choice.text or "" for choice in event.choices)


class Anthropic(Sdk):
    """Anthropic Messages."""

    name = "anthropic"
    exceptions: Mapping[int, type[Exception]] = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
    }
    broken: tuple[type[Exception], ...] = (anthropic.APIError,)
    tools: Sequence[Any] = ({"name": TOOL, "input_schema": _PARAMETERS},)

    def results(self, calls: Iterable[Call]) -> list[Any]:
        blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": _result(call)} for call in calls]
        return [{"role": "user", "content": blocks}]

    def _client(self, gateway: Proxy, user: str, options: Mapping[str, object]) -> Any:
        return gateway.anthropic(user, **options)

    def _ask(self, client: Any, turns: Sequence[Any], *, model: str, stream: bool, tools: bool) -> Answered:
        request: dict[str, Any] = {"model": model, "max_tokens": 2000, "messages": list(turns)}
        request |= {"tools": list(self.tools)} if tools else {}
        if stream:
            with client.messages.stream(**request) as events:
                message, headers = events.get_final_message(), events.response.headers
        else:
            raw = client.messages.with_raw_response.create(**request)
            message, headers = raw.parse(), raw.headers
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [Call(block.id, block.name, dict(block.input)) for block in message.content if block.type == "tool_use"]
        content = [block.model_dump(exclude_none=True) for block in message.content]
        return Answered(text, _lower(headers), tuple(calls), ({"role": "assistant", "content": content},))

    def _begin(self, client: Any, text: str, model: str, stack: ExitStack) -> tuple[Mapping[str, str], Iterator[str]]:
        request = {"model": model, "max_tokens": 2000, "messages": [self.user_says(text)]}
        events = stack.enter_context(client.messages.stream(**request))
        return events.response.headers, iter(events.text_stream)


class Gemini(Sdk):
    """Gemini's generateContent and streamGenerateContent."""

    name = "gemini"
    exceptions: Mapping[int, type[Exception]] = {
        **dict.fromkeys((400, 401, 404, 429), errors.ClientError),
        500: errors.ServerError,
    }
    # TypeError: LiteLLM's error frame has the code as text, and the SDK fails to compare it with a number.
    broken: tuple[type[Exception], ...] = (errors.APIError, TypeError)
    tools: Sequence[Any] = (
        types.Tool(function_declarations=[types.FunctionDeclaration(name=TOOL, parameters_json_schema=_PARAMETERS)]),
    )

    def user_says(self, text: str) -> Any:
        return types.Content(role="user", parts=[types.Part(text=text)])

    def results(self, calls: Iterable[Call]) -> list[Any]:
        given = [
            types.FunctionResponse(id=call.id, name=call.name, response={"output": _result(call)}) for call in calls
        ]
        return [types.Content(role="user", parts=[types.Part(function_response=one) for one in given])]

    def _client(self, gateway: Proxy, user: str, options: Mapping[str, object]) -> Any:
        return gateway.gemini(user, **options)

    def _ask(self, client: Any, turns: Sequence[Any], *, model: str, stream: bool, tools: bool) -> Answered:
        config: dict[str, Any] = {"automatic_function_calling": {"disable": True}}
        config |= {"tools": list(self.tools)} if tools else {}
        request: dict[str, Any] = {"model": model, "contents": list(turns), "config": config}
        models = client.models
        answers = list(models.generate_content_stream(**request)) if stream else [models.generate_content(**request)]
        parts = [part for answer in answers for part in answer.parts or ()]
        made = [part.function_call for part in parts if part.function_call is not None]
        calls = [Call(call.id, call.name or "", dict(call.args or {})) for call in made]
        text = "".join(part.text or "" for part in parts)
        turn = types.Content(role="model", parts=[part for part in parts if part.text or part.function_call])
        return Answered(text, _lower(_headers(answers[0])), tuple(calls), (turn,))

    def _begin(self, client: Any, text: str, model: str, stack: ExitStack) -> tuple[Mapping[str, str], Iterator[str]]:
        """The headers come with the first piece, which is therefore read already."""
        answers = client.models.generate_content_stream(model=model, contents=text)
        stack.callback(answers.close)
        first = next(answers)
        return _headers(first), (answer.text or "" for answer in chain([first], answers))

    def failure(self, exception: Any) -> Failure:
        return Failure(exception.code, str(exception.message), _lower(exception.response.headers))


SDKS: list[Sdk] = [Chat(), Completions(), Responses(), Anthropic(), Gemini()]


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _headers(answer: types.GenerateContentResponse) -> Mapping[str, str]:
    return (answer.sdk_http_response.headers if answer.sdk_http_response else None) or {}


def _with_usage(stream: bool) -> dict[str, Any]:
    return {"stream_options": {"include_usage": True}} if stream else {}


def _result(call: Call) -> str:
    """What the tool finds."""
    return f"rain in {call.arguments.get('city')}"
