"""The reranker: a real cross-encoder through fastembed, and models that misbehave."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest

from recallr_litellm.errors import ConfigurationError, RerankerUnavailable
from recallr_litellm.settings import Settings
from recallr_litellm.stores.reranker import BATCH, PAIR_CHARACTERS, Reranker, open_reranker
from tests.support.cross_encoder import BROKEN, MODEL, lay
from tests.support.waiting import eventually


@pytest.fixture
async def reranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reranker]:
    monkeypatch.delenv("FASTEMBED_CACHE_PATH", raising=False)
    lay(tmp_path / "models")
    opened = opened_for(MODEL, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


def opened_for(model: str, data_dir: Path) -> Reranker:
    reranker = open_reranker(Settings(rerank_model=model, data_dir=data_dir))
    assert reranker is not None
    return reranker


class Recorded:
    """A cross-encoder in Python: longer is better. Waits where it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.threads: set[str] = set()
        self.loads = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def load(self) -> Recorded:
        self.loads += 1
        return self

    def rerank(self, query: str, documents: Iterable[str], batch_size: int) -> Iterable[float]:
        texts = list(documents)
        self.asked.append((query, texts))
        self.threads.add(threading.current_thread().name)
        assert self.go_on.wait(60), "the test did not let the model go on"
        return [float(len(text)) for text in texts]


async def opened(model: Recorded) -> Reranker:
    reranker = Reranker("recorded", model.load)
    await reranker.open()
    model.asked.clear()
    return reranker


async def test_each_passage_is_scored_by_what_it_says_to_the_question(reranker: Reranker) -> None:
    passages = ["My dog is called Rex.", "I live in Porto, by the river.", "", "Porto!"] * 5
    scores = await reranker.scores("Do I live in Porto?", passages)
    assert scores[:4] == scores[4:8] == scores[16:], "the same passage has another score elsewhere"
    assert scores[1] > scores[3] > scores[0], f"the scores are not in the order of the passages: {scores[:4]}"


async def test_odd_texts_are_scored_like_any(reranker: Reranker) -> None:
    scores = await reranker.scores(
        "Porto \ud83d?", ["Porto \ud83d", "🏡" * 5000, "我住在上海。", "\x00", "porto " * 90_000]
    )
    assert len(scores) == 5
    assert await reranker.scores("", ["x"]) == await reranker.scores("🏡", ["x"])


async def test_no_passages_no_scores(reranker: Reranker) -> None:
    assert await reranker.scores("Where?", []) == []


async def test_a_score_that_is_no_number_is_a_fault_that_names_no_text(reranker: Reranker) -> None:
    with pytest.raises(RerankerUnavailable) as failure:
        await reranker.scores("my secret", ["one", f"my secret {BROKEN}"])
    assert "secret" not in str(failure.value)
    assert len(await reranker.scores("next", ["one"])) == 1, "it can be used on"


async def test_it_is_off_where_no_model_is_named() -> None:
    assert open_reranker(Settings(rerank_model=None)) is None


async def test_an_unknown_name_says_how_to_list_the_known_ones(tmp_path: Path) -> None:
    reranker = opened_for("Xenova/ms-marco-MiniLM-L6-v2", tmp_path)
    with pytest.raises(ConfigurationError, match="RECALLR_RERANK_MODEL") as refused:
        await reranker.open()
    await reranker.close()
    assert MODEL in str(refused.value), f"the error does not offer the model that was meant: {refused.value}"
    command = str(refused.value).partition('python -c "')[2].partition('"')[0]
    listing = await asyncio.create_subprocess_exec(sys.executable, "-c", command, stdout=asyncio.subprocess.PIPE)
    listed, _ = await listing.communicate()
    assert MODEL in listed.decode().splitlines(), "the command that the error names does not list the models"


async def test_without_a_network_a_model_that_is_not_on_disk_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    reranker = opened_for(MODEL, tmp_path)
    with pytest.raises(RerankerUnavailable, match="hub did not offer") as refused:
        await reranker.open()
    assert "RECALLR_RERANK_MODEL" in str(refused.value), "the error does not say what to do"
    with pytest.raises(RerankerUnavailable, match="not open"):
        await reranker.scores("x", ["x"])
    lay(tmp_path / "models")
    await reranker.open()
    assert len(await reranker.scores("x", ["x"])) == 1, "it can be opened when the model is there"
    await reranker.close()


async def test_texts_are_bounded_and_read_shortest_first() -> None:
    model = Recorded()
    reranker = await opened(model)
    lengths = [9, 100_000, 1, 5, 3, 50]
    scores = await reranker.scores("q" * 100_000, ["x" * length for length in lengths])
    await reranker.close()
    assert scores == [min(length, PAIR_CHARACTERS) for length in lengths], "scores are not in the order of the texts"
    assert {len(query) for query, _ in model.asked} == {PAIR_CHARACTERS}
    read = [len(text) for _, texts in model.asked for text in texts]
    assert read == sorted(read)


async def test_it_has_a_thread_of_its_own_and_is_loaded_once() -> None:
    model = Recorded()
    reranker = Reranker("recorded", model.load)
    await asyncio.gather(reranker.open(), reranker.open())
    await reranker.scores("x", ["x"])
    await reranker.close()
    assert model.loads == 1
    assert len(model.threads) == 1
    assert threading.current_thread().name not in model.threads, "the model ran in the event loop's thread"
    with pytest.raises(RerankerUnavailable):
        await reranker.scores("x", ["x"])


async def test_nobody_waits_for_a_model_that_is_being_loaded() -> None:
    model = Recorded()
    model.go_on.clear()
    reranker = Reranker("recorded", model.load)
    opening = asyncio.create_task(reranker.open())
    await asyncio.to_thread(eventually, lambda: model.asked, "the model is used for the first time")
    with pytest.raises(RerankerUnavailable, match="not open"):
        await reranker.scores("x", ["x"])
    model.go_on.set()
    await opening
    assert await reranker.scores("x", ["x"]) == [1.0]
    await reranker.close()


async def test_what_nobody_waits_for_any_more_is_not_gone_on_with() -> None:
    model = Recorded()
    reranker = await opened(model)
    model.go_on.clear()
    running = asyncio.create_task(reranker.scores("running", ["x"] * 20 * BATCH))
    await asyncio.to_thread(eventually, lambda: model.asked, "the model is at its first pairs")
    waiting = asyncio.create_task(reranker.scores("waiting", ["x"]))
    await asyncio.sleep(0)
    for task in (running, waiting):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    model.go_on.set()
    assert await reranker.scores("next", ["xx"]) == [2.0]
    await reranker.close()
    assert [query for query, _ in model.asked] == ["running", "next"], "the model went on for nobody"


@pytest.mark.parametrize("given", [[], [1.0], [1.0, float("inf")], [1.0, 2.0, 3.0]])
async def test_a_model_that_gives_no_usable_scores_is_a_fault(given: Sequence[float]) -> None:
    model = Recorded()
    reranker = await opened(model)
    model.rerank = lambda query, documents, batch_size: given  # type: ignore[method-assign]
    with pytest.raises(RerankerUnavailable):
        await reranker.scores("x", ["x", "y"])
    await reranker.close()


async def test_a_failure_of_the_model_names_no_text() -> None:
    def fails(query: str, documents: Iterable[str], batch_size: int) -> Iterable[float]:
        raise RuntimeError(f"cannot read {query}")

    model = Recorded()
    reranker = await opened(model)
    model.rerank = fails  # type: ignore[method-assign]
    with pytest.raises(RerankerUnavailable, match="RuntimeError") as failure:
        await reranker.scores("my secret", ["x"])
    await reranker.close()
    assert "secret" not in str(failure.value)
