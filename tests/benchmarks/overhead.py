"""What the plugin adds to a request: the same proxy with and without it, side by side.

    python -m tests.benchmarks.overhead --requests 200

Both proxies run at once in front of one provider that answers at once. The same requests go to both
in turns: one at a time, or in bursts of 16. A client is a user who sends the whole history of a
conversation of `CONVERSATION` questions and then begins a new one. Before the start the store is
filled through `VectorStore`: `CLIENTS` users for each size, and others up to 100,000 turns in all
(see `material.py` for what is synthetic). All questions differ, so that their embeddings are not
cached, but where a row says so. `added` is the difference of percentiles, taken within the run.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import httpx
import numpy as np
import redis
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state.process import pid_file
from tests.benchmarks.apis import APIS
from tests.benchmarks.gateways import CONFIG, SETTINGS
from tests.benchmarks.material import TURNS_A_SESSION, Filler, Material, opened
from tests.benchmarks.processes import Memory, cpu_seconds_exactly, load, memory_of
from tests.support.observe import client as redis_client
from tests.support.observe import embedded_redis_url
from tests.support.provider import ProviderProcess
from tests.support.proxy import PROJECT, Proxy

SIZES = (0, 200, 5_000)
CLIENTS = 16
"""Users of each size, and the most requests at a time."""
CONVERSATION = 4
"""Questions a client asks in one session."""
WARM_UP = 32


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    remembered: int
    stream: bool
    at_a_time: int
    cached: bool = False
    api: str = "chat"
    """One of `APIS`."""

    @property
    def name(self) -> str:
        """For the table."""
        way = "streamed" if self.stream else "whole"
        return f"{self.api}, {self.remembered:,} turns, {way}, {self.at_a_time} at a time{', cached' * self.cached}"


CASES = [
    *(Case(size, stream, n) for size in SIZES for stream in (False, True) for n in (1, CLIENTS)),
    Case(200, False, 1, cached=True),
    Case(200, False, CLIENTS, cached=True),
    *(Case(200, stream, 1, api=api) for api in APIS if api != "chat" for stream in (False, True)),
]


@dataclass
class Side:
    """One of the two proxies, and what was measured of it in one case."""

    proxy: Proxy
    http: httpx.AsyncClient
    plugin: bool
    valkey: int | None = None
    """Process id."""
    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    """Until the first piece of a streamed answer."""
    statuses: dict[str, int] = field(default_factory=dict)
    inside: list[float] = field(default_factory=list)
    """`X-Recallr-Process-Time`, ms."""

    async def ask(self, user: str, history: list[dict[str, str]], case: Case) -> str:
        """Send one request and note how long it took. Returns the answer."""
        headers = self.proxy.headers(user) if self.plugin else {}
        path, body = APIS[case.api].request(history, stream=case.stream)
        begun = perf_counter()
        async with self.http.stream("POST", path, json=body, headers=headers) as response:
            pieces: list[bytes] = []
            async for piece in response.aiter_raw():
                if not pieces:
                    self.first.append(perf_counter() - begun)
                pieces.append(piece)
        self.seconds.append(perf_counter() - begun)
        if response.status_code != 200:
            raise SystemExit(f"{self.proxy.name} answered {response.status_code}: {b''.join(pieces)[:500]!r}")
        if self.plugin:
            status = response.headers["x-recallr-memory-status"]
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.inside.append(float(response.headers["x-recallr-process-time"]))
        return "Noted."

    def cpu(self) -> float:
        """CPU seconds of the worker so far."""
        return cpu_seconds_exactly(self.proxy.pid)

    def forget(self) -> None:
        """Begin the next case."""
        self.seconds, self.first, self.inside, self.statuses = [], [], [], {}


@dataclass(frozen=True)
class Row:
    """What came of one case. Times in milliseconds; p50 and p99."""

    case: Case
    requests: int
    load: str
    plain: tuple[float, float]
    plugin: tuple[float, float]
    plain_first: tuple[float, float]
    plugin_first: tuple[float, float]
    inside: tuple[float, float]
    plain_cpu: float
    """CPU milliseconds a request."""
    plugin_cpu: float
    valkey_cpu: float
    statuses: dict[str, int]


class Clients:
    """The users of one size, each in a conversation. Every client asks both proxies the same."""

    def __init__(self, remembered: int, valkey: redis.Redis) -> None:
        self._users = [user_name(remembered, number) for number in range(CLIENTS)]
        self._asked: list[list[str]] = [[] for _ in self._users]
        self._valkey = valkey

    def request(self, number: int, question: str) -> tuple[str, list[dict[str, str]]]:
        """User and messages of the next request of a client."""
        if len(self._asked[number]) == CONVERSATION:
            self._asked[number].clear()
            self._end_session(self._users[number])
        history = [
            {"role": role, "content": text}
            for asked in self._asked[number]
            for role, text in (("user", asked), ("assistant", "Noted."))
        ]
        self._asked[number].append(question)
        return self._users[number], [*history, {"role": "user", "content": question}]

    def end(self) -> None:
        """End the sessions of all."""
        for asked, user in zip(self._asked, self._users, strict=True):
            asked.clear()
            self._end_session(user)

    def _end_session(self, user: str) -> None:
        """As if it had been processed, so that the number of remembered turns stays what it is."""
        key = Owner(PROJECT, user).key
        names = [
            str(name) for name in self._valkey.scan_iter(match=f"*{key}*", count=1000) if ":user:" not in str(name)
        ]
        for name in names:
            self._valkey.delete(name)
        for due in self._valkey.scan_iter(match="*:due", count=1000):
            members = [str(one) for one in self._valkey.zrange(due, 0, -1) if str(one).startswith(key)]
            for member in members:
                self._valkey.zrem(due, member)


def user_name(remembered: int, number: int) -> str:
    """A user with that many turns."""
    return f"remembers-{remembered}-{number}"


async def fill(data_dir: Path, texts: Sequence[str], total: int) -> None:
    """Remember all users."""
    vectors, embedder = await opened(data_dir)
    filler = await Filler.on(vectors, embedder, texts)
    users = [(user_name(size, number), size) for size in SIZES for number in range(CLIENTS)]
    others = (total - sum(size for _, size in users)) // 200
    users += [(f"other-{number}", 200) for number in range(others)]
    with Progress() as progress:
        task = progress.add_task(f"filling {sum(size for _, size in users):,} turns", total=total)
        for user, size in users:
            await filler.user(Owner(PROJECT, user), size)
            progress.advance(task, size)
    # What a gateway does once with a store that no gateway has made: four seconds of a quarter of a core for 100,000.
    await vectors.list_earlier()
    await vectors.close()
    await embedder.close()


async def measure(sides: tuple[Side, Side], clients: Clients, case: Case, requests: int, ask: Iterator[str]) -> Row:
    """Send the requests of a case, to one proxy and the other in turns."""
    rounds = max(requests // case.at_a_time, 1)
    questions = cycle(list(islice(ask, CLIENTS))) if case.cached else ask
    for number in range(max(WARM_UP // case.at_a_time, CLIENTS if case.cached else 1)):
        await _round(sides, clients, case, number, questions)
    for side in sides:
        side.forget()
    busy = load()
    plain, plugin = sides
    assert plugin.valkey is not None
    before = plain.cpu(), plugin.cpu(), cpu_seconds_exactly(plugin.valkey)
    for number in range(rounds):
        await _round(sides if number % 2 else sides[::-1], clients, case, number, questions)
    await asyncio.sleep(0.5)  # what LiteLLM and the plugin do after an answer
    after = plain.cpu(), plugin.cpu(), cpu_seconds_exactly(plugin.valkey)
    cpu = [1000 * (late - early) / len(plain.seconds) for early, late in zip(before, after, strict=True)]
    clients.end()
    return Row(
        case,
        len(plain.seconds),
        busy,
        _percentiles(plain.seconds),
        _percentiles(plugin.seconds),
        _percentiles(plain.first),
        _percentiles(plugin.first),
        _percentiles([value / 1000 for value in plugin.inside]),
        *cpu,
        statuses=dict(plugin.statuses),
    )


async def _round(sides: Sequence[Side], clients: Clients, case: Case, number: int, questions: Iterator[str]) -> None:
    """As many requests as are sent at a time, to the one and then to the other proxy."""
    first = number * case.at_a_time
    burst = [clients.request((first + i) % CLIENTS, next(questions)) for i in range(case.at_a_time)]
    for side in sides:
        await asyncio.gather(*(side.ask(user, history, case) for user, history in burst))


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(np.array(seconds) * 1000, (50, 99)).tolist()
    return p50, p99


async def run(data_dir: Path, sides: tuple[Side, Side], requests: int, material: Material) -> dict[str, Any]:
    """Everything there is to measure of two running proxies."""
    plain, plugin = sides
    plugin.valkey = int(pid_file((data_dir / "redis").resolve()).read_text())
    memory = {"started": (memory_of(plain.proxy.pid), memory_of(plugin.proxy.pid))}
    idle_before = plain.cpu(), plugin.cpu()
    await asyncio.sleep(5)
    idle = [(late - early) / 5 for early, late in zip(idle_before, (plain.cpu(), plugin.cpu()), strict=True)]
    ask = material.ask()
    valkey = redis_client(embedded_redis_url(plugin.proxy))
    rows = []
    with Progress() as progress:
        task = progress.add_task("measuring", total=len(CASES))
        for case in CASES:
            clients = Clients(case.remembered, valkey)
            progress.update(task, description=case.name)
            rows.append(await measure(sides, clients, case, requests, ask))
            progress.advance(task)
    memory["after all requests"] = (memory_of(plain.proxy.pid), memory_of(plugin.proxy.pid))
    return {"rows": rows, "memory": memory, "idle_cpu": idle}


def show(console: Console, rows: Sequence[Row], memory: dict[str, tuple[Memory, Memory]], idle: list[float]) -> None:
    """Print the tables."""
    table = Table(title="Whole requests, ms: p50 / p99; CPU of the worker a request, ms")
    titles = ("remembered, request", "plain", "plugin", "added", "ratio p50", "added to first piece", "inside plugin")
    for title in (*titles, "CPU plain", "CPU plugin", "CPU added", "CPU valkey"):
        table.add_column(title, justify="left" if title == titles[0] else "right")
    for row in rows:
        table.add_row(
            row.case.name,
            *(_pair(pair) for pair in (row.plain, row.plugin, _less(row.plugin, row.plain))),
            f"{row.plugin[0] / row.plain[0]:.2f}",
            _pair(_less(row.plugin_first, row.plain_first)) if row.case.stream else "",
            _pair(row.inside),
            *(f"{ms:.1f}" for ms in (row.plain_cpu, row.plugin_cpu, row.plugin_cpu - row.plain_cpu, row.valkey_cpu)),
        )
    console.print(table)
    for when, (without, with_plugin) in memory.items():
        above = with_plugin.above(without)
        console.print(
            f"memory {when}: plain {without.total:.0f} MB, plugin {with_plugin.total:.0f} MB, {above.total:.0f} above "
            f"({above.own:.0f} of that not backed by files)"
        )
    console.print(f"idle CPU: plain {idle[0]:.1%}, plugin {idle[1]:.1%} of a core")
    for row in rows:
        odd = {status: count for status, count in row.statuses.items() if status not in {"ok", "empty"}}
        if odd:
            console.print(f"[red]{row.case.name}: {odd} of {row.requests} requests[/]")
    console.print(f"{rows[0].requests} requests a case and proxy; {rows[0].load} at first, {rows[-1].load} at last")


def _less(these: tuple[float, float], those: tuple[float, float]) -> tuple[float, float]:
    return these[0] - those[0], these[1] - those[1]


def _pair(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.1f} / {pair[1]:.1f}"


def main(
    requests: Annotated[int, typer.Option(help="Of each case, to each proxy.")] = 200,
    turns: Annotated[int, typer.Option(help="Remembered of all users together.")] = 100_000,
    data: Annotated[Path | None, typer.Option(help="Folder of LoCoMo's conv-*.json; else made-up texts.")] = None,
) -> None:
    """Measure what the plugin adds to a request."""
    least = CLIENTS * sum(SIZES)
    if turns < least or turns % TURNS_A_SESSION:
        raise typer.BadParameter(f"--turns must be at least {least}, in steps of {TURNS_A_SESSION}")
    material = Material.load(data)
    with tempfile.TemporaryDirectory(prefix="overhead-") as name, ExitStack() as running:
        folder = Path(name)
        asyncio.run(fill(folder / "data", material.texts, turns))
        provider = running.enter_context(ProviderProcess(folder / "provider")).provider
        plain = running.enter_context(Proxy(folder / "plain", provider, plugin=False, config=CONFIG))
        ours = running.enter_context(
            Proxy(folder / "plugin", provider, settings=SETTINGS, config=CONFIG, data_dir=folder / "data")
        )
        measured = asyncio.run(_with_clients(folder / "data", plain, ours, requests, material))
    show(Console(width=200), measured["rows"], measured["memory"], measured["idle_cpu"])


async def _with_clients(data_dir: Path, plain: Proxy, ours: Proxy, requests: int, material: Material) -> dict[str, Any]:
    async with _client(plain) as to_plain, _client(ours) as to_ours:
        sides = (Side(plain, to_plain, plugin=False), Side(ours, to_ours, plugin=True))
        return await run(data_dir, sides, requests, material)


def _client(proxy: Proxy) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {proxy.master_key}"}
    limits = httpx.Limits(keepalive_expiry=2)  # uvicorn closes an idle connection after five seconds
    return httpx.AsyncClient(base_url=proxy.url, headers=headers, trust_env=False, timeout=60.0, limits=limits)


if __name__ == "__main__":
    typer.run(main)
