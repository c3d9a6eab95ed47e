"""What the profile costs a request: CPU time of the gateway with RECALLR_PROFILE_TOKENS on and off, by turns.

    python -m tests.benchmarks.profile_cost --memories 200

One gateway with embedded stores; the project's setting is switched every few requests, each of which begins a chat.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx
import typer
from rich.console import Console

from recallr_litellm.recall.profile import ATTRIBUTES
from tests.benchmarks.gateways import CONFIG, SETTINGS
from tests.benchmarks.processes import cpu_seconds_exactly, load
from tests.support.api import call
from tests.support.provider import ProviderProcess
from tests.support.proxy import PROJECT, Proxy

USER = "known"


def main(
    memories: Annotated[int, typer.Option(help="Known of the user.")] = 200,
    rounds: Annotated[int, typer.Option(help="Of requests with and without a profile.")] = 10,
    requests: Annotated[int, typer.Option(help="Of a round, each way.")] = 20,
    tokens: Annotated[int, typer.Option(help="Of the profile.")] = 300,
) -> None:
    """Measure, and print a line."""
    console = Console()
    console.print(f"before: {load()}")
    with (
        tempfile.TemporaryDirectory() as name,
        ProviderProcess(Path(name) / "provider") as process,
        Proxy(Path(name) / "proxy", process.provider, settings=SETTINGS, config=CONFIG) as proxy,
    ):
        call(proxy, "POST", f"/users/{USER}/import", body=document(memories)).raise_for_status()
        ask(proxy, 20, "warm up")
        spent: dict[int, list[float]] = {0: [], tokens: []}
        for number in range(rounds):
            for of_profile, seconds in spent.items():
                switch(proxy, of_profile)
                before = cpu_seconds_exactly(proxy.pid)
                ask(proxy, requests, f"{of_profile} {number}")
                seconds.append((cpu_seconds_exactly(proxy.pid) - before) / requests)
    off, on = (1000 * median(seconds) for seconds in spent.values())
    console.print(f"{on:.1f} ms of CPU a request with a profile of {tokens} tokens, {off:.1f} without: {on - off:+.1f}")
    console.print(f"after: {load()}")


def document(memories: int) -> dict[str, object]:
    """So many things known of a user, of all sorts that a profile is made of."""
    known = [
        {
            "id": f"{number:032x}",
            "content": f"User said thing number {number} about {attribute}.",
            "attribute": attribute,
            "session": "5" * 32,
            "created_at": f"2025-0{1 + number % 9}-1{number % 10}T10:00:00Z",
        }
        for number in range(memories)
        for attribute in [ATTRIBUTES[number % len(ATTRIBUTES)]]
    ]
    return {"format": "recallr-user", "version": 1, "memories": known}


def switch(proxy: Proxy, tokens: int) -> None:
    """Have a profile of so many tokens."""
    url = f"{proxy.url}/api/v1/admin/projects/{PROJECT}"
    headers = {"Authorization": f"Bearer {proxy.master_key}"}
    httpx.patch(url, json={"profile_tokens": tokens}, headers=headers, trust_env=False, timeout=60).raise_for_status()


def ask(proxy: Proxy, number: int, chat: str) -> None:
    """So many requests, each of a chat of its own."""
    for one in range(number):
        proxy.ask(USER, "What should I cook tonight?", conversation_id=f"{chat} {one}")


if __name__ == "__main__":
    typer.run(main)
