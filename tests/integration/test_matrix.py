"""The matrix: every API × whole or streamed × a provider of the same API or a bridged one × every situation.

One table in one file. `COLUMNS` are the situations, each a test below that is marked with `covers`; `ROUTES` × `MODES`
are the rows; `MISSING` says which cells cannot be, and why. What a run has covered is printed at its end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from recallr_litellm.formats import FORMATS
from tests.support.clients import SDKS, Answered, Failure, Sdk
from tests.support.differences import (
    ANTHROPIC_STREAMS_SAY_THAT_THEY_BROKE_OFF,
    BRIDGED_TOOL_CALLS_CAN_BE_READ,
    GEMINI_BRIDGED_BAD_REQUEST,
)
from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded, ThreadedProvider, ToolCall
from tests.support.proxy import ALWAYS, CHAT_MODEL, CLAUDE_MODEL, GEMINI_MODEL, ONCE_KNOWN, Proxy
from tests.support.shown import OPENING, Shown, parted, shown
from tests.support.waiting import eventually

INSTRUCT_MODEL = "openai/gpt-3.5-turbo-instruct"

CHATS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
COMPLETIONS, CONTENTS = "/v1/completions", f"/v1beta/models/{GEMINI_MODEL}:"
"""Where at the provider a request arrives: what shows that a bridge is one."""


@dataclass(frozen=True)
class Route:
    """An API of the gateway, and what stands behind the model that is asked for."""

    sdk: Sdk
    kind: str
    model: str
    path: str
    """How the path begins on which the provider is reached."""
    bad_request: int = 400
    """What LiteLLM makes of the provider's 400."""

    @property
    def name(self) -> str:
        return f"{self.sdk.name}, {self.kind}"


SAME = "same API"
_sdk = {sdk.name: sdk for sdk in SDKS}
ROUTES = [
    Route(_sdk["chat"], SAME, CHAT_MODEL, CHATS),
    Route(_sdk["chat"], "bridged to Anthropic", CLAUDE_MODEL, MESSAGES),
    Route(_sdk["chat"], "bridged to Gemini", GEMINI_MODEL, CONTENTS),
    Route(_sdk["completions"], SAME, INSTRUCT_MODEL, COMPLETIONS),
    Route(_sdk["completions"], "bridged to chat", CHAT_MODEL, CHATS),
    Route(_sdk["responses"], SAME, CHAT_MODEL, RESPONSES),
    Route(_sdk["responses"], "bridged to Anthropic", CLAUDE_MODEL, MESSAGES),
    Route(_sdk["anthropic"], SAME, CLAUDE_MODEL, MESSAGES),
    Route(_sdk["anthropic"], "bridged to responses", CHAT_MODEL, RESPONSES),
    Route(_sdk["gemini"], SAME, GEMINI_MODEL, CONTENTS),
    Route(_sdk["gemini"], "bridged to chat", CHAT_MODEL, CHATS, bad_request=GEMINI_BRIDGED_BAD_REQUEST),
]
MODES = {"whole": False, "streamed": True}
COLUMNS = (
    "first turn",
    "recall turn",
    "tool turn",
    "provider 4xx",
    "provider 5xx",
    "rejected header",
    "error in mid-stream",
    "client gone in mid-stream",
)

Cell = tuple[str, str, str]
"""Names of route, mode and column."""
PRODUCT: frozenset[Cell] = frozenset(itertools.product((route.name for route in ROUTES), MODES, COLUMNS))

NO_TOOLS = "the completions API has no tools"
NO_STREAM = "only a streamed answer has a middle: nothing of a whole one is seen before it is stored"
UNREADABLE = "this LiteLLM answers with a text of null"
TOOLS_BRIDGED = ("responses, bridged to Anthropic", "whole", "tool turn")
MISSING: dict[Cell, str] = {
    **{cell: NO_TOOLS for cell in PRODUCT if cell[0].startswith("completions") and cell[2] == "tool turn"},
    **{cell: UNREADABLE for cell in PRODUCT if cell == TOOLS_BRIDGED and not BRIDGED_TOOL_CALLS_CAN_BE_READ},
    **{cell: NO_STREAM for cell in PRODUCT if cell[1] == "whole" and cell[2].endswith("mid-stream")},
}

COVERED: set[Cell] = set()
"""The cells for which there are tests."""

INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
FACT = "My cat is called Felix and we live in Oslo."


def covers(column: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark the test of a column: it runs for every cell of it, as `route` and `stream`."""
    cells = [(route, mode) for route in ROUTES for mode in MODES if (route.name, mode, column) not in MISSING]
    COVERED.update((route.name, mode, column) for route, mode in cells)

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        test.column = column  # type: ignore[attr-defined]
        values = [pytest.param(route, MODES[mode], id=f"{route.name}, {mode}") for route, mode in cells]
        return pytest.mark.parametrize(("route", "stream"), values)(test)

    return mark


def table(outcomes: dict[Cell, str]) -> str:
    """The matrix as text, with the reasons of what is missing below it."""
    signs = {"passed": "ok", "failed": "FAILED"}
    reasons = {reason: f"({number})" for number, reason in enumerate(dict.fromkeys(MISSING.values()), start=1)}
    drawn = Table(box=box.ASCII)
    for title in ("API, provider", ""):
        drawn.add_column(title, no_wrap=True)
    for title in COLUMNS:
        drawn.add_column(title, max_width=11)
    for route, mode in itertools.product(ROUTES, MODES):
        cells = [(route.name, mode, column) for column in COLUMNS]
        drawn.add_row(
            route.name,
            mode,
            *(reasons[MISSING[cell]] if cell in MISSING else signs.get(outcomes.get(cell, ""), "-") for cell in cells),
        )
    console = Console(width=150, color_system=None)
    with console.capture() as text:
        console.print(drawn)
        for reason, sign in reasons.items():
            console.print(f"{sign} {reason}")
        passed = sum(outcome == "passed" for outcome in outcomes.values())
        console.print(f"{passed} cells passed, {len(PRODUCT - MISSING.keys())} there are; - has not run")
    return text.get()


@pytest.fixture(autouse=True)
def cell(request: pytest.FixtureRequest) -> None:
    """Tell the summary which cell a test is."""
    if (column := getattr(request.function, "column", None)) is not None:
        route, stream = (request.node.callspec.params[name] for name in ("route", "stream"))
        mode = next(mode for mode, streamed in MODES.items() if streamed == stream)
        request.node.user_properties.append(("cell", (route.name, mode, column)))


@pytest.fixture(scope="module")
def gateway(proxy: Proxy) -> Proxy:
    """One proxy for all of it."""
    return proxy


@pytest.fixture(scope="module")
def knowing(gateway: Proxy, running_provider: ThreadedProvider) -> dict[tuple[str, bool, str], str]:
    """A user for each cell that recalls, by route, stream and column, whose `FACT` is memory: its session is over."""
    running_provider.clear()
    recalling = [cell for cell in COVERED if cell[2] in ("recall turn", "tool turn")]
    users = {(route, MODES[mode], column): f"knowing-{n}" for n, (route, mode, column) in enumerate(sorted(recalling))}

    def tell(user: str) -> tuple[str, str]:
        return user, gateway.ask(user, FACT, session_timeout_seconds=SHORT).session_id

    with ThreadPoolExecutor(4) as threads:
        sessions = list(threads.map(tell, users.values()))
    for user, session in sessions:
        Memory(gateway).wait_processed(user, session)
    return users


@pytest.fixture
def memory(gateway: Proxy) -> Memory:
    return Memory(gateway)


def check_headers(headers: Any, names: set[str], *, status: str, user: str | None = None) -> None:
    """Check that a response has exactly these Recallr headers."""
    found = {name: value for name, value in headers.items() if name.startswith("x-recallr-")}
    assert set(found) == names, f"the Recallr headers of the response are {found}"
    assert found["x-recallr-memory-status"] == status, found
    assert found.get("x-recallr-user-id") == user, found


def reached(provider: Provider, route: Route) -> list[Recorded]:
    """What has reached the provider: all of it through the API that this route leads to, and none of our headers."""
    requests = provider.recorded
    for request in requests:
        assert request.path.startswith(route.path), f"{route.name} went to {request.path}: it is not the route it says"
        ours = [name for name in request.headers if "recallr" in name]
        assert not ours, f"our headers are nobody else's business: {ours}"
    return requests


def only(provider: Provider, route: Route) -> Shown:
    """What the model was shown, in the one request that has reached it."""
    requests = reached(provider, route)
    assert len(requests) == 1, f"the provider is asked once, not {len(requests)} times"
    return shown(requests[0])


def check_instructions(route: Route, seen: Shown) -> None:
    """Check that the instructions are there, where they belong."""
    system = seen.system if route.sdk.system_apart else seen.question
    assert system.startswith(INSTRUCTIONS), f"the instructions should be the system message: {seen}"
    assert system.count(INSTRUCTIONS) == 1, f"once: {seen}"


@covers("first turn")
def test_first_turn(gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool) -> None:
    words, answer = "My cat is called Félix 🦊.", "What a — good — name."
    provider.answer(Answer(text=answer))
    answered = route.sdk.ask(gateway, user, [route.sdk.user_says(words)], model=route.model, stream=stream)

    assert answered.text == answer, "the client gets what the model has said"
    check_headers(answered.headers, ONCE_KNOWN, status="empty", user=user)
    seen = only(provider, route)
    check_instructions(route, seen)
    assert OPENING not in seen.question, "nothing is remembered yet: there is no block"
    [(kind, said)] = seen.said
    assert kind == "user"
    assert said == words or (not route.sdk.system_apart and said.endswith(f"\n\n{words}")), "the words are untouched"
    kept = memory.session(user, answered.headers["x-recallr-session-id"])
    assert kept.said == [("user", words), ("assistant", answer)], "question and answer are stored, and nothing of ours"
    assert not any(stored.partial for stored in kept.messages)


@covers("recall turn")
def test_recall_turn(
    gateway: Proxy,
    provider: Provider,
    memory: Memory,
    knowing: dict[tuple[str, bool, str], str],
    route: Route,
    stream: bool,
) -> None:
    sdk, user = route.sdk, knowing[route.name, stream, "recall turn"]
    provider.clear()
    provider.answer(Answer(text="Felix."), Answer(text="Oslo."))
    turns = [sdk.user_says("What is my cat called?")]
    first = sdk.ask(gateway, user, turns, model=route.model, stream=stream)

    assert first.text == "Felix."
    check_headers(first.headers, ONCE_KNOWN, status="ok", user=user)
    seen = only(provider, route)
    check_instructions(route, seen)
    assert "Felix" not in seen.system, "memory is never in a privileged role"
    before, block, words = parted(seen.question)
    assert FACT in block, "what an earlier session said is shown"
    assert words.strip() == "What is my cat called?", "the user's words follow the block, as they were"
    assert sdk.system_apart or before.startswith(INSTRUCTIONS)
    assert before == "" or not sdk.system_apart, "nothing stands before the block"

    # And on: a client that sends its history, or, of completions, only the new prompt.
    history = [*turns, *first.turns] if sdk.system_apart else []
    second = sdk.ask(gateway, user, [*history, sdk.user_says("And where do I live?")], model=route.model, stream=stream)
    assert second.text == "Oslo."
    check_headers(second.headers, ONCE_KNOWN, status="ok", user=user)
    assert second.headers["x-recallr-session-id"] == first.headers["x-recallr-session-id"], "it is one session"
    on = shown(reached(provider, route)[-1])
    assert on.system == seen.system, "the system message stays the same"
    assert on.question.endswith("And where do I live?")
    if history:
        assert on.said[:-1] == (*seen.said, ("assistant", "Felix.")), "as it was sent before, its block included"
        assert FACT not in on.question, "what a block shows is not shown again"
    else:
        _, block, _ = parted(on.question)
        assert FACT in block
        assert "What is my cat called?" in block, "what the client leaves out of its session is shown"
    assert memory.session(user, first.headers["x-recallr-session-id"]).said == [
        ("user", "What is my cat called?"),
        ("assistant", "Felix."),
        ("user", "And where do I live?"),
        ("assistant", "Oslo."),
    ], "each message once, without what was injected"


@covers("tool turn")
def test_tool_turn(
    gateway: Proxy,
    provider: Provider,
    memory: Memory,
    knowing: dict[tuple[str, bool, str], str],
    route: Route,
    stream: bool,
) -> None:
    sdk, user = route.sdk, knowing[route.name, stream, "tool turn"]
    provider.clear()
    cities = ("Oslo", "Bergen")
    calls = tuple(ToolCall(id=f"call_{city}", name="weather", arguments=f'{{"city": "{city}"}}') for city in cities)
    provider.answer(Answer(tool_calls=calls), Answer(text="Wet."))
    turns = [sdk.user_says("Is the weather fine where I live?")]
    asked = sdk.ask(gateway, user, turns, model=route.model, stream=stream, tools=True)
    assert [(call.name, call.arguments) for call in asked.calls] == [("weather", {"city": city}) for city in cities]
    turns += [*asked.turns, *sdk.results(asked.calls)]
    # A block made anew would be another: it tells its times in the user's timezone.
    answered = sdk.ask(gateway, user, turns, model=route.model, stream=stream, tools=True, timezone="Asia/Tokyo")

    assert answered.text == "Wet."
    for each in (asked, answered):
        check_headers(each.headers, ONCE_KNOWN, status="ok", user=user)
    first, second = map(shown, reached(provider, route))
    assert FACT in parted(first.question)[1]
    assert second.system == first.system
    assert second.said[:1] == first.said, "the question stays as it was, the block in it included"
    # LiteLLM lets the model say something where a client sends back the empty text that it was given beside calls.
    after = list(itertools.dropwhile(lambda said: said[0] == "assistant", second.said[1:]))
    ties = [what for kind, what in after if kind == "call"]
    assert len(ties) == 2, f"both calls are shown again: {second.said}"
    assert after == [("call", tie) for tie in ties] + [("result", tie) for tie in ties], (
        f"nothing parts the calls from their results: {second.said}"
    )
    kept = [stored.message for stored in memory.session(user, answered.headers["x-recallr-session-id"]).messages]
    assert [message.role for message in kept] == ["user", "assistant", "tool", "tool", "assistant"]
    assert kept[0].text == "Is the weather fine where I live?"
    assert [call.name for call in kept[1].tool_calls] == ["weather", "weather"]
    assert [city in kept[number].text for number, city in ((2, "Oslo"), (3, "Bergen"))] == [True, True]
    assert kept[4].text == "Wet."


def check_failure(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool, status: int, seen: int
) -> None:
    """Let the provider fail with a status that the client sees as `seen`."""
    provider.clear()
    provider.answer(Answer(status=status, message="No such luck."), Answer(text="Better."))

    def ask() -> Answered:
        return route.sdk.ask(gateway, user, [route.sdk.user_says("Hello.")], model=route.model, stream=stream)

    failure = failed(route, seen, ask)
    assert "No such luck." in failure.message, "the provider's own words reach the client"
    check_headers(failure.headers, ONCE_KNOWN, status="empty", user=user)
    only(provider, route)
    assert memory.sessions(user) == [], "a failed call stores nothing"


def failed(route: Route, status: int, ask: Callable[[], object]) -> Failure:
    """The SDK's own exception for this status. Fails the test if there is none, or another."""
    expected = route.sdk.exceptions[status]
    with pytest.raises(expected) as caught:
        ask()
    assert type(caught.value) is expected, f"{caught.value!r} is not just {expected.__name__}"
    failure = route.sdk.failure(caught.value)
    assert failure.status == status
    return failure


@covers("provider 4xx")
def test_provider_4xx(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool
) -> None:
    check_failure(gateway, provider, memory, user, route, stream, 400, route.bad_request)
    check_failure(gateway, provider, memory, user, route, stream, 429, 429)


@covers("provider 5xx")
def test_provider_5xx(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool
) -> None:
    check_failure(gateway, provider, memory, user, route, stream, 500, 500)


@covers("rejected header")
def test_rejected_header(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool
) -> None:
    for options, status, says in (
        ({"timezone": "Mars", "min_top_k": "many"}, 400, ("X-Recallr-Timezone", "X-Recallr-Min-Top-K")),
        ({"api_key": "rai_wrong"}, 401, ("X-Recallr-API-Key",)),
    ):

        def ask(options: dict[str, object] = options) -> Answered:
            turns = [route.sdk.user_says("Hello.")]
            return route.sdk.ask(gateway, user, turns, model=route.model, stream=stream, **options)

        failure = failed(route, status, ask)
        for header in says:
            assert header in failure.message, f"the header at fault is named: {failure.message}"
        check_headers(failure.headers, ALWAYS, status="off")
    assert provider.recorded == [], "the model is not called"
    assert not memory.user_known(user)


def check_beginning_is_kept(gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route) -> None:
    """Check that what the client got of its answer is stored as a part, and that the whole takes its place."""
    kept = eventually(lambda: memory.sessions(user), "what came of the answer is stored")[0]
    assert kept.said == [("user", "Count to four."), ("assistant", "one two")]
    assert [stored.partial for stored in kept.messages] == [False, True], "it is marked as a part"

    provider.clear()
    provider.answer(Answer(text="One to four."))
    route.sdk.ask(gateway, user, [route.sdk.user_says("Count to four.")], model=route.model, stream=False)
    assert memory.only(user).said == [("user", "Count to four."), ("assistant", "One to four.")], (
        "asked again: the whole answer takes its place"
    )


@covers("error in mid-stream")
def test_error_in_mid_stream(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool
) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2))
    with route.sdk.begin(gateway, user, "Count to four.", model=route.model) as answer:
        answer.read_until("one two")
        check_headers(answer.headers, ONCE_KNOWN, status="empty", user=user)
        provider.drop()
        says_so = route.sdk.name != "anthropic" or ANTHROPIC_STREAMS_SAY_THAT_THEY_BROKE_OFF
        with pytest.raises(route.sdk.broken) if says_so else nullcontext():
            answer.rest()
    only(provider, route)
    check_beginning_is_kept(gateway, provider, memory, user, route)


@covers("client gone in mid-stream")
def test_client_gone_in_mid_stream(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, route: Route, stream: bool
) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2))
    with route.sdk.begin(gateway, user, "Count to four.", model=route.model) as answer:
        answer.read_until("one two")
        check_headers(answer.headers, ONCE_KNOWN, status="empty", user=user)
    only(provider, route)
    check_beginning_is_kept(gateway, provider, memory, user, route)


def test_no_cell_is_missing_without_a_reason() -> None:
    uncovered = {cell: MISSING.get(cell) for cell in PRODUCT - COVERED}
    assert {cell for cell, reason in uncovered.items() if not reason} == set(), "these cells have no test"
    assert MISSING.keys() <= PRODUCT - COVERED, "a cell that is said to be missing has a test"
    assert {route.sdk.name for route in ROUTES} == {format.__class__.__name__.lower() for format in FORMATS.values()}
    for sdk in SDKS:
        kinds = {route.kind == SAME for route in ROUTES if route.sdk is sdk}
        assert kinds == {True, False}, f"{sdk.name} is not asked of both kinds of provider"
