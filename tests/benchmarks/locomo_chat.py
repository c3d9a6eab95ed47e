"""A whole LoCoMo conversation through a real gateway, then questions about it: what does the model get to see?

    python tests/benchmarks/locomo_chat.py --data FOLDER --conversation conv-26.json [--questions 20] [--out FILE]

FOLDER holds `conv-*.json` of LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM
Agents", ACL 2024, CC BY-NC 4.0), which is not part of this project.

Real: the `litellm` proxy with the plugin and embedded stores, the openai SDK, the sessions and their
processing. Stood in for: the provider, which answers with the reply that the data has. Speaker a is the
user, speaker b the assistant; each session of the data is one of the gateway, processed before the next
begins. Photos of the data are left out. Where a session does not begin with the user or end with the
assistant, a greeting is put there.

The questions, some of each category, are asked in one new session whose history the client sends. For
each category: how many of the turns that hold the answer (the evidence of the data) are in the injected blocks, whole.
With `--out` each question with its block, as JSON.

The dates of the data cannot go through a chat endpoint: for the gateway all of it was said now.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.append(str(Path(__file__).resolve().parents[2]))
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing litellm would fetch its list of models

from recallr_litellm.core.escaping import escape
from recallr_litellm.core.passages import split
from recallr_litellm.litellm_host.models import count_tokens
from tests.benchmarks.conversations import CATEGORIES
from tests.benchmarks.facts import message_ids
from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, ThreadedProvider
from tests.support.proxy import CHAT_MODEL, Proxy

USER = "locomo"
KINDS = {**CATEGORIES, 5: "adversarial"}
OPENING, CLOSING = "Hello!", "Talk to you soon!"
"""Said for a user who does not speak first and an assistant who does not speak last."""


@dataclass(frozen=True)
class Conversation:
    """One file of the data."""

    speaker_a: str
    speaker_b: str
    sessions: tuple[tuple[dict[str, Any], ...], ...]
    questions: tuple[dict[str, Any], ...]

    @classmethod
    def load(cls, file: Path) -> Conversation:
        """Read a file of the data."""
        sample = json.loads(file.read_text())
        said = sample["conversation"]
        numbers = sorted(int(found[1]) for key in said if (found := re.fullmatch(r"session_(\d+)", key)) and said[key])
        sessions = tuple(tuple(said[f"session_{number}"]) for number in numbers)
        return cls(said["speaker_a"], said["speaker_b"], sessions, tuple(sample["qa"]))

    @property
    def texts(self) -> dict[str, str]:
        """Id of each turn → its text."""
        return {turn["dia_id"]: turn["text"] for session in self.sessions for turn in session}

    def exchanges(self, session: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        """(what the user says, what the assistant answers) of a session, in order."""
        messages = [
            (speaker == self.speaker_a, "\n".join(turn["text"] for turn in turns))
            for speaker, turns in groupby(session, key=lambda turn: turn["speaker"])
        ]
        if not messages[0][0]:
            messages.insert(0, (True, OPENING))
        if messages[-1][0]:
            messages.append((False, CLOSING))
        texts = [text for _, text in messages]
        return zip(texts[::2], texts[1::2], strict=True)

    def ask_for(self, count: int) -> list[dict[str, Any]]:
        """As many questions of each category as can be, from all over the conversation."""
        kinds: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for question in self.questions:
            kinds[question["category"]].append(question)
        wanted: Counter[int] = Counter()
        for kind in cycle(sorted(kinds)):
            if wanted.total() >= min(count, len(self.questions)):
                break
            wanted[kind] += wanted[kind] < len(kinds[kind])
        return [
            kinds[kind][number * len(kinds[kind]) // wanted[kind]]
            for kind in sorted(kinds)
            for number in range(wanted[kind])
        ]


@dataclass(frozen=True)
class Asked:
    """A question and what the model got to see for it."""

    category: str
    question: str
    expected: str
    evidence: tuple[str, ...]
    """Ids of the turns that hold the answer."""
    shown: tuple[str, ...]
    """Those of them that are in the block, whole."""
    status: str
    """`X-Recallr-Memory-Status`."""
    milliseconds: float
    """`X-Recallr-Process-Time`."""
    tokens: int
    """Of the block."""
    block: str


class Talk:
    """The user's side of one session: sends its history, as chat programs do."""

    def __init__(self, client: OpenAI, provider: Provider) -> None:
        self._client = client
        self._provider = provider
        self._history: list[ChatCompletionMessageParam] = []

    def say(self, text: str, reply: str, *, last: bool = False) -> Mapping[str, str]:
        """Say something, answered with `reply`; the headers of the response. The session ends after its last."""
        self._provider.answer(Answer(text=reply))
        self._history.append({"role": "user", "content": text})
        raw = self._client.chat.completions.with_raw_response.create(
            model=CHAT_MODEL,
            messages=self._history,
            extra_headers={"X-Recallr-Session-Timeout-Seconds": str(SHORT)} if last else {},
        )
        answer = raw.parse().choices[0].message.content
        if answer != reply:
            raise SystemExit(f"The gateway answered {answer!r} where the provider had said {reply!r}")
        self._history.append({"role": "assistant", "content": reply})
        return raw.headers


def converse(conversation: Conversation, client: OpenAI, provider: Provider, memory: Memory, console: Console) -> None:
    """Hold all sessions; each has become memory when the next begins."""
    for session in track(conversation.sessions, "Sessions", console=console):
        provider.clear()
        talk = Talk(client, provider)
        *opening, closing = conversation.exchanges(session)
        ids = {talk.say(*exchange)["x-recallr-session-id"] for exchange in opening}
        ids.add(talk.say(*closing, last=True)["x-recallr-session-id"])
        if len(ids) != 1:
            raise SystemExit(f"A session of the data became {len(ids)} sessions of the gateway")
        memory.wait_processed(USER, *ids)


def ask(
    conversation: Conversation,
    questions: Sequence[Mapping[str, Any]],
    client: OpenAI,
    provider: Provider,
    console: Console,
    *,
    names: bool,
) -> Iterator[Asked]:
    """Ask in one new session."""
    texts = conversation.texts
    talk = Talk(client, provider)
    both = re.compile(rf"\b(?:{conversation.speaker_a}|{conversation.speaker_b})(?:'s)?\s*")
    for item in track(questions, "Questions", console=console):
        provider.clear()
        question = item["question"] if names else both.sub("", item["question"])
        expected = str(item.get("answer", "(nobody said so)"))
        headers = talk.say(question, expected)
        sent = provider.last.user_text
        if not sent.endswith(question):
            raise SystemExit(f"The user's own words do not end what the model got: {sent!r}")
        block = sent.removesuffix(question).strip()
        evidence = [id for id in message_ids(item["evidence"]) if id in texts]
        yield Asked(
            category=KINDS[item["category"]],
            question=question,
            expected=expected,
            evidence=tuple(evidence),
            shown=tuple(id for id in evidence if _holds(block, texts[id])),
            status=headers["x-recallr-memory-status"],
            milliseconds=float(headers["x-recallr-process-time"]),
            tokens=count_tokens(block),
            block=block,
        )


def _holds(block: str, text: str) -> bool:
    """Whether all passages of a message are in a block."""
    in_one_line = " ".join(block.split())
    return all(" ".join(escape(passage).split()) in in_one_line for passage in split(text))


def report(asked: Sequence[Asked], console: Console) -> None:
    """How much of the evidence was injected, by category."""
    table = Table(
        "category", "questions", "evidence", "shown", "all of it", "none of it", title="Evidence in the block"
    )
    kinds = [kind for kind in KINDS.values() if any(one.category == kind for one in asked)]
    for kind in (*kinds, "all"):
        ones = [one for one in asked if kind in (one.category, "all") and one.evidence]
        turns, shown = sum(len(one.evidence) for one in ones), sum(len(one.shown) for one in ones)
        whole = sum(one.shown == one.evidence for one in ones)
        none = sum(not one.shown for one in ones)
        share = f"{shown} ({100 * shown / turns:.0f} %)" if turns else "–"
        table.add_row(kind, str(len(ones)), str(turns), share, str(whole), str(none))
    console.print(table)
    tokens = sorted(one.tokens for one in asked)
    console.print(
        f"Tokens of a block: {tokens[0]} to {tokens[-1]}, median {tokens[len(tokens) // 2]}. "
        f"Status: {dict(Counter(one.status for one in asked))}."
    )


def main(
    data: Annotated[Path, typer.Option(help="Folder of LoCoMo's conv-*.json.", exists=True, file_okay=False)],
    conversation: Annotated[str, typer.Option(help="Name of the file in it.")] = "conv-26.json",
    questions: Annotated[int, typer.Option(help="How many are asked.", min=1)] = 20,
    out: Annotated[Path | None, typer.Option(help="JSON file for all that was seen, blocks included.")] = None,
    names: Annotated[
        bool, typer.Option(help="--no-names: take the speakers' names out of the questions, as users ask of themselves")
    ] = True,
) -> None:
    """Put one conversation through a gateway and see what it recalls of it."""
    console = Console(width=160 if not sys.stdout.isatty() else None)
    loaded = Conversation.load(data / conversation)
    turns = sum(map(len, loaded.sessions))
    console.print(
        f"{conversation}: {turns} turns in {len(loaded.sessions)} sessions, {len(loaded.questions)} questions"
    )
    with (
        tempfile.TemporaryDirectory(prefix="recallr-locomo-") as folder,
        ThreadedProvider() as provider,
        Proxy(Path(folder), provider) as proxy,
        proxy.openai(USER) as client,
    ):
        converse(loaded, client, provider, Memory(proxy), console)
        asked = list(ask(loaded, loaded.ask_for(questions), client, provider, console, names=names))
    report(asked, console)
    if out is not None:
        out.write_text(json.dumps([asdict(one) for one in asked], indent=2, ensure_ascii=False))
        console.print(f"Blocks are in {out}")


if __name__ == "__main__":
    typer.run(main)
