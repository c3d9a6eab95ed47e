"""How much of the evidence a ranking brings, and a memory block shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from tests.benchmarks.conversations import Question, evidence_sessions, session_of

DEPTHS = (5, 10, 20, 50)
SESSION_DEPTHS = (5, 10)
ALL = "all"


@dataclass
class Tally:
    """Figures of one method, by category and over all, each a mean over questions."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Category → name of the figure → its values."""

    def ranking(self, question: Question, ranked: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Count a ranking, best first: what is found, and the ids of the messages that it tells.

        Each takes one place, however much it tells; the same one again takes none.
        """
        places = list(dict(ranked).values())
        told = [set(chain.from_iterable(places[:depth])) for depth in DEPTHS]
        sessions = list(dict.fromkeys(map(session_of, chain.from_iterable(places))))
        wanted = evidence_sessions(question.evidence)
        first = next((n for n, ids in enumerate(places, 1) if not question.evidence.keys().isdisjoint(ids)), None)
        self.add(question, "MRR", 1 / first if first else 0.0)
        for depth, ids in zip(DEPTHS, told, strict=True):
            self.add(question, f"R@{depth}", _share(question.evidence, ids))
        for depth in SESSION_DEPTHS:
            found = _share(wanted, sessions[:depth])
            self.add(question, f"session any@{depth}", float(found > 0))
            self.add(question, f"session all@{depth}", float(found == 1))

    def add(self, question: Question, figure: str, value: float) -> None:
        """Count a value, 0–1 for shares."""
        for category in (question.category, ALL):
            self.values[category][figure].append(value)

    def means(self) -> Mapping[str, Mapping[str, float]]:
        """Category → figure → mean, shares in %; and `n`, the number of questions."""
        return {
            category: {
                "n": float(max(map(len, figures.values()))),
                **{name: 100 * float(np.mean(values)) for name, values in figures.items()},
            }
            for category, figures in self.values.items()
        }


def _share(wanted: Iterable[str], found: Iterable[str]) -> float:
    wanted = set(wanted)
    return len(wanted.intersection(found)) / len(wanted)
