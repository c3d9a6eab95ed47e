"""Fits the constants of `recallr_litellm/recall/calibration.py`, on LoCoMo and the first-person set beside this file.

    python -m tests.benchmarks.calibrate --data FOLDER [--users FILE] [--model NAME]

FOLDER holds `conv-*.json` of LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM
Agents", ACL 2024, CC BY-NC 4.0), which is not part of this project. All is remembered and asked as in
`tests/benchmarks/locomo.py`, with the recipe of balanced. Takes two minutes.

Printed: what each threshold lets through, for both sets, and the entry of the model for `CALIBRATIONS`. Its `facts`
are of LoCoMo's recorded facts, which are remembered beside the same conversations once more.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.records import PassageHit
from recallr_litellm.recall import Recall, calibration, search, selection
from recallr_litellm.recall.calibration import REFERENCE, REFERENCE_MODEL, Calibration, Logistic, Relevance
from recallr_litellm.recall.names import candidates, without
from recallr_litellm.recall.selection import top
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import Embedder, SparseEncoder, open_embedder
from recallr_litellm.stores.vectors import VectorStore, open_collections
from tests.benchmarks.conversations import (
    FIRST_PERSON,
    Conversation,
    Question,
    evidence_sessions,
    load_first_person,
    load_locomo,
    remember,
)
from tests.benchmarks.material import no_gateway

EVERYTHING = RecallOptions(min_top_k=200, max_top_k=200, summaries_threshold=-math.inf)
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Rated:
    """A message or session by its score, which `top` reads as its relevance."""

    id: str
    relevance: float


@dataclass(frozen=True)
class Answer:
    """A question with what was found for it, best first, by scores that are not yet relevance."""

    question: Question
    passages: list[Rated]
    summaries: list[Rated]
    facts: list[tuple[float, bool]]
    """Score of each, and whether it rests on a message of the evidence."""

    @property
    def sessions(self) -> frozenset[str]:
        """Ids of the sessions that hold the evidence."""
        return evidence_sessions(self.question.evidence)


async def main(sets: dict[str, list[Conversation]], with_facts: list[Conversation], model: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), embedding_model=model, qdrant_url=None)
        embedder, sparse = open_embedder(settings, no_gateway), SparseEncoder()
        await embedder.open()
        vectors = VectorStore(open_collections(settings), embedder)
        await vectors.open()
        for conversations in (*sets.values(), with_facts):
            for conversation in conversations:
                await remember(conversation, vectors, embedder, sparse)
        everybody = [conversation for conversations in sets.values() for conversation in conversations]
        mean, spread = await cosines(everybody, vectors, embedder, sparse)
        recall = Recall(vectors, embedder, sparse)
        plain = Relevance(Score(1, 0), Score(1, 0))
        bare = Calibration(mean, spread, plain, plain, Score(1, 0))
        with (
            patch.object(calibration, "CALIBRATIONS", {embedder.name: bare}),
            patch.object(search, "to_reference", lambda _, dense: moved(dense, embedder.name, mean, spread)),
            patch.object(search, "top_summaries", lambda ranked, options, at_most: tuple(ranked)),
            patch.object(selection, "without_retold", lambda ranked: ranked),
        ):
            answers = {name: [await ask(recall, c, q) for c in cs for q in c.questions] for name, cs in sets.items()}
            of_facts = [await ask(recall, c, q) for c in with_facts for q in c.questions]
        await vectors.close()
        await embedder.close()
    report(answers, fit(fact for answer in of_facts for fact in answer.facts), embedder.name, mean, spread)


class Score(Logistic):
    """Leaves a score as it is."""

    def __call__(self, score: float) -> float:
        return score


def moved(cosines: Sequence[float], model: str, mean: float, spread: float) -> list[float]:
    """As the reference model would have them: what `to_reference` does with the constants that are being fitted."""
    if model == REFERENCE_MODEL:
        return list(cosines)
    return [REFERENCE.mean + (cosine - mean) / spread * REFERENCE.spread for cosine in cosines]


async def cosines(
    conversations: Sequence[Conversation], vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder
) -> tuple[float, float]:
    """Mean and spread of the candidates' similarities, all questions together."""
    found: list[PassageHit] = []
    for conversation in conversations:
        for question in conversation.questions:
            # About as the recall does it: names that a memory knows are not embedded.
            text = without(question.text, frozenset(candidates(question.text)))
            dense, terms = await embedder.query(text, "calibrate"), sparse.query(question.text)
            hits, *_ = await vectors.search(conversation.owner, dense, terms, exclude_sessions=frozenset())
            found += hits
    values = [hit.dense for hit in found]
    return fmean(values), pstdev(values)


async def ask(recall: Recall, conversation: Conversation, question: Question) -> Answer:
    """What is found, with scores."""
    found = await recall(
        conversation.owner,
        question.text,
        EVERYTHING,
        exclude_sessions=frozenset(),
        previous=question.previous,
        now=conversation.asked_at,
    )
    return Answer(
        question,
        [Rated(passage.message, passage.relevance) for passage in found.passages],
        [Rated(summary.session, summary.relevance) for summary in found.summaries],
        [(fact.relevance, not question.evidence.keys().isdisjoint(fact.sources)) for fact in found.memories],
    )


def report(answers: dict[str, list[Answer]], facts: Logistic, model: str, mean: float, spread: float) -> None:
    """Fit and print."""
    of_each = {
        name: fit((one.relevance, one.id in a.question.evidence) for a in of_set for one in a.passages)
        for name, of_set in answers.items()
    }
    summaries = mean_of(
        fit((one.relevance, one.id in a.sessions) for a in of_set for one in a.summaries) for of_set in answers.values()
    )
    for name, of_set in answers.items():
        own = of_each[name]
        fitted = f"slope {own.slope:.2f}, intercept {own.intercept:.2f}, 0.7 at {score_at(0.7, own):.2f}"
        print(f"\n{name}, {len(of_set)} questions: {fitted}")
        print("threshold | passages: score, shown (of 10 to 50), recall % | summaries: score, shown (of 5), recall %")
        for threshold in THRESHOLDS:
            least, least_summary = (score_at(threshold, logistic) for logistic in (own, summaries))
            shown = [(a.question.evidence, top(a.passages, at_least=10, at_most=50, threshold=least)) for a in of_set]
            parts = [(a.sessions, top(a.summaries, at_least=0, at_most=5, threshold=least_summary)) for a in of_set]
            print(
                f"{threshold:9} | {least:5.2f} {fmean(len(s) for _, s in shown):5.1f} {recall(shown):5.1f}"
                f" | {least_summary:5.2f} {fmean(len(s) for _, s in parts):4.1f} {recall(parts):5.1f}"
            )
    print(
        f'\n"{model}": Calibration(\n    mean={mean:.3f},\n    spread={spread:.3f},\n'
        f"    passages: {of_each},\n"
        f"    summaries=Logistic({summaries.slope:.2f}, {summaries.intercept:.2f}),\n"
        f"    memories: Logistic({facts.slope:.2f}, {facts.intercept:.2f}),\n)"
    )


def recall(shown: Iterable[tuple[Iterable[str], Sequence[Rated]]]) -> float:
    """Mean share of the evidence that is shown, %."""
    return 100 * fmean(len(set(e) & {one.id for one in found}) / len(set(e)) for e, found in shown)


def score_at(relevance: float, logistic: Logistic) -> float:
    """The score that a logistic maps to a relevance."""
    return (math.log(relevance / (1 - relevance)) - logistic.intercept) / logistic.slope


def mean_of(logistics: Iterable[Logistic]) -> Logistic:
    """Between two kinds of memory, neither of which is to count more for having more questions."""
    fitted = list(logistics)
    return Logistic(fmean(one.slope for one in fitted), fmean(one.intercept for one in fitted))


def fit(scores: Iterable[tuple[float, bool]]) -> Logistic:
    """Logistic regression by Newton's method; evidence and all the rest weigh the same in sum."""
    table = np.array(list(scores), dtype=np.float64)
    x, y = np.column_stack((table[:, 0], np.ones(len(table)))), table[:, 1]
    weights: NDArray[np.float64] = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    constants = np.zeros(2)
    for _ in range(50):
        expected = 1 / (1 + np.exp(-x @ constants))
        curvature = (x * (weights * expected * (1 - expected))[:, None]).T @ x
        constants += np.linalg.solve(curvature, x.T @ (weights * (y - expected)))
    return Logistic(float(constants[0]), float(constants[1]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of LoCoMo's conv-*.json")
    parser.add_argument(
        "--users", type=Path, default=FIRST_PERSON, help="first-person questions; those beside this file"
    )
    parser.add_argument("--model", help="as RECALLR_EMBEDDING_MODEL; the bundled one by default")
    arguments = parser.parse_args()
    sets = {"LoCoMo": load_locomo(arguments.data), "first person": load_first_person(arguments.users)}
    with_facts = [replace(c, name=f"{c.name} with facts") for c in load_locomo(arguments.data, facts=True)]
    asyncio.run(main(sets, with_facts, arguments.model))
