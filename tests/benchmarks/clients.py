"""Plays conversations as real clients send them, asks five questions about each, prints a table.

python -m tests.benchmarks.clients
python -m tests.benchmarks.clients --blocks cline     # and what was remembered, and every memory block
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.support.conversations import NAMES, Played, load, play
from tests.support.provider import ThreadedProvider
from tests.support.proxy import Proxy

COLUMNS = ("client", "requests", "helper calls", "sessions", "user's", "replies", "tool results", "questions", "noise")


def row(played: Played) -> tuple[object, ...]:
    """One conversation: what was sent, what is kept, of how many questions the block holds the answer, in how many
    blocks stands what nobody said."""
    helpers = [number for number, (helper, _) in enumerate(played.statuses) if helper]
    found = len(set(helpers) - set(played.mistaken))
    kept = played.kept
    return (
        played.conversation.client,
        len(played.statuses),
        f"{found} of {len(helpers)}",
        len(kept),
        sum(len(session.user) for session in kept),
        sum(len(session.assistant or ()) for session in kept),
        sum(session.tools for session in kept),
        f"{sum(not asked.missing for asked in played.asked)} of {len(played.asked)}",
        sum(bool(asked.unwanted) for asked in played.asked),
    )


def main() -> None:
    """See the module."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}; all if none is given")
    arguments.add_argument("--blocks", action="store_true", help="print what was remembered, and the memory blocks")
    options = arguments.parse_args()
    rows, differences = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadedProvider() as provider,
        Proxy(Path(folder), provider) as proxy,
    ):
        for name in options.names:
            played = play(load(name), proxy, provider, f"user of {name}")
            rows.append(row(played))
            differences += [f"{name}: {difference}" for difference in played.differences()]
            if options.blocks:
                print_details(played)
    for cells in (COLUMNS, ("---",) * len(COLUMNS), *rows):
        print("| " + " | ".join(map(str, cells)) + " |")
    print("\n".join(differences) or "\nNothing differs from what is expected.")


def print_details(played: Played) -> None:
    """The messages of each session, and each question with its memory block."""
    print(f"\n## {played.conversation.client}")
    for session in played.sessions:
        print(f"\nsession {session.id}")
        for role, text in session.said:
            print(f"  {role}: {text[:200]!r}")
    for asked in played.asked:
        print(f"\n{asked.question.ask}\n{asked.block}")


if __name__ == "__main__":
    main()
