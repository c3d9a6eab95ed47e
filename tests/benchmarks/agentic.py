"""Recall by a real model: what it finds, how long it takes, and how often it is of no use.

    python -m tests.benchmarks.agentic --data FOLDER --base-url http://127.0.0.1:8080/v1 [--model NAME] [--questions 8]

FOLDER holds `conv-*.json` of LoCoMo (CC BY-NC 4.0), which is not part of this project. The base URL is that of any
server that speaks OpenAI's API; a key it wants is taken from OPENAI_API_KEY. Its model searches; the chat itself is
answered by a stand-in. The first conversation becomes the memory of a user, then a gateway is asked some of its
questions, each with `balanced` and with `agentic`.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing litellm would fetch its list of models

from recallr_litellm.core.escaping import escape
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import User
from recallr_litellm.stores.embedding import SparseEncoder
from tests.benchmarks.conversations import Conversation, Question, load_locomo, remember
from tests.benchmarks.material import opened
from tests.support.provider import Answer, Provider, ThreadedProvider
from tests.support.proxy import PROJECT, Proxy

SEARCHER = "searcher"
"""Name of the model in the gateway's config."""
DEADLINE_SECONDS = 20
_FINDINGS = re.compile(r"<findings>\n(.*?)\n(?=</?[a-z_]+[,>])", re.DOTALL)


async def fill(data_dir: Path, conversation: Conversation) -> None:
    """Make the conversation the memory of its owner in the gateway's own store."""
    vectors, embedder = await opened(data_dir)
    owner = Owner(PROJECT, conversation.name)
    await vectors.put_user(owner, User(project=PROJECT, user=conversation.name, created_at=0))
    await remember(conversation, vectors, embedder, SparseEncoder(), owner=owner)
    await vectors.close()
    await embedder.close()


def ask(proxy: Proxy, provider: Provider, name: str, question: Question, strategy: str) -> list[str]:
    """One question in a session of its own: a row of the table."""
    provider.clear()
    provider.answer(Answer(text="Noted."))
    reply = proxy.ask(name, question.text, recall_strategy=strategy)
    block = " ".join(provider.last.user_text.split())
    shown = [all(" ".join(escape(t).split()) in block for t in texts) for texts in question.evidence.values()]
    found = _FINDINGS.search(provider.last.user_text)
    seconds = float(reply.headers["x-recallr-process-time"]) / 1000
    share = f"{100 * sum(shown) / len(shown):.0f} %"
    findings = found[1] if found else ""
    return [question.category, question.text, strategy, reply.memory_status, f"{seconds:.1f}", share, findings]


def spread(questions: Sequence[Question], count: int) -> list[Question]:
    """As many as wanted, of all categories, from all over the conversation."""
    by_category = sorted(questions, key=lambda question: question.category)
    return [by_category[number * len(by_category) // count] for number in range(min(count, len(by_category)))]


def main(
    data: Annotated[Path, typer.Option(help="Folder of LoCoMo's conv-*.json.", exists=True, file_okay=False)],
    base_url: Annotated[str, typer.Option(help="Of a server that speaks OpenAI's API.")],
    model: Annotated[str, typer.Option(help="Its name there.")] = "local",
    questions: Annotated[int, typer.Option(help="How many are asked.", min=1)] = 8,
) -> None:
    """Let a model search in a conversation."""
    chosen, *_ = load_locomo(data)
    parameters = {"model": f"openai/{model}", "api_base": base_url, "timeout": DEADLINE_SECONDS}
    parameters["api_key"] = os.environ.get("OPENAI_API_KEY") or "none"
    config = {"model_list": [{"model_name": SEARCHER, "litellm_params": parameters}]}
    settings = {
        "RECALLR_MEMORY_MODEL": SEARCHER,
        "RECALLR_DEADLINE_MS_AGENTIC": str(1000 * DEADLINE_SECONDS),
    }
    table = Table("category", "question", "strategy", "status", "s", "evidence shown", "findings")
    with tempfile.TemporaryDirectory(prefix="recallr-agentic-") as folder:
        asyncio.run(fill(Path(folder) / "data", chosen))
        with ThreadedProvider() as provider, Proxy(Path(folder), provider, settings=settings, config=config) as proxy:
            for question in track(spread(chosen.questions, questions), "Questions"):
                for strategy in ("balanced", "agentic"):
                    table.add_row(*ask(proxy, provider, chosen.name, question, strategy))
    Console(width=200).print(table)


if __name__ == "__main__":
    typer.run(main)
