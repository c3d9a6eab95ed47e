"""How much of what answers a question is recalled, and how fast, on LoCoMo or the first-person set beside this file.

    python -m tests.benchmarks.locomo --data FOLDER [--facts]
    python -m tests.benchmarks.locomo --first-person
    python -m tests.benchmarks.locomo --users FILE

FOLDER holds `conv-*.json` of LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM
Agents", ACL 2024, CC BY-NC 4.0), which is not part of this project.

Each conversation becomes the memory of one owner in an embedded store, as the processing of its sessions makes
it, with their dates. Each question is then asked as a request asks it: `Recall`, then `render` with LiteLLM's
token counter. Beside the strategies stand two baselines from the same store and words: all passages by BM25
alone, and by cosine alone; and mem0 with the same messages, where it is installed (`peers.py`). Takes about two
minutes, and with mem0 some ten more.

With `--facts` the product learns each session from a model that answers with the facts which LLMs recorded of it, and
their summaries are remembered. What became of the facts is counted. Then each strategy is asked three times: with the
turns alone, with the facts alone, and with both.

- R@k: share of the messages that hold the answer among the k best; session any/all@k: of their sessions. A fact is one
  of the k, and tells the messages that it rests on.
- R@50, connected: of the 50 best and the memories that they lead to, which take no place; how many these are.
- coverage@n: share of them that the memory block shows within n tokens, with the default headers: their words, or a
  fact that rests on them.
- tokens@n: what the block took of them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any
from unittest.mock import patch

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing litellm would fetch its list of models

from recallr_litellm.core.context import render
from recallr_litellm.core.escaping import escape
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.recalled import Recalled, RecalledMemory, RecalledPassage
from recallr_litellm.core.records import Hits, PassageHit
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.recall import Recall
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.vectors import VectorStore
from tests.benchmarks.conversations import (
    FIRST_PERSON,
    Conversation,
    Question,
    load_first_person,
    load_locomo,
    remember,
)
from tests.benchmarks.evidence import DEPTHS, Tally
from tests.benchmarks.facts import Account
from tests.benchmarks.material import opened
from tests.benchmarks.peers import Mem0, mem0_installed
from tests.benchmarks.processes import load
from tests.benchmarks.recall import Milliseconds, Stopwatch

BUDGETS = (500, 1000, 2000, 4000)
EVERY = 10_000
"""More than anybody here said."""
BASELINES = ("BM25", "dense")
PEER = "mem0"
VIEWS: Mapping[str, frozenset[str]] = {
    "turns": frozenset({"turns"}),
    "facts": frozenset({"facts"}),
    "both": frozenset({"turns", "facts"}),
}
"""What of the memory is searched, where there are facts in it."""
EVERYTHING: dict[str, Any] = {"min_top_k": 200, "max_top_k": 200, "memories_threshold": 0.0}
"""For the ranking; what is shown is chosen with the default headers."""
FIFTY: dict[str, Any] = {"min_top_k": 50, "max_top_k": 50, "memories_threshold": 0.0}
TIMED = ("embedding", "words", "search", "rest", "rendering", "recall")
WARM_UP = 20
FOUND, SHOWN = ("MRR", "R@", "and places", "session"), ("coverage@", "tokens@")
STRATEGIES = (Strategy.LOW_LATENCY, Strategy.BALANCED)


class Bench:
    """One store, with all conversations in it."""

    def __init__(
        self,
        vectors: VectorStore,
        embedder: Embedder,
        sparse: SparseEncoder,
        tallies: dict[str, Tally],
    ) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse
        self._recall = Recall(vectors, embedder, sparse)
        self._tallies = tallies
        self.accounts: dict[str, Account] = {}
        """What became of the facts of each conversation."""

    async def fill(self, conversations: Sequence[Conversation]) -> None:
        """Remember all of them."""
        for conversation in track(conversations, "remembering"):
            of_facts = await remember(conversation, self._vectors, self._embedder, self._sparse)
            if of_facts is not None:
                self.accounts[conversation.name] = of_facts

    async def baselines(self, conversations: Sequence[Conversation]) -> None:
        """Rank every passage by words alone and by meaning alone."""
        by_words, by_meaning = (self._tallies.setdefault(name, Tally()) for name in BASELINES)
        for conversation, question in track(_asked(conversations), "baselines"):
            hits, *_ = await self._vectors.search(
                conversation.owner,
                await self._embedder.query(question.text, conversation.owner.project),
                self._sparse.query(question.text),
                exclude_sessions=frozenset(),
                turn_candidates=EVERY,
            )
            by_words.ranking(question, [told(h) for h in sorted(hits, key=lambda h: -h.bm25) if h.bm25])
            by_meaning.ranking(question, [told(h) for h in sorted(hits, key=lambda h: -h.dense)])

    async def strategy(
        self, strategy: Strategy, conversations: Sequence[Conversation], name: str, kinds: frozenset[str]
    ) -> Milliseconds:
        """Ask every question with a strategy, of some kinds of memory; returns how long its parts took."""
        with patch.object(self._vectors, "search", _only(kinds, self._vectors.search)):
            return await self._strategy(strategy, conversations, name, kinds)

    async def _strategy(
        self, strategy: Strategy, conversations: Sequence[Conversation], name: str, kinds: frozenset[str]
    ) -> Milliseconds:
        tally, watch = self._tallies.setdefault(name, Tally()), Stopwatch()
        options = RecallOptions(strategy=strategy)
        for number in range(WARM_UP):
            await self._ask(conversations[0], Question(f"Number {number} of last week?", {}, ""), options)
        for conversation, question in track(_asked(conversations), name):
            with self._timed(watch):
                begun, cpu_begun = perf_counter(), process_time()
                found = await self._ask(conversation, question, options)
                watch.plain("rendering", _render)(conversation, found, max(BUDGETS))
                watch.lap(perf_counter() - begun, process_time() - cpu_begun)
            # The embedding is cached by now, and nothing of this is timed.
            everything = await self._ask(conversation, question, replace(options, **EVERYTHING))
            ranked = sorted((*everything.passages, *everything.memories), key=lambda item: item.relevance, reverse=True)
            tally.ranking(question, map(told, ranked))
            if conversation.has_facts and "facts" in kinds:
                # Fifty places, and what these lead to, which takes none.
                best = await self._ask(conversation, question, replace(options, **FIFTY))
                led_to = [told(one) for one in (*best.passages, *_with_connected(best.memories))]
                of_them = {message for _, messages in led_to for message in messages}
                share = len(of_them & question.evidence.keys()) / len(question.evidence)
                tally.add(question, "R@50, connected", share)
                tally.add(question, "and places", (len({id for id, _ in led_to}) - FIFTY["max_top_k"]) / 100)
            tally.add(question, "shown", (len(found.passages) + len(found.memories)) / 100)
            for budget in BUDGETS:
                block = _render(conversation, found, budget)
                tally.add(question, f"coverage@{budget}", _coverage(block, found, question))
                tally.add(question, f"tokens@{budget}", count_tokens(block) / 100)
        return watch.milliseconds()

    @contextmanager
    def _timed(self, watch: Stopwatch) -> Iterator[None]:
        engine = self._vectors._engine
        with (
            patch.object(self._embedder, "query", watch.awaited("embedding", self._embedder.query)),
            patch.object(engine, "query", watch.searches(engine.query)),
        ):
            yield

    async def _ask(self, conversation: Conversation, question: Question, options: RecallOptions) -> Recalled:
        return await self._recall(
            conversation.owner,
            question.text,
            options,
            exclude_sessions=frozenset(),
            previous=question.previous,
            now=conversation.asked_at,
        )


def _render(conversation: Conversation, found: Recalled, budget: int) -> str:
    return render(
        found,
        ongoing=(),
        unseen=(),
        now=conversation.asked_at,
        timezone=RecallOptions().timezone,
        budget=budget,
        count_tokens=count_tokens,
    ).text


def _asked(conversations: Sequence[Conversation]) -> list[tuple[Conversation, Question]]:
    return [(conversation, question) for conversation in conversations for question in conversation.questions]


def told(found: PassageHit | RecalledPassage | RecalledMemory) -> tuple[str, Sequence[str]]:
    """What is found, as a place of a ranking."""
    return (found.id, found.sources) if isinstance(found, RecalledMemory) else (found.message, (found.message,))


def _coverage(block: str, found: Recalled, question: Question) -> float:
    """Share of the evidence whose words are all in the block, or of which a fact in it tells."""
    block = " ".join(block.split())

    def shown(*texts: str) -> bool:
        return all(" ".join(escape(text).split()) in block for text in texts)

    by_facts = {message for fact in _with_connected(found.memories) if shown(fact.text) for message in fact.sources}
    return sum(id in by_facts or shown(*texts) for id, texts in question.evidence.items()) / len(question.evidence)


def _with_connected(facts: Iterable[RecalledMemory]) -> Iterator[RecalledMemory]:
    for fact in facts:
        yield fact
        yield from _with_connected(fact.connected)


def _only(kinds: frozenset[str], search: Callable[..., Awaitable[Hits]]) -> Callable[..., Awaitable[Hits]]:
    """A search of the store that finds nothing but these kinds, and summaries."""

    async def searching(*args: Any, **kwargs: Any) -> Hits:
        found = await search(*args, **kwargs)
        return found._replace(
            passages=found.passages if "turns" in kinds else [], memories=found.memories if "facts" in kinds else []
        )

    return searching


async def measure(conversations: Sequence[Conversation]) -> tuple[Mapping[str, Tally], Mapping[str, Milliseconds]]:
    """All methods on all conversations."""
    times: dict[str, Milliseconds] = {}
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "store"
        async with _bench(place, tallies) as bench:
            await bench.fill(conversations)
            for name, of_facts in bench.accounts.items():
                print(f"{name}: {of_facts}")
                if not of_facts.balanced:
                    raise SystemExit("facts got lost, or came of nothing")
        views = VIEWS if any(conversation.has_facts for conversation in conversations) else {"": VIEWS["turns"]}
        for strategy, (view, kinds) in product(STRATEGIES, views.items()):
            name = f"{strategy.value} {view}".strip()
            async with _bench(place, tallies) as bench:  # each without a question in its model's cache
                times[name] = await bench.strategy(strategy, conversations, name, kinds)
        async with _bench(place, tallies) as bench:
            await bench.baselines(conversations)
        if mem0_installed():
            times[PEER] = _mem0(conversations, Path(temporary) / PEER, tallies.setdefault(PEER, Tally()))
    return tallies, times


def _mem0(conversations: Sequence[Conversation], folder: Path, tally: Tally) -> Milliseconds:
    """Rank with mem0; returns how long a search of it took, its embedding included."""
    peer, watch = Mem0(folder), Stopwatch()
    for conversation in track(conversations, f"remembering with {PEER}"):
        peer.remember(conversation)
    for conversation, question in track(_asked(conversations), PEER):
        begun, cpu_begun = perf_counter(), process_time()
        found = peer.ask(conversation, question, DEPTHS[-1])
        watch.lap(perf_counter() - begun, process_time() - cpu_begun)
        tally.ranking(question, [(message, (message,)) for message in found])
    peer.close()
    return {"recall": watch.milliseconds()["recall"]}


@asynccontextmanager
async def _bench(place: Path, tallies: dict[str, Tally]) -> AsyncIterator[Bench]:
    vectors, embedder = await opened(place)
    yield Bench(vectors, embedder, SparseEncoder(), tallies)
    await vectors.close()
    await embedder.close()


def show(console: Console, tallies: Mapping[str, Tally], times: Mapping[str, Milliseconds]) -> None:
    """Print the tables."""
    means = {method: tally.means() for method, tally in tallies.items()}
    for category in sorted({category for of_method in means.values() for category in of_method}):
        of_category = {method: by_category[category] for method, by_category in means.items()}
        questions = f"{category}: {next(iter(of_category.values()))['n']:.0f} questions"
        console.print(_table(f"{questions}, found, %", of_category, FOUND))
        console.print(_table(f"{questions}, shown, % (tokens: hundreds)", of_category, SHOWN))
    table = Table(title=f"Milliseconds, p50 / p90 / p99; {load()}")
    for name in ("strategy", *TIMED):
        table.add_column(name, justify="right")
    for strategy, parts in times.items():
        table.add_row(strategy, *(" / ".join(f"{value:.1f}" for value in parts.get(name, ())) for name in TIMED))
    console.print(table)


def _table(title: str, of_methods: Mapping[str, Mapping[str, float]], figures: Sequence[str]) -> Table:
    """A row for each method that has one of the figures, by how their names begin."""
    names = dict.fromkeys(name for of in of_methods.values() for name in of if name.startswith(tuple(figures)))
    table = Table("method", title=title)
    for name in names:
        table.add_column(name.replace("session", "ses."), justify="right")
    for method, of in of_methods.items():
        if not names.keys().isdisjoint(of):
            table.add_row(method, *(f"{of[name]:.1f}" if name in of else "" for name in names))
    return table


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of LoCoMo's conv-*.json.")] = None,
    facts: Annotated[bool, typer.Option("--facts", help="Remember LoCoMo's recorded facts and summaries too.")] = False,
    first_person: Annotated[bool, typer.Option("--first-person", help="The set beside this file instead.")] = False,
    users: Annotated[Path | None, typer.Option(help="Another set of its form.")] = None,
) -> None:
    """Measure recall of evidence."""
    if [first_person, data is not None, users is not None].count(True) != 1:
        raise typer.BadParameter("one of --data FOLDER, --first-person and --users FILE")
    conversations = load_locomo(data, facts=facts) if data else load_first_person(users or FIRST_PERSON)
    show(Console(width=220), *asyncio.run(measure(conversations)))


if __name__ == "__main__":
    typer.run(main)
