"""What becomes of a ranking when a cross-encoder has its say: order, relevance, time, faults."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import RecalledPassage
from recallr_litellm.core.records import Passage, Session, Turn
from recallr_litellm.errors import RerankerTooSlow, RerankerUnavailable
from recallr_litellm.metrics import RERANKS
from recallr_litellm.recall import Recall
from recallr_litellm.recall.rerank import Reranking, reordered
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import SparseEncoder, open_embedder
from recallr_litellm.stores.reranker import open_reranker
from recallr_litellm.stores.vectors import VectorStore, open_engine
from tests.support.cross_encoder import MODEL, lay

RELEVANCE = st.floats(0, 1)
SCORE = st.floats(-1e6, 1e6)


def passage(text: str, relevance: float) -> RecalledPassage:
    return RecalledPassage("s", text, 0, 0, "user", 0, text, relevance)


def ranked(*relevance: float) -> list[RecalledPassage]:
    return [passage(str(place), value) for place, value in enumerate(sorted(relevance, reverse=True))]


def texts(passages: Sequence[RecalledPassage]) -> list[str]:
    return [one.text for one in passages]


def count(outcome: str) -> float:
    return RERANKS.labels(outcome)._value.get()


class Fixed:
    """Gives the scores that a test wants, or raises, or never comes back."""

    def __init__(self, *answer: float, error: Exception | None = None, hangs: bool = False) -> None:
        self._answer, self._error, self._hangs = answer, error, hangs
        self.asked: list[tuple[str, list[str]]] = []

    async def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        self.asked.append((question, list(passages)))
        if self._error is not None:
            raise self._error
        if self._hangs:
            await asyncio.Event().wait()
        return list(self._answer[: len(passages)])


@given(st.lists(st.tuples(RELEVANCE, SCORE), min_size=2, max_size=30))
def test_relevance_stays_with_the_place(pairs: list[tuple[float, float]]) -> None:
    before = ranked(*(relevance for relevance, _ in pairs))
    after = reordered(before, [score for _, score in pairs])
    assert [one.relevance for one in after] == [one.relevance for one in before], "a threshold would mean another thing"
    assert sorted(texts(after)) == sorted(texts(before)), "something was lost, or stands there twice"


@given(st.lists(st.tuples(RELEVANCE, SCORE), min_size=2, max_size=30), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_what_both_put_higher_stays_higher(pairs: list[tuple[float, float]], factor: float, constant: float) -> None:
    before = ranked(*(relevance for relevance, _ in pairs))
    scores = [score for _, score in pairs]
    after = texts(reordered(before, scores))
    for one, (high, high_score) in enumerate(zip(before, scores, strict=True)):
        for low, low_score in zip(before[one + 1 :], scores[one + 1 :], strict=True):
            if high_score >= low_score:
                assert after.index(high.text) < after.index(low.text)


def test_the_scale_of_the_cross_encoder_does_not_matter() -> None:
    before = ranked(0.9, 0.8, 0.7, 0.6, 0.2)
    scores = [-11.2, 3.5, -10.8, 8.1, -11.0]
    after = texts(reordered(before, scores))
    assert after == ["1", "3", "0", "2", "4"], "those that the words answer rise, as far as the first score lets them"
    assert after == texts(reordered(before, [score / 20 + 0.5 for score in scores]))


def test_a_cross_encoder_that_knows_no_difference_changes_nothing() -> None:
    before = ranked(1.0, 0.9, 0.9, 0.5, 0.0)
    assert reordered(before, [7.0] * 5) == before
    same = [passage(text, 0.7) for text in "abc"]
    assert texts(reordered(same, [1.0, 3.0, 2.0])) == ["b", "c", "a"], "then it alone decides"


async def test_only_the_best_are_looked_at() -> None:
    encoder = Fixed(0.0, 9.0, 1.0, math.nan)
    before = ranked(0.9, 0.5, 0.45, 0.4, 0.1)
    done = count("done")
    after, fault = await Reranking(encoder, 3)("Where?", before, until=None)
    assert encoder.asked == [("Where?", ["0", "1", "2"])]
    assert fault is None
    assert texts(after) == ["1", "0", "2", "3", "4"]
    assert count("done") == done + 1


@pytest.mark.parametrize("encoder", [None, Fixed(5.0, 1.0)])
async def test_where_nothing_can_be_reordered_nothing_is_asked(encoder: Fixed | None) -> None:
    for before in ([], ranked(0.5), *([ranked(0.5, 0.4)] if encoder is None else [])):
        assert await Reranking(encoder)("Where?", before, until=None) == (before, None)
    assert encoder is None or encoder.asked == []


async def test_a_fault_leaves_the_ranking_as_it_was() -> None:
    before, error = ranked(0.9, 0.8), RerankerUnavailable("it is away")
    failed = count("failed")
    assert await Reranking(Fixed(error=error))("Where?", before, until=None) == (before, error)
    assert count("failed") == failed + 1
    assert error.reason == "embedding"


@pytest.mark.parametrize("seconds", [0.05, -1.0])
async def test_when_time_is_up_the_ranking_is_used_as_it_was(seconds: float) -> None:
    before, timeouts = ranked(0.9, 0.8), count("timeout")
    until = asyncio.get_running_loop().time() + seconds
    after, fault = await Reranking(Fixed(hangs=True))("Where?", before, until=until)
    assert after == before
    assert isinstance(fault, RerankerTooSlow)
    assert fault.reason == "timeout"
    assert count("timeout") == timeouts + 1


async def test_a_recall_is_reordered_and_thresholds_still_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTEMBED_CACHE_PATH", raising=False)
    lay(tmp_path / "models")
    settings = Settings(data_dir=tmp_path, embedding_model=None, qdrant_url=None, rerank_model=MODEL)
    embedder, sparse = open_embedder(settings, no_gateway), SparseEncoder()
    await embedder.open()
    vectors = VectorStore(open_engine(settings), embedder)
    await vectors.open()
    reranker = open_reranker(settings)
    assert reranker is not None
    await reranker.open()
    owner = Owner("p", "mara")
    said = [
        "My sister Ines plays the violin.",
        "When I come from there, which is late, I paint.",
        "Violins are expensive, said the man in the shop.",
        "I had lentils for dinner.",
    ]
    dense, terms = await embedder.passages(said), sparse.passages(said)
    turns = [
        Turn(
            StoredMessage(id=f"m{n}", exchange="x", position=n, at=n, message=Message(role="user", text=said[n])),
            (Passage(said[n], dense[n], terms[n]),),
        )
        for n in range(len(said))
    ]
    await vectors.save_session(
        owner, Session(id="s", created_at=0, last_at=9, timeout_seconds=600, message_count=4), turns, None
    )
    question = "Which violin does my sister play when I come from there?"
    for strategy in (Strategy.LOW_LATENCY, Strategy.BALANCED):
        found = []
        for rerank in (None, Reranking(reranker)):
            recall = Recall(vectors, embedder, sparse, rerank)
            options = RecallOptions(strategy=strategy, min_top_k=0, memories_threshold=0.0)
            now = datetime(2025, 3, 3, tzinfo=UTC)
            recalled = await recall(owner, question, options, exclude_sessions=frozenset(), now=now)
            assert recalled.shortfall is None
            found.append(recalled.memories)
        plain, reranked = found
        assert texts(plain) == [said[0], said[2], said[1], said[3]]
        assert texts(reranked) == said, "the second has most of the words of the question"
        assert [one.relevance for one in reranked] == [one.relevance for one in plain]
        assert sorted(texts(reranked)) == sorted(texts(plain))

    await reranker.close()
    recalled = await Recall(vectors, embedder, sparse, Reranking(reranker))(
        owner, question, RecallOptions(), exclude_sessions=frozenset()
    )
    assert recalled.memories, "without it there is the recall that there was before"
    assert isinstance(recalled.shortfall, RerankerUnavailable)
    await vectors.close()
    await embedder.close()


async def no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise AssertionError(f"{model} is not to be used here")
