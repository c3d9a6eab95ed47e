"""Recall by a real model: what it finds, what it costs, and how often it is of no use.

    python -m tests.benchmarks.agentic --data FOLDER --base-url http://127.0.0.1:8080/v1 [--model NAME] [--questions 8]

FOLDER holds `conv-*.json` of LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM
Agents", ACL 2024, CC BY-NC 4.0), which is not part of this project. The base URL is that of any server that speaks
OpenAI's API; a key it wants is taken from OPENAI_API_KEY. Its model searches, no other model is asked: the chat
itself is answered by a stand-in.

A conversation becomes the memory of a user, with its dates, as the processing of its sessions makes it. Then a real
gateway is asked some of its questions, each with `balanced` and with `agentic`. Printed for each: the status, the
findings, which of the messages that hold the answer they rest on and the block shows, the time, and what the model
was asked for. `--json` keeps all of it, with what the model said.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Annotated, Any

import httpx
import typer
import uvicorn
from rich.console import Console
from rich.progress import track
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing litellm would fetch its list of models

from recallr_litellm.core.escaping import escape
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import User
from recallr_litellm.stores.embedding import SparseEncoder
from tests.benchmarks.conversations import Conversation, Question, load_locomo, remember
from tests.benchmarks.material import opened
from tests.support.listeners import free_port
from tests.support.provider import Answer, Provider, ThreadedProvider
from tests.support.proxy import PROJECT, Proxy
from tests.support.waiting import eventually

SEARCHER = "searcher"
"""Name of the model in the gateway's config."""
_FINDINGS = re.compile(r"<findings>\n(.*?)\n(?=</?[a-z_]+[,>])", re.DOTALL)


@dataclass
class Call:
    """One call of the model."""

    seconds: float
    status: int
    tools: list[str]
    """Names of what it asked for."""
    tokens: int
    """Of the prompt, as the server counts them."""
    said: Any
    """Its message."""


@dataclass
class Asked:
    """A question, and what became of it."""

    question: str
    category: str
    strategy: str
    status: str
    milliseconds: float
    shown: float
    """Share of the evidence whose words are in the block."""
    findings: str
    calls: list[Call] = field(default_factory=list)


class Tap:
    """Stands between the gateway and the model's server, and keeps what goes through."""

    def __init__(self, target: str) -> None:
        self.calls: list[Call] = []
        self.port = free_port()
        self._target = target.rstrip("/")
        routes = [Route("/{path:path}", self._pass_on, methods=["POST"])]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=self.port, log_level="warning"))

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serves while the block runs."""
        thread = Thread(target=self._server.run, daemon=True)
        thread.start()
        eventually(lambda: self._server.started, "the tap serves")
        yield
        self._server.should_exit = True
        thread.join()

    async def _pass_on(self, request: Request) -> Response:
        begun = perf_counter()
        headers = {name: request.headers[name] for name in ("content-type", "authorization") if name in request.headers}
        url, body = f"{self._target}/{request.path_params['path']}", await request.body()
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            answering = asyncio.create_task(client.post(url, content=body, headers=headers))
            while not (await asyncio.wait([answering], timeout=0.2))[0]:
                if await request.is_disconnected():  # then the model's server is to stop, too
                    answering.cancel()
                    self.calls.append(Call(perf_counter() - begun, 0, [], 0, "given up"))
                    return Response(status_code=503)
            answer = answering.result()
        read = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        message = (read.get("choices") or [{}])[0].get("message") or {}
        tools = [call["function"]["name"] for call in message.get("tool_calls") or ()]
        tokens = (read.get("usage") or {}).get("prompt_tokens", 0)
        said = message or answer.text[:1000]
        self.calls.append(Call(perf_counter() - begun, answer.status_code, tools, tokens, said))
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))


async def fill(data_dir: Path, conversation: Conversation) -> None:
    """Make the conversation the memory of its owner in the gateway's own store."""
    vectors, embedder = await opened(data_dir)
    owner = Owner(PROJECT, conversation.name)
    await vectors.put_user(owner, User(project=PROJECT, user=conversation.name, created_at=0))
    await remember(conversation, vectors, embedder, SparseEncoder(), owner=owner)
    await vectors.close()
    await embedder.close()


def ask(proxy: Proxy, provider: Provider, tap: Tap, name: str, question: Question, strategy: str, top_k: int) -> Asked:
    """One question in a session of its own."""
    provider.clear()
    provider.answer(Answer(text="Noted."))
    tap.calls.clear()
    options: dict[str, Any] = {"recall_strategy": strategy, "max_top_k": top_k, "min_top_k": min(10, top_k)}
    reply = proxy.ask(name, question.text, **options)
    block = " ".join(provider.last.user_text.split())
    shown = [all(" ".join(escape(t).split()) in block for t in texts) for texts in question.evidence.values()]
    found = _FINDINGS.search(provider.last.user_text)
    return Asked(
        question.text,
        question.category,
        strategy,
        reply.memory_status,
        float(reply.headers["x-recallr-process-time"]),
        sum(shown) / len(shown),
        found[1] if found else "",
        list(tap.calls),
    )


def spread(questions: Sequence[Question], count: int) -> list[Question]:
    """As many as wanted, of all categories, from all over the conversation."""
    by_category = sorted(questions, key=lambda question: question.category)
    return [by_category[number * len(by_category) // count] for number in range(min(count, len(by_category)))]


def show(asked: Sequence[Asked], console: Console) -> None:
    """Print the table."""
    table = Table("category", "question", "strategy", "status", "s", "shown", "calls of the model", "findings")
    for one in asked:
        calls = "\n".join(
            f"{call.seconds:.0f} s, {call.tokens} tokens: {', '.join(call.tools) or f'words ({call.status})'}"
            for call in one.calls
        )
        seconds, share = f"{one.milliseconds / 1000:.1f}", f"{100 * one.shown:.0f} %"
        table.add_row(one.category, one.question, one.strategy, one.status, seconds, share, calls, one.findings)
    console.print(table)


def main(
    data: Annotated[Path, typer.Option(help="Folder of LoCoMo's conv-*.json.", exists=True, file_okay=False)],
    base_url: Annotated[str, typer.Option(help="Of a server that speaks OpenAI's API.")],
    model: Annotated[str, typer.Option(help="Its name there.")] = "local",
    conversation: Annotated[str, typer.Option(help="Name of a conversation.")] = "conv-26",
    questions: Annotated[int, typer.Option(help="How many are asked.", min=1)] = 8,
    deadline: Annotated[float, typer.Option(help="Seconds for a search.", min=1)] = 20.0,
    top_k: Annotated[int, typer.Option(help="X-Recallr-Max-Top-K: what the model is shown first.", min=1)] = 50,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write all that was seen.")] = None,
) -> None:
    """Let a model search in a conversation."""
    [chosen] = [one for one in load_locomo(data) if one.name == conversation]
    tap = Tap(base_url)
    config = {
        "model_list": [
            {
                "model_name": SEARCHER,
                "litellm_params": {
                    "model": f"openai/{model}",
                    "api_base": f"http://127.0.0.1:{tap.port}",
                    "api_key": os.environ.get("OPENAI_API_KEY") or "none",
                    "timeout": deadline,
                },
            }
        ]
    }
    settings = {"RECALLR_MEMORY_MODEL": SEARCHER, "RECALLR_DEADLINE_MS_AGENTIC": str(round(deadline * 1000))}
    asked: list[Asked] = []
    with tempfile.TemporaryDirectory(prefix="recallr-agentic-") as folder:
        asyncio.run(fill(Path(folder) / "data", chosen))
        with (
            ThreadedProvider() as provider,
            tap.open(),
            Patient(Path(folder), provider, settings=settings, config=config) as proxy,
        ):
            for question in track(spread(chosen.questions, questions), "Questions"):
                asked += [
                    ask(proxy, provider, tap, chosen.name, question, strategy, top_k)
                    for strategy in ("balanced", "agentic")
                ]
                if json_file is not None:
                    json_file.write_text(json.dumps([asdict(one) for one in asked], indent=1, ensure_ascii=False))
    show(asked, Console(width=200))


class Patient(Proxy):
    """A gateway whose clients wait as long as a search takes."""

    def _client(self, user: str | None, options: Any) -> dict[str, Any]:
        return {**super()._client(user, options), "timeout": None}


if __name__ == "__main__":
    typer.run(main)
