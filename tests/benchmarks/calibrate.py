"""Fits the constants of `recallr_litellm/recall/calibration.py` and measures recall, on LoCoMo.

    python tests/benchmarks/calibrate.py --data FOLDER [--model NAME]

FOLDER holds `conv-*.json` of LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM
Agents", ACL 2024, CC BY-NC 4.0), which is not part of this project. Each conversation becomes the
memory of one owner in an embedded store, made as a gateway makes it (passages, extractive
summaries); its first speaker is the user, the second the assistant. Questions of the categories
1–4 are asked with both names taken out, as users ask about themselves. Takes a minute or two.

Printed: recall of the evidence at k for each part of the score, what each threshold lets through,
and the entry of the model for `CALIBRATIONS`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.options import Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.passages import split
from recallr_litellm.core.records import Passage, PassageHit, Session, SummaryHit, Turn
from recallr_litellm.memory.summarise import summarise
from recallr_litellm.recall.calibration import REFERENCE, REFERENCE_MODEL, Logistic
from recallr_litellm.recall.question import searchable
from recallr_litellm.recall.recipes import RECIPES, Weights
from recallr_litellm.recall.scoring import bm25_scale, score_passages, score_summaries
from recallr_litellm.recall.selection import top
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import Embedder, SparseEncoder, open_embedder
from recallr_litellm.stores.vectors import VectorStore, open_engine

ALL = 10_000
"""Candidates that are every memory of an owner."""
DAY = 24 * 3600 * 1000
RECIPE = RECIPES[Strategy.LOW_LATENCY]
PARTS = {
    "dense alone": Weights(bm25=0, previous_bm25=0, next_bm25=0, answered_bm25=0),
    "+ BM25": Weights(previous_bm25=0, next_bm25=0, answered_bm25=0),
    "+ BM25 of the messages before and after": Weights(answered_bm25=0),
    "+ a question before it": Weights(),
}
DEPTHS = (5, 10, 20, 50)
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Asked:
    """A question and what the store holds for it."""

    evidence: frozenset[str]
    """Ids of messages."""
    terms: int
    found: list[PassageHit]
    """As many candidates as the recipe asks for."""
    passages: list[PassageHit]
    """All passages of the owner, as are all `summaries`."""
    summaries: list[SummaryHit]

    @property
    def sessions(self) -> frozenset[str]:
        """Ids of the sessions that hold the evidence."""
        return frozenset(message.partition(":")[0] for message in self.evidence)

    def ranked(self, weights: Weights = RECIPE.weights) -> list[Rated]:
        """The messages of the candidates, best passage first."""
        return _rated(self._scores(self.found, weights), (hit.message for hit in self.found))

    def ranked_sessions(self) -> list[Rated]:
        return _rated(self.summary_scores(), (hit.session for hit in self.summaries))

    def passage_scores(self) -> dict[tuple[str, int], float]:
        """(message, part) → score of every passage; those of the candidates are as a search gives them."""
        return {
            (hit.message, hit.part): score
            for hits in (self.passages, self.found)
            for hit, score in zip(hits, self._scores(hits, RECIPE.weights), strict=True)
        }

    def summary_scores(self) -> list[float]:
        scale = bm25_scale(self.terms, RECIPE.weights)
        return score_summaries(self.summaries, [hit.dense for hit in self.summaries], RECIPE.weights, scale=scale)

    def _scores(self, hits: list[PassageHit], weights: Weights) -> list[float]:
        scale = bm25_scale(self.terms, weights)
        return score_passages(hits, [hit.dense for hit in hits], weights, scale=scale)


@dataclass(frozen=True)
class Rated:
    """A message or session by its score, which `top` reads as its relevance."""

    id: str
    relevance: float


def _rated(scores: Iterable[float], ids: Iterable[str]) -> list[Rated]:
    rated = [Rated(id, score) for score, id in zip(scores, ids, strict=True)]
    return sorted(rated, key=lambda one: -one.relevance)


async def main(samples: list[dict[str, Any]], model: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), embedding_model=model, qdrant_url=None)
        embedder, sparse = open_embedder(settings, _no_gateway), SparseEncoder()
        await embedder.open()
        vectors = VectorStore(open_engine(settings), embedder)
        await vectors.open()
        asked: list[Asked] = []
        for sample in samples:
            owner = Owner("locomo", sample["sample_id"])
            await remember(owner, sample["conversation"], vectors, embedder, sparse)
            asked += [question async for question in ask(owner, sample, vectors, embedder, sparse)]
        await vectors.close()
        await embedder.close()
    report(asked, embedder.name)


async def remember(
    owner: Owner, conversation: dict[str, Any], vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder
) -> None:
    """Store a conversation as the processing of sessions would."""
    for number, said in sessions(conversation):
        roles: list[Role] = ["user" if turn["speaker"] == conversation["speaker_a"] else "assistant" for turn in said]
        texts = [split(turn["text"]) for turn in said]
        flat = [text for of_message in texts for text in of_message]
        passages = iter(map(Passage, flat, dense := await embedder.passages(flat), sparse.passages(flat)))
        turns = [
            Turn(
                StoredMessage(
                    id=turn["dia_id"],
                    exchange=turn["dia_id"],
                    position=position,
                    at=number * DAY + position,
                    message=Message(role=role, text=turn["text"]),
                ),
                tuple(next(passages) for _ in of_message),
            )
            for position, (turn, role, of_message) in enumerate(zip(said, roles, texts, strict=True))
        ]
        speakers = [role for role, of_message in zip(roles, texts, strict=True) for _ in of_message]
        text = summarise(list(zip(speakers, flat, strict=True)), np.stack(dense))
        [vector] = await embedder.passages([text])
        session = Session(
            id=f"D{number}",
            created_at=number * DAY,
            last_at=number * DAY,
            timeout_seconds=600,
            message_count=len(turns),
            summary=text,
        )
        await vectors.save_session(owner, session, turns, Passage(text, vector, sparse.passages([text])[0]))


def sessions(conversation: dict[str, Any]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for key, said in conversation.items():
        if (found := re.fullmatch(r"session_(\d+)", key)) and said:
            yield int(found[1]), said


async def ask(
    owner: Owner, sample: dict[str, Any], vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder
) -> AsyncIterator[Asked]:
    """The questions of a conversation, each with what the store finds."""
    conversation = sample["conversation"]
    known = {turn["dia_id"] for _, said in sessions(conversation) for turn in said}
    names = re.compile(rf"\b(?:{conversation['speaker_a']}|{conversation['speaker_b']})(?:'s)?\b")
    for item in sample["qa"]:
        evidence = known.intersection(re.findall(r"D\d+:\d+", str(item["evidence"])))
        if item["category"] > 4 or not evidence:
            continue
        question = searchable(names.sub("", item["question"]))
        dense, terms = await embedder.query(question), sparse.query(question)
        found, _ = await vectors.search(
            owner,
            dense,
            terms,
            exclude_sessions=frozenset(),
            turn_candidates=RECIPE.turn_candidates,
            summary_candidates=RECIPE.summary_candidates,
        )
        passages, summaries = await vectors.search(
            owner, dense, terms, exclude_sessions=frozenset(), turn_candidates=ALL, summary_candidates=ALL
        )
        yield Asked(frozenset(evidence), len(terms.indices), found, passages, summaries)


def report(asked: list[Asked], model: str) -> None:
    cosines = np.array([hit.dense for a in asked for hit in a.found])
    mean, spread = float(cosines.mean()), float(cosines.std())
    if model != REFERENCE_MODEL:
        asked = [on_reference(a, mean, spread) for a in asked]
    print(f"{model}: {len(asked)} questions, {statistics.fmean(len(a.found) for a in asked):.0f} candidates each\n")
    print("Recall of the evidence, %")
    for name, weights in PARTS.items():
        ranked = [(a.evidence, a.ranked(weights)) for a in asked]
        print(f"  {name:42}", "  ".join(f"@{k} {recall((e, r[:k]) for e, r in ranked):.1f}" for k in DEPTHS))
    memories = fit((score, message in a.evidence) for a in asked for (message, _), score in a.passage_scores().items())
    summaries = fit((one.relevance, one.id in a.sessions) for a in asked for one in a.ranked_sessions())
    print("\nthreshold | memories: score, shown (of 10 to 50), recall % | summaries: score, shown (of 5), recall %")
    for threshold in THRESHOLDS:
        least, least_summary = (score_at(threshold, logistic) for logistic in (memories, summaries))
        shown = [(a.evidence, top(a.ranked(), at_least=10, at_most=50, threshold=least)) for a in asked]
        parts = [
            (a.sessions, top(a.ranked_sessions(), at_least=0, at_most=RECIPE.max_summaries, threshold=least_summary))
            for a in asked
        ]
        print(
            f"{threshold:9} | {least:5.2f} {statistics.fmean(len(s) for _, s in shown):5.1f} {recall(shown):5.1f}"
            f" | {least_summary:5.2f} {statistics.fmean(len(s) for _, s in parts):4.1f} {recall(parts):5.1f}"
        )
    print(
        f'\n"{model}": Calibration(\n    mean={mean:.3f},\n    spread={spread:.3f},\n'
        f"    memories=Logistic({memories.slope:.2f}, {memories.intercept:.2f}),\n"
        f"    summaries=Logistic({summaries.slope:.2f}, {summaries.intercept:.2f}),\n)"
    )


def on_reference(asked: Asked, mean: float, spread: float) -> Asked:
    """The same with similarities as the reference model would spread them, as `to_reference` will do."""

    def moved(cosine: float) -> float:
        return REFERENCE.mean + (cosine - mean) / spread * REFERENCE.spread

    return replace(
        asked,
        found=[replace(hit, dense=moved(hit.dense)) for hit in asked.found],
        passages=[replace(hit, dense=moved(hit.dense)) for hit in asked.passages],
        summaries=[replace(hit, dense=moved(hit.dense)) for hit in asked.summaries],
    )


def recall(shown: Iterable[tuple[frozenset[str], Sequence[Rated]]]) -> float:
    """Mean share of the evidence that is shown, %."""
    return 100 * statistics.fmean(len(e & {one.id for one in found}) / len(e) for e, found in shown)


def score_at(relevance: float, logistic: Logistic) -> float:
    """The score that a logistic maps to a relevance."""
    return (math.log(relevance / (1 - relevance)) - logistic.intercept) / logistic.slope


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


async def _no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise SystemExit(f"{model} is a model of a gateway, and there is none here")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of LoCoMo's conv-*.json")
    parser.add_argument("--model", help="as RECALLR_EMBEDDING_MODEL; the bundled one by default")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("conv-*.json"))
    if not files:
        parser.error(f"no conv-*.json in {arguments.data}")
    asyncio.run(main([json.loads(file.read_text()) for file in files], arguments.model))
