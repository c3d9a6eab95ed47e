"""The console beside 10,000 users and 100,000 sessions: how soon each page is painted, and what viewers cost requests.

    python -m tests.benchmarks.console --folder STORES

Filling takes some minutes and 1 GB in `--folder`, which is used again by the next run. Each user has ten sessions of a
message, but `LARGE`, who has 400, and 2,000 memories that speak of 160 people, places and things.

Pages are asked for by one client, one at a time, and opened in a headless Chromium, which says itself when it painted
first ("first-contentful-paint", from when the page was asked for). Then chat requests run at a steady pace, while
viewers walk through the pages or do not, in turns; the script, the browser and the gateway share the machine.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Annotated

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from recallr_litellm.console.paths import address
from recallr_litellm.core.knowledge import ClarifyingQuestion, Conflict, EntityKind, EntityName
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from tests.benchmarks.gateways import CONFIG, SETTINGS
from tests.benchmarks.material import Filler, Material, opened
from tests.benchmarks.processes import cpu_seconds_exactly, load
from tests.support.chromium import Chromium
from tests.support.console import addresses
from tests.support.provider import ProviderProcess
from tests.support.proxy import API_KEY, CHAT_MODEL, PROJECT, Proxy
from tests.support.waiting import eventually

USERS, SESSIONS = 10_000, 10
"""Sessions of each."""
LARGE, LARGE_SESSIONS, LARGE_MEMORIES, NAMES = "large", 400, 2_000, 160
ASKED = 200
"""Chat requests before the first page, so that there are some to be shown."""
THINK_SECONDS = (2.0, 6.0)
"""Of a viewer between two pages."""
PACE_SECONDS = 0.2
"""Between the beginnings of two chat requests."""
_PAINTED = "return performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)"
_DAY = 24 * 3600 * 1000
_NOW = 1_760_000_000_000


async def fill(folder: Path) -> None:
    """Fill an empty store."""
    vectors, embedder = await opened(folder)
    filler = await Filler.on(vectors, embedder, Material.load(None).texts, turns_a_session=1)
    for number in track(range(USERS), f"filling {USERS:,} users"):
        await filler.user(Owner(PROJECT, f"user-{number}"), SESSIONS, days=number / 100)
    owner = Owner(PROJECT, LARGE)
    await filler.user(owner, LARGE_SESSIONS)
    memories = list(_memories([session.id for session in await vectors.newest_sessions(owner)]))
    for first in range(0, len(memories), 200):
        await vectors.save_memories(owner, [(memory, None) for memory in memories[first : first + 200]])
    question = ClarifyingQuestion(question="Which is true?", options=("The one", "The other"))
    await vectors.put_conflict(
        owner,
        Conflict(
            id="c" * 32, memory=memories[0].id, proposed="e" * 32, content="User has never been there.",
            questions=(question,), session=memories[0].session, created_at=_NOW,
        ),
    )  # fmt: skip
    await vectors.flush()
    await vectors.close()
    await embedder.close()


def _memories(sessions: list[str]) -> Iterator[Memory]:
    chance = random.Random(7)
    names = [EntityName(name=f"Name {number}", kind=chance.choice(list(EntityKind))) for number in range(NAMES)]
    for number in range(LARGE_MEMORIES):
        spoken_of = chance.choices(names, [1 / (1 + rank) for rank in range(NAMES)], k=chance.randrange(4))
        yield Memory(
            id=f"{number + 1:032x}",
            content=f"User met {' and '.join(one.name for one in spoken_of) or 'somebody'} for the {number}th time.",
            created_at=_NOW - (LARGE_MEMORIES - number) * _DAY // 4,
            session=sessions[number * len(sessions) // LARGE_MEMORIES],
            sources=(f"{number:032x}",),
            entities=tuple(dict.fromkeys(spoken_of)),
            connected=tuple(f"{chance.randrange(number) + 1:032x}" for _ in range(chance.randrange(3)) if number),
            categories=("life",),
        )


@dataclass
class Measured:
    """Of one page. Milliseconds."""

    bytes: int = 0
    served: list[float] = field(default_factory=list)
    cpu: float = 0.0
    """Of the gateway, for one time."""
    painted: list[float] = field(default_factory=list)


def visit(proxy: Proxy) -> httpx.Client:
    """A client that has come in."""
    client = httpx.Client(base_url=f"{proxy.url}/recallr/console", follow_redirects=True, trust_env=False, timeout=60.0)
    client.post("/login", data={"project": PROJECT, "key": API_KEY}).raise_for_status()
    return client


def pages(client: httpx.Client) -> dict[str, str]:
    """Every page that shows something, by name, as an address below the console's."""
    large = {"project": PROJECT, "user": LARGE}
    [*_, session] = addresses(client, f"/user?user={LARGE}", "session")
    [request, *_] = addresses(client, "/requests", "request")
    memory = {"memory": f"{LARGE_MEMORIES:032x}"}
    asked = {**large, "question": "Whom did I meet?", "b_recall_strategy": "low_latency"}
    found = {
        "login": address("login"),
        "overview": address("overview", {"project": PROJECT}),
        "overview of a week": address("overview", {"project": PROJECT, "span": "week"}),
        "users": address("users", {"project": PROJECT}),
        "users, the last": address("users", {"project": PROJECT, "offset": USERS - 50}),
        "users, found": address("users", {"project": PROJECT, "name": "user-777"}),
        "user": address("user", {"project": PROJECT, "user": "user-777"}),
        "user, large": address("user", large),
        "user, large, its last memories": address("user", {**large, "memories": LARGE_MEMORIES - 50}),
        "user, its graph": address("graph", {"project": PROJECT, "user": "user-777"}),
        "session": session,
        "memory": address("memory", {**large, **memory}),
        "conflict": address("conflict", {**large, "conflict": "c" * 32}),
        "graph": address("graph", large),
        "graph, data": address("graph/data", large),
        "graph, list": address("graph/list", large),
        "requests": address("requests", {"project": PROJECT}),
        "request": request,
        "playground": address("playground", {"project": PROJECT}),
        "playground, asked": address("playground", asked),
        "operations": address("operations", {"project": PROJECT}),
        "audit": address("audit", {"project": PROJECT}),
    }
    return {name: one.removeprefix("/recallr/console") for name, one in found.items()}


def serve(proxy: Proxy, client: httpx.Client, where: str, times: int, measured: Measured) -> None:
    """Ask for a page again and again."""
    for _ in range(2):
        measured.bytes = len(client.get(where).raise_for_status().content)
    before = cpu_seconds_exactly(proxy.pid)
    for _ in range(times):
        begun = perf_counter()
        client.get(where)
        measured.served.append(1000 * (perf_counter() - begun))
    measured.cpu = 1000 * (cpu_seconds_exactly(proxy.pid) - before) / times


def paint(chromium: Chromium, url: str, times: int, measured: Measured) -> None:
    """Open a page again and again, after a first time, in which the browser reads scripts that it keeps."""
    for number in range(times + 1):
        chromium.driver.get(url)
        eventually(lambda: chromium.driver.execute_script(_PAINTED), f"{url} is painted")
        if number:
            measured.painted.append(chromium.driver.execute_script(_PAINTED)[0])


async def viewer(proxy: Proxy) -> httpx.AsyncClient:
    """A client that has come in."""
    client = httpx.AsyncClient(
        base_url=f"{proxy.url}/recallr/console", follow_redirects=True, trust_env=False, timeout=60.0
    )
    (await client.post("/login", data={"project": PROJECT, "key": API_KEY})).raise_for_status()
    return client


async def walk(client: httpx.AsyncClient, all_pages: list[str], until: float, chance: random.Random) -> int:
    """Look at one page after another, as a viewer does: nine times in ten of a usual user. Returns how many."""
    usual, large = ([one for one in all_pages if (LARGE in one) is it] for it in (False, True))
    seen = 0
    await asyncio.sleep(chance.uniform(0, THINK_SECONDS[1]))
    while perf_counter() < until:
        where = chance.choice(usual if chance.random() < 0.9 else large)
        answer = await client.get(where)
        if not (where.startswith("/request?") and answer.status_code == httpx.codes.NOT_FOUND):
            answer.raise_for_status()  # of requests the last ones are kept: the one in the address goes meanwhile
        if where.startswith("/graph?"):  # which asks for what it draws
            await client.get(where.replace("/graph?", "/graph/data?"))
        seen += 1
        await asyncio.sleep(chance.uniform(*THINK_SECONDS))
    return seen


async def chat(proxy: Proxy, questions: Iterator[str], until: float) -> list[tuple[float, float]]:
    """Ask at a steady pace. Returns the milliseconds of each request, and those in the plugin."""
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False, timeout=60.0) as client:

        async def ask(number: int) -> tuple[float, float]:
            body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": next(questions)}]}
            headers = proxy.headers(f"user-{number % USERS}") | {"Authorization": f"Bearer {proxy.master_key}"}
            begun = perf_counter()
            answer = (await client.post("/v1/chat/completions", json=body, headers=headers)).raise_for_status()
            return 1000 * (perf_counter() - begun), float(answer.headers["x-recallr-process-time"])

        asked, number, begun = [], 0, perf_counter()
        while (at := begun + number * PACE_SECONDS) < until:
            await asyncio.sleep(max(0.0, at - perf_counter()))
            asked.append(asyncio.create_task(ask(number)))
            number += 1
        return await asyncio.gather(*asked)


@dataclass
class Side:
    """Chat requests with viewers, or without."""

    requests: list[tuple[float, float]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Share of a core that the gateway took, in each round."""
    pages: int = 0


async def beside(proxy: Proxy, all_pages: list[str], viewers: int, rounds: int, seconds: float) -> tuple[Side, Side]:
    """Chat requests without viewers and with them, in turns."""
    questions, chance, sides = Material.load(None).ask(), random.Random(7), (Side(), Side())
    come = [
        await viewer(proxy) for _ in range(viewers)
    ]  # each makes an SSL context, which would delay what is measured
    await chat(proxy, questions, perf_counter() + 5)
    for number in range(2 * rounds):
        side, busy = sides[number % 2], number % 2
        begun, cpu = perf_counter(), cpu_seconds_exactly(proxy.pid)
        walks = [walk(client, all_pages, begun + seconds, chance) for client in come * busy]
        found, *seen = await asyncio.gather(chat(proxy, questions, begun + seconds), *walks)
        side.requests += found  # type: ignore[arg-type]
        side.pages += sum(seen)  # type: ignore[arg-type]
        side.cpu.append((cpu_seconds_exactly(proxy.pid) - cpu) / (perf_counter() - begun))
    for client in come:
        await client.aclose()
    return sides


def show_pages(console: Console, found: dict[str, Measured]) -> None:
    """A row for each page."""
    table = Table("page", "KB", "served ms p50", "worst", "CPU ms", "first paint ms p50", "worst", title=load())
    for name, one in found.items():
        painted = [f"{np.median(one.painted):.0f}", f"{max(one.painted):.0f}"] if one.painted else ["", ""]
        served = [f"{np.median(one.served):.0f}", f"{max(one.served):.0f}"]
        table.add_row(name, f"{one.bytes / 1000:.0f}", *served, f"{one.cpu:.0f}", *painted)
    console.print(table)


def show_sides(console: Console, without: Side, with_viewers: Side, viewers: int) -> None:
    """Chat requests beside each other."""
    table = Table("chat requests", "p50 ms", "p95", "p99", "in the plugin p50", "p95", "gateway's CPU", title=load())
    figures = []
    for name, side in (("without viewers", without), (f"with {viewers} viewers", with_viewers)):
        whole, plugin = np.array(side.requests).T
        figures.append([*np.percentile(whole, [50, 95, 99]), *np.percentile(plugin, [50, 95]), np.mean(side.cpu)])
        table.add_row(f"{name}, {len(whole)}", *(f"{one:.1f}" for one in figures[-1][:-1]), f"{figures[-1][-1]:.2f}")
    table.add_row("ratio", *(f"{b / a:.2f}" for a, b in zip(*figures, strict=True)))
    console.print(table)
    console.print(f"{with_viewers.pages} pages were looked at")


def main(
    folder: Annotated[Path | None, typer.Option(help="For the stores, which then stay; else a temporary one.")] = None,
    times: Annotated[int, typer.Option(help="How often each page is asked for.")] = 20,
    paints: Annotated[int, typer.Option(help="How often each page is painted; 0 for no browser.")] = 9,
    viewers: Annotated[int, typer.Option(help="Who look at the console while requests run.")] = 20,
    rounds: Annotated[int, typer.Option(help="With viewers and without, each; 0 for none.")] = 4,
    seconds: Annotated[float, typer.Option(help="Of a round.")] = 30.0,
) -> None:
    """Measure the console."""
    console = Console(width=130)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as started:
        stores = folder or Path(temporary) / "stores"
        if not (stores / "qdrant").exists() and not list(stores.glob("qdrant*")):
            stores.mkdir(parents=True, exist_ok=True)
            asyncio.run(fill(stores))
        provider = started.enter_context(ProviderProcess(Path(temporary) / "provider")).provider
        gateway = Proxy(Path(temporary) / "proxy", provider, settings=SETTINGS, config=CONFIG, data_dir=stores)
        proxy = started.enter_context(gateway)
        for number, question in enumerate(track(list(islice(Material.load(None).ask(), ASKED)), "asking")):
            proxy.ask(f"user-{number}", question)
        client = started.enter_context(closing(visit(proxy)))
        all_pages = pages(client)
        found = {name: Measured() for name in all_pages}
        for name, where in track(all_pages.items(), "serving"):
            serve(proxy, client, where, times, found[name])
        if paints:
            chromium = started.enter_context(Chromium())
            chromium.open(f"{proxy.url}/recallr/console/login")
            chromium.fill("project", PROJECT)
            chromium.fill("key", API_KEY)
            chromium.press("Log in")
            for name, where in track(all_pages.items(), "painting"):
                if name != "graph, data":
                    paint(chromium, f"{proxy.url}/recallr/console{where}", paints, found[name])
        show_pages(console, found)
        if rounds:
            watched = [where for name, where in all_pages.items() if name not in ("login", "graph, data")]
            sides = asyncio.run(beside(proxy, watched, viewers, rounds, seconds))
            show_sides(console, *sides, viewers)


if __name__ == "__main__":
    typer.run(main)
