"""How many sessions are learned in a second, and what that costs the requests beside it.

    python -m tests.benchmarks.learning --users 20 --sessions 5

One gateway with embedded stores, before a provider that answers at once, its memory model too: each session tells of a
move and of four things bought, which is one call to extract them and, from a second session on, one to reconcile them.
First the sessions of some users are learned while nothing is asked. Then others ask, one request at a time with pauses
of chance between them: while nothing is learned, while the sessions of as many other users are, and after.
CPU is that of the gateway.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tests.benchmarks.gateways import CONFIG, SETTINGS
from tests.benchmarks.processes import cpu_seconds_exactly, load
from tests.support.api import call
from tests.support.observe import metric
from tests.support.provider import Answer, Provider, ProviderProcess
from tests.support.proxy import MEMORY_MODEL, Proxy

BOUGHT = ("lamp", "bicycle", "kettle", "piano")
PAUSE_SECONDS = 0.1
"""Between two requests, at the mean."""
_CHANCE = random.Random(7)
_NUMBERS = count()
TOWNS = ("Porto", "Rome", "Graz", "Lyon", "Cork", "Turin", "Bergen", "Gdansk")


def main(
    users: Annotated[int, typer.Option(help="Who are learned of.")] = 40,
    sessions: Annotated[int, typer.Option(min=1, max=len(TOWNS), help="Of each user.")] = 5,
    requests: Annotated[
        int, typer.Option(help="Before and after; while it learns, as many as there is time for.")
    ] = 60,
) -> None:
    """Measure, and print a table."""
    console = Console()
    settings = {**SETTINGS, "RECALLR_MEMORY_MODEL": MEMORY_MODEL}
    with tempfile.TemporaryDirectory() as name, ProviderProcess(Path(name) / "provider") as process:
        script(process.provider)
        with Proxy(Path(name) / "proxy", process.provider, settings=settings, config=CONFIG) as proxy:
            ask(proxy, 10)
            console.print(f"before: {load()}")
            began, spent = perf_counter(), cpu_seconds_exactly(proxy.pid)
            queue(proxy, range(users), sessions)
            wait(proxy, users * sessions)
            seconds, cpu = perf_counter() - began, cpu_seconds_exactly(proxy.pid) - spent
            idle, busy = [*ask(proxy, requests)], list[float]()
            began, others = perf_counter(), range(users, 2 * users)
            queue(proxy, others, sessions)
            while learned(proxy) < 2 * users * sessions and len(busy) < 10 * requests:
                busy += ask(proxy, 20)
            beside, done = perf_counter() - began, learned(proxy) - users * sessions
            wait(proxy, 2 * users * sessions)
            idle += ask(proxy, requests)
    table = Table("requests", "number", "p50 ms", "p95 ms", title=load())
    figures = [np.percentile(np.array(times) * 1000, (50, 95)) for times in (idle, busy)]
    for what, times, of_times in zip(("nothing is learned", "learning"), (idle, busy), figures, strict=True):
        table.add_row(what, str(len(times)), *(f"{one:.1f}" for one in of_times))
    table.add_row("ratio", "", *(f"{one:.2f}" for one in figures[1] / figures[0]))
    console.print(table)
    console.print(
        f"learned a second: {users * sessions / seconds:.1f} sessions alone, {done / beside:.1f} beside requests; "
        f"{1000 * cpu / users / sessions:.0f} ms of CPU each, processing included"
    )


def script(provider: Provider) -> None:
    """A model that extracts what a session tells of, and takes a move for a change, all else for new."""

    def fact(text: str, attribute: str, question: str, town: str) -> dict[str, Any]:
        return {
            "text": text,
            "subject": "user",
            "attribute": attribute,
            "kind": "fact",
            "modality": "asserted",
            "negated": False,
            "start": "",
            "end": "",
            "entities": [{"name": town, "kind": "place"}],
            "categories": [attribute],
            "confidence": "high",
            "evidence": [1],
            "questions": [question],
        }

    for town in TOWNS:
        told = [fact(f"User lives in {town}.", "home", "Where do I live?", town)]
        told += [
            fact(f"User bought a {thing} in {town}.", "possession", f"Where did I buy the {thing}?", town)
            for thing in BOUGHT
        ]
        provider.answer(Answer(model=MEMORY_MODEL, when=f"I live in {town}", text=json.dumps({"facts": told})))
    change = {"fact": 1, "outcome": "change", "memory": 1, "text": "", "reason": "", "questions": []}
    provider.answer(Answer(model=MEMORY_MODEL, when="FACT 1", text=json.dumps({"decisions": [change]})))


def queue(proxy: Proxy, users: Iterable[int], sessions: int) -> None:
    """Have so many sessions processed, and so learned."""

    def live(user: int) -> None:
        name = f"learned-{user}"
        call(proxy, "POST", "/users", body={"custom_user_id": name})
        for number in range(sessions):
            made = call(proxy, "POST", f"/users/{name}/sessions", body={"auto_process_after_seconds": 600}).json()
            path = f"/users/{name}/sessions/{made['session_id']}"
            things = ", a ".join(BOUGHT)
            said = {"message": f"I live in {TOWNS[number]} now. There I bought a {things}.", "role": "user"}
            call(proxy, "POST", f"{path}/add-message", body=said)
            call(proxy, "POST", f"{path}/process", body={})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, users))


def learned(proxy: Proxy) -> float:
    """Sessions so far."""
    return metric(proxy, "recallr_learning_sessions_total", outcome="learned")


def wait(proxy: Proxy, sessions: int) -> None:
    """Until so many were learned."""
    while learned(proxy) < sessions:
        time.sleep(0.5)


def ask(proxy: Proxy, number: int) -> Sequence[float]:
    """Seconds of so many requests, each of a new user, so that none has more to look through than another."""
    times = []
    for _ in range(number):
        began = perf_counter()
        proxy.ask(f"asks-{next(_NUMBERS)}", "Which town did I say I live in?")
        times.append(perf_counter() - began)
        time.sleep(_CHANCE.uniform(0, 2 * PAUSE_SECONDS))
    return times


if __name__ == "__main__":
    typer.run(main)
