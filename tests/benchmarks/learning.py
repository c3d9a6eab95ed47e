"""How many sessions are learned in a second, and what that costs the requests beside it.

    python -m tests.benchmarks.learning --users 40 --sessions 5

One gateway with embedded stores, before a provider that answers at once, its memory model too: each session tells of a
move and of four things bought, which is one call to extract them and, from a second session on, one to reconcile them.
Requests of another user
are sent one at a time, before anything is queued, while it is learned, and after; so all times are of one run. What it
costs is CPU time of the gateway, as the machine may be busy, less that of the requests.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
    console.print(f"before: {load()}")
    settings = {**SETTINGS, "RECALLR_MEMORY_MODEL": MEMORY_MODEL}
    with tempfile.TemporaryDirectory() as name, ProviderProcess(Path(name) / "provider") as process:
        script(process.provider)
        with Proxy(Path(name) / "proxy", process.provider, settings=settings, config=CONFIG) as proxy:
            ask(proxy, 10)
            spent = cpu_seconds_exactly(proxy.pid)
            idle = ask(proxy, requests)
            of_request = (cpu_seconds_exactly(proxy.pid) - spent) / requests
            began, spent = perf_counter(), cpu_seconds_exactly(proxy.pid)
            queue(proxy, users, sessions)
            busy: list[float] = []
            while learned(proxy) < users * sessions:
                busy += ask(proxy, 1)
            seconds = perf_counter() - began
            spent = cpu_seconds_exactly(proxy.pid) - spent - of_request * len(busy)
            idle += ask(proxy, requests)
    table = Table(title=f"{users * sessions} sessions of {users} users")
    for column in ("", "requests", "p50 ms", "p95 ms"):
        table.add_column(column)
    for what, times in (("nothing is learned", idle), ("learning", busy)):
        p50, p95 = np.percentile(np.array(times) * 1000, (50, 95))
        table.add_row(what, str(len(times)), f"{p50:.1f}", f"{p95:.1f}")
    console.print(table)
    console.print(
        f"{users * sessions / seconds:.1f} sessions learned a second, from the moment that the first is queued"
    )
    console.print(f"{1000 * spent / users / sessions:.0f} ms of CPU a session, {1000 * of_request:.0f} ms a request")
    console.print(
        f"a request while it learns takes {np.median(busy) / np.median(idle):.2f} times as long at the median"
    )
    console.print(f"after: {load()}")


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


def queue(proxy: Proxy, users: int, sessions: int) -> None:
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
        list(pool.map(live, range(users)))


def learned(proxy: Proxy) -> float:
    """Sessions so far."""
    return metric(proxy, "recallr_learning_sessions_total", outcome="learned")


def ask(proxy: Proxy, number: int) -> Sequence[float]:
    """Seconds of so many requests of a user who is not learned of meanwhile."""
    times = []
    for _ in range(number):
        began = perf_counter()
        proxy.ask("asks", "Which town did I say I live in?", conversation_id="one")
        times.append(perf_counter() - began)
        time.sleep(0.05)
    return times


if __name__ == "__main__":
    typer.run(main)
