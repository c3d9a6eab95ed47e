"""How long a recall takes, part by part, and what memory it needs, with ever more in the store.

    python -m tests.benchmarks.recall --turns 10000 --turns 100000 --turns 1000000

For each number of turns a process of its own fills the embedded store through `VectorStore` (users of
200 to 1000 turns and one of 5000; see `material.py` for what is synthetic) and measures it as written.
A fresh process then opens the store, which compacts it, as after a restart of the gateway, and measures
again. A recall is what a request does: `Recall` on the question, then `render` with LiteLLM's counter;
every question is a different one, so none is in the embedding cache. A user's first question since the
store was opened is reported by itself: what lies on disk is mapped into memory by it.
A million turns take about ten minutes to fill and 5 GB in `--folder`.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any, TypeVar
from unittest.mock import patch

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import SparseVector
from recallr_litellm.litellm_host.models import count_tokens
from tests.benchmarks.processes import Memory, load, memory_of

PARTS = ("embedding", "search", "rescoring", "rendering", "rest")
RESCORING = ("score_and_fold", "recalled", "rank_memories", "rank_summaries", "top_memories", "top_summaries")
"""Functions of `recallr_litellm.recall.search` whose time is that of rescoring."""
MEANWHILE = "words"
"""The search by words: made while the embedding is computed, so no part of the sum."""
OURS = "all but embedding"
WHOLE = "recall"
CPU = "CPU of all but embedding"
"""Of the process, all its threads: what a busy machine does not change much. With the search by words."""
COLUMNS = (*PARTS, MEANWHILE, OURS, WHOLE, CPU)
PROJECT = "benchmark"
BIG = Owner(PROJECT, "big")
BIG_TURNS = 5_000
WARM_UP = 20
CONTEXT_TOKENS = 2_000

T = TypeVar("T")
Milliseconds = dict[str, tuple[float, float, float]]
"""Part → p50, p90, p99."""


@dataclass(frozen=True)
class Measured:
    """One process with one store."""

    turns: int
    state: str
    """`as written` or `reopened`."""
    load: str
    first: Milliseconds
    """Of usual users, their first question."""
    usual: Milliseconds
    """Their next one."""
    big: Milliseconds
    shown: float
    """Mean tokens of the memory block of usual users."""
    memory: dict[str, Memory]
    """What had been loaded → memory of the process then."""


def usual_users(turns: int) -> Iterator[tuple[Owner, int]]:
    """Users who together have that many turns, besides the big one; the same ones for every run."""
    rng = random.Random(turns)
    left, number = turns - BIG_TURNS, 0
    while left > 0:
        size = min(left, rng.randrange(200, 1001, 20))
        yield Owner(PROJECT, f"user-{number}"), size
        left, number = left - size, number + 1


class Stopwatch:
    """Collects how long the parts of a recall take."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._now: dict[str, float] = defaultdict(float)
        self._embedding_cpu = 0.0

    def plain(self, part: str, function: Callable[..., T]) -> Callable[..., T]:
        """The function, its time counted to a part."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> T:
            begun = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._now[part] += perf_counter() - begun

        return timed

    def awaited(self, part: str, function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        """As `plain`; waiting for threads counts."""

        @wraps(function)
        async def timed(*args: Any, **kwargs: Any) -> T:
            begun, cpu_begun = perf_counter(), process_time()
            try:
                return await function(*args, **kwargs)
            finally:
                self._now[part] += perf_counter() - begun
                if part == "embedding":
                    self._embedding_cpu += process_time() - cpu_begun

        return timed

    def searches(self, function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        """`Engine.query`, its time counted to the search by words or to the rest of the search."""
        words, rest = self.awaited(MEANWHILE, function), self.awaited("search", function)
        return lambda queries: (words if isinstance(queries[0].vector, SparseVector) else rest)(queries)

    def lap(self, whole: float, cpu: float) -> None:
        """End one recall, which took so many seconds in all, and so many of CPU."""
        self._now["rest"] = whole - sum(self._now[part] for part in PARTS)
        for part in (*PARTS, MEANWHILE):
            self.seconds[part].append(self._now[part])
        self.seconds[OURS].append(whole - self._now["embedding"])
        self.seconds[WHOLE].append(whole)
        self.seconds[CPU].append(cpu - self._embedding_cpu)
        self._now.clear()
        self._embedding_cpu = 0.0

    def milliseconds(self) -> Milliseconds:
        """Percentiles so far; what was collected is forgotten."""
        collected, self.seconds = self.seconds, defaultdict(list)
        return {part: _percentiles(seconds) for part, seconds in collected.items()}


def _percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    p50, p90, p99 = np.percentile(np.array(seconds) * 1000, (50, 90, 99)).tolist()
    return p50, p90, p99


async def fill(folder: Path, turns: int, texts: Sequence[str], asked: Sequence[str]) -> Measured:
    """Fill an empty store and measure it."""
    from tests.benchmarks.material import Filler, opened

    memory = {"litellm": _with_counter()}
    vectors, embedder = await opened(folder)
    memory["+ embedder and empty store"] = memory_of()
    filler = await Filler.on(vectors, embedder, texts)
    memory["+ this benchmark's pool of texts"] = memory_of()
    await filler.user(BIG, BIG_TURNS)
    for owner, size in track([*usual_users(turns)], f"filling {turns:,} turns"):
        await filler.user(owner, size)
    await vectors.flush()
    measured = await _measure(turns, "as written", vectors, embedder, asked, memory)
    await vectors.close()
    return measured


async def reopen(folder: Path, turns: int, _: Sequence[str], asked: Sequence[str]) -> Measured:
    """Open a filled store, as a gateway's worker does, and measure it."""
    from tests.benchmarks.material import opened

    memory = {"litellm": _with_counter()}
    with tempfile.TemporaryDirectory() as empty:
        vectors, embedder = await opened(Path(empty))
        memory["+ embedder and empty store"] = memory_of()
        await vectors.close()
        await embedder.close()
    begun = perf_counter()
    vectors, embedder = await opened(folder)
    print(f"opened {turns:,} turns in {perf_counter() - begun:.1f} s")
    memory["+ full store"] = memory_of()
    measured = await _measure(turns, "reopened", vectors, embedder, asked, memory)
    await vectors.close()
    return measured


def _with_counter() -> Memory:
    """Memory of a process that has LiteLLM and its token counter, and nothing of ours yet."""
    count_tokens("warm up")
    return memory_of()


async def _measure(
    turns: int, state: str, vectors: Any, embedder: Any, asked: Sequence[str], memory: dict[str, Memory]
) -> Measured:
    from recallr_litellm.recall import Recall, search
    from recallr_litellm.stores.embedding import SparseEncoder

    watch = Stopwatch()
    sparse = SparseEncoder()
    recall = Recall(vectors, embedder, sparse)
    owners = [owner for owner, _ in usual_users(turns)]
    random.Random(3).shuffle(owners)
    questions = iter(asked)
    busy = load()

    async def ask(count: int, *of: Owner) -> list[int]:
        return [
            await _recall(watch, recall, of[number % len(of)], question)
            for number, question in zip(range(count), questions, strict=False)
        ]

    with ExitStack() as patched:
        for name in RESCORING:
            patched.enter_context(patch.object(search, name, watch.plain("rescoring", getattr(search, name))))
        patched.enter_context(patch.object(embedder, "query", watch.awaited("embedding", embedder.query)))
        patched.enter_context(patch.object(vectors._engine, "query", watch.searches(vectors._engine.query)))
        await ask(WARM_UP, BIG)
        watch.milliseconds()
        each = (len(asked) - WARM_UP) // 3
        await ask(min(each, len(owners)), *owners)
        first = watch.milliseconds()
        shown = await ask(each, *owners[:each])
        usual = watch.milliseconds()
        await ask(each, BIG)
        big = watch.milliseconds()
    memory["+ recalls"] = memory_of()
    return Measured(turns, state, busy, first, usual, big, float(np.mean(shown)), memory)


async def _recall(watch: Stopwatch, recall: Any, owner: Owner, question: str) -> int:
    """One timed recall, as a request does it. Returns the tokens of its block."""
    from recallr_litellm.core.context import render

    options = RecallOptions(strategy=Strategy.LOW_LATENCY)
    begun, cpu_begun = perf_counter(), process_time()
    found = await recall(owner, question, options, exclude_sessions=frozenset({"0" * 32}))
    block = watch.plain("rendering", render)(
        found,
        ongoing=(),
        unseen=(),
        now=datetime.now(UTC),
        timezone=options.timezone,
        budget=CONTEXT_TOKENS,
        count_tokens=count_tokens,
    )
    watch.lap(perf_counter() - begun, process_time() - cpu_begun)
    return count_tokens(block.text)


def show(console: Console, results: Sequence[Measured]) -> None:
    """Print the tables."""
    for users, of in (
        ("users of 200 to 1000 turns", "usual"),
        ("the same users, the first question of each", "first"),
        (f"the user of {BIG_TURNS} turns", "big"),
    ):
        table = Table(title=f"Recall for {users}: ms, p50 / p90 / p99")
        for column in ("turns in the store", *COLUMNS):
            table.add_column(column, justify="right")
        for measured in results:
            figures = getattr(measured, of)
            cells = (" / ".join(f"{value:.1f}" for value in figures[part]) for part in COLUMNS)
            table.add_row(f"{measured.turns:,} {measured.state}", *cells)
        console.print(table)
    table = Table(title="Memory of the process, MB (of that not backed by files)")
    for column in ("turns in the store", "loaded", "memory", "above litellm"):
        table.add_column(column, justify="left" if column == "loaded" else "right")
    for measured in results:
        for loaded, memory in measured.memory.items():
            above = memory.above(measured.memory["litellm"])
            table.add_row(f"{measured.turns:,} {measured.state}", loaded, _cell(memory), _cell(above))
    console.print(table)
    for measured in results:
        console.print(f"{measured.turns:,} {measured.state}: {measured.load}; block of {measured.shown:.0f} tokens")


def _cell(memory: Memory) -> str:
    return f"{memory.total:.0f} ({memory.own:.0f})"


def _in_its_own_process(work: Callable[..., Awaitable[Measured]], *args: object) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, work, *args).result()


def _run(work: Callable[..., Any], *args: object) -> Measured:
    return asyncio.run(work(*args))


def main(
    turns: Annotated[list[int], typer.Option(help="Turns in the store; may be given several times.")] = [  # noqa: B006
        10_000,
        100_000,
    ],
    questions: Annotated[int, typer.Option(help="In each of the three tables.")] = 200,
    data: Annotated[Path | None, typer.Option(help="Folder of LoCoMo's conv-*.json; else made-up texts.")] = None,
    folder: Annotated[Path | None, typer.Option(help="For the stores, which then stay; else a temporary one.")] = None,
) -> None:
    """Measure recall in ever larger stores."""
    from tests.benchmarks.material import Material

    material = Material.load(data)
    asked = [question for question, _ in zip(material.ask(), range(3 * questions + WARM_UP), strict=False)]
    with tempfile.TemporaryDirectory() as temporary:
        results = [
            _in_its_own_process(step, (folder or Path(temporary)) / str(size), size, material.texts, asked)
            for size in turns
            for step in (fill, reopen)
        ]
    show(Console(width=190), results)


if __name__ == "__main__":
    typer.run(main)
