"""The conversation of `recallr demo`: two sessions through the openai SDK, as any program holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import openai
from openai.types.chat import ChatCompletionMessageParam
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from recallr_litellm.cli.demo_gateway import DemoError, DemoGateway
from recallr_litellm.printable import printable
from recallr_litellm.projects import DEFAULT_PROJECT

FIRST_SESSION = (
    "Hi, I'm Alice. I'm allergic to peanuts, and I'm moving to Lisbon in March.",
    "This is my dog, by the way. Her name is Biscuit.",
)
SECOND_SESSION = (
    ("Which food am I allergic to?", "peanuts"),
    ("What is the name of my dog?", "Biscuit"),
)
"""What is asked, and the word of the first session that has to be in what the gateway puts before the model."""


_NOTHING = "nothing: no earlier session holds anything"


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

    @property
    def session_id(self) -> str | None:
        """The session that the gateway put this turn in."""
        return self.headers.get("x-recallr-session-id")

    def show(self, console: Console) -> None:
        """What was said, what the gateway added, the reply, the response headers."""
        headers = Table.grid(padding=(0, 2))
        for name, value in sorted(self.headers.items()):
            headers.add_row(Text(name.title()), Text(value))
        known = self.headers.get("x-recallr-memory-status") == "ok"
        nothing = "nothing new: what is known stands before an earlier message" if known else _NOTHING
        memory = Text(self.memory) if self.memory else Text(nothing, style="dim")
        _show(console, "Alice says", Text(self.said), "cyan")
        _show(console, "The gateway puts before her words", memory, "magenta")
        _show(console, f"{self.model} answers", Text(printable(self.reply)), "green")
        _show(console, "Response headers", headers, "blue")


class DemoClient:
    """Sends the history of the conversation it is in, as chat programs do, and nothing of earlier ones."""

    def __init__(self, gateway: DemoGateway, model: str) -> None:
        self._gateway = gateway
        self._model = model
        self._history: list[ChatCompletionMessageParam] = []
        self._openai = openai.OpenAI(
            base_url=f"{gateway.url}/v1",
            api_key=gateway.master_key,
            default_headers={
                "X-Recallr-API-Key": gateway.recallr_key,
                "X-Recallr-Project-Id": DEFAULT_PROJECT,
                "X-Recallr-User-Id": "alice",
                "X-Recallr-Allow-New-User-Creation": "true",
            },
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=120),  # loopback, whatever proxy is set
        )

    def begin(self) -> None:
        """Begin a new conversation: an empty history."""
        self._history = []

    def say(self, text: str, *, ends_session: bool) -> Turn:
        """Say something.

        Args:
            ends_session: let the session end one second after this message.

        Raises:
            openai.OpenAIError: the gateway or the provider refused.
        """
        timeout = {"X-Recallr-Session-Timeout-Seconds": "1"} if ends_session else {}
        self._history.append({"role": "user", "content": text})
        answer = self._openai.chat.completions.with_raw_response.create(
            model=self._model, messages=self._history, extra_headers=timeout
        )
        reply = answer.parse().choices[0].message.content or ""
        self._history.append({"role": "assistant", "content": reply})
        ours = {name: value for name, value in answer.headers.items() if name.startswith("x-recallr-")}
        outgoing = {message["role"]: str(message["content"]) for message in self._gateway.outgoing()}
        instructions, memory = outgoing.get("system", ""), outgoing.get("user", "").removesuffix(text)
        return Turn(self._model, text, ours, instructions.strip(), memory.strip(), reply)


def hold(console: Console, gateway: DemoGateway, model: str) -> bool:
    """Hold the two sessions and show them turn by turn.

    Returns:
        Whether memory answered each question of the second session.

    Raises:
        DemoError: the gateway did not start, or the model could not be asked.
    """
    with console.status("Starting a gateway (LiteLLM takes some seconds) …"):
        gateway.start()
    client = DemoClient(gateway, model)

    def take(said: str, *, ends_session: bool = False) -> Turn:
        turn = client.say(said, ends_session=ends_session)
        turn.show(console)
        return turn

    try:
        console.print(Rule("Session 1: Alice tells something about herself.", style="bold cyan"))
        client.begin()
        first = [take(said, ends_session=said == FIRST_SESSION[-1]) for said in FIRST_SESSION]
        with console.status("The session has been quiet for its timeout (1 s here, 600 s else) and becomes memory …"):
            remembered = gateway.wait_until_remembered()
        console.print(
            "The first session has become memory.\n"
            if remembered
            else "The first session is still being processed; the gateway recalls it verbatim until that is done.\n"
        )
        console.print(
            Rule("Session 2: A new conversation. The client sends nothing of the first one.", style="bold cyan")
        )
        client.begin()
        second = [take(question) for question, _ in SECOND_SESSION]
    except (openai.OpenAIError, httpx.HTTPError) as error:
        raise DemoError(f"{model} could not be asked: {error}") from error

    _show(console, "In every turn the gateway adds to the system message", Text(second[-1].instructions), "magenta")
    answers = zip(second, SECOND_SESSION, strict=True)
    shown = ""
    missing: list[str] = []
    for turn, (_, word) in answers:
        shown += turn.memory.casefold()  # a block stays where it was laid
        if word.casefold() not in shown:
            missing.append(word)
    verdict = Text("The second session recalled the first.", "bold green")
    if not {turn.session_id for turn in first}.isdisjoint(turn.session_id for turn in second):
        verdict = Text("The second conversation was put into the first one's session: nothing was tested.", "bold red")
    elif missing:
        verdict = Text(f"Not recalled in the second session: {', '.join(missing)}.", "bold red")
    console.print(Panel(verdict, border_style=verdict.style))
    return verdict.style == "bold green"


def _show(console: Console, title: str, content: RenderableType, style: str) -> None:
    console.print(Panel(content, title=Text(title), title_align="left", border_style=style))
