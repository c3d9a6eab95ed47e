"""Opening: what is there is kept, what does not fit is refused, what is away may come back."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

from recallr_litellm.core.records import Memory, User
from recallr_litellm.errors import (
    ConfigurationError,
    EmbeddingMismatch,
    PlatformUnsupported,
    VectorsUnavailable,
)
from recallr_litellm.settings import Settings
from recallr_litellm.stores.vectors import Collections, VectorStore, open_collections
from recallr_litellm.stores.vectors.collections import name_of
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.server import connect
from recallr_litellm.stores.vectors.server_collections import ServerCollections
from tests.support.listeners import Listener
from tests.unit.stores.vectors.vector_samples import (
    ADA,
    DIMENSION,
    MODEL,
    NO_TERMS,
    Model,
    passage,
    session,
    stored,
    terms,
    texts,
    towards,
    turn,
)

API_KEY = "a-very-secret-key"


def store_on(collections: Collections, *, model: str = MODEL, dimension: int = DIMENSION) -> VectorStore:
    return VectorStore(collections, Model(model, dimension))


async def test_reopening_the_folder_finds_everything(tmp_path: Path) -> None:
    for opened in range(3):
        store = store_on(EdgeCollections(tmp_path / "deep" / "down" / "qdrant"))
        await store.open()
        if opened == 0:
            await store.save_session(
                ADA, session(summary="s"), [turn(stored(0, "kept"), passage("kept", sparse=terms(1)))], passage("s")
            )
        assert texts(await store.read_messages(ADA, "s1")) == ["kept"]
        hits, summaries, _, *_ = await store.search(ADA, towards(0), terms(1), exclude_sessions=())
        assert ([hit.text for hit in hits], [hit.summary for hit in summaries]) == (["kept"], ["s"])
        assert len(await store.last_user_messages(ADA, 5, exclude_sessions=())) == 1
        await store.flush()
        await store.close()
    assert [entry.name for entry in (tmp_path / "deep" / "down").iterdir()] == ["qdrant-test-model"], (
        "leftovers in the data folder"
    )


async def test_compacting_at_the_start_keeps_all_and_scores_the_same(tmp_path: Path) -> None:
    # Enough to pass the threshold of 10 MB of vectors from which Qdrant compacts.
    store = store_on(EdgeCollections(tmp_path / "qdrant"), dimension=4096)
    vector = towards(0).repeat(4096 // DIMENSION) / (4096 // DIMENSION) ** 0.5
    found = passage("a", sparse=terms(1))
    turns = [turn(stored(n, f"message {n}"), type(found)("a", vector, terms(1, 100 + n))) for n in range(1500)]
    await store.open()
    await store.save_session(ADA, session(), turns, None)
    before, *_ = await store.search(ADA, vector, terms(150), exclude_sessions=(), turn_candidates=5)
    await store.close()

    store = store_on(EdgeCollections(tmp_path / "qdrant"), dimension=4096)
    await store.open()
    after, *_ = await store.search(ADA, vector, terms(150), exclude_sessions=(), turn_candidates=5)
    segments = list((tmp_path / "qdrant-test-model" / "segments").iterdir())
    messages = await store.read_messages(ADA, "s1")
    await store.save_session(ADA, session(), turns[:10], None)
    shortened = await store.read_messages(ADA, "s1")
    await store.close()

    assert len(segments) > 1, "nothing was compacted: the test does not test what it says"
    assert texts(messages) == [f"message {n}" for n in range(1500)]
    assert texts(shortened) == [f"message {n}" for n in range(10)], "compacted messages cannot be replaced"
    assert max(hit.bm25 for hit in after) == pytest.approx(max(hit.bm25 for hit in before))


async def test_workers_that_start_together_share_one_collection() -> None:
    client = AsyncQdrantClient(location=":memory:")
    first, second = (
        store_on(ServerCollections(lambda: client, "recallr")),
        store_on(ServerCollections(lambda: client, "recallr")),
    )
    await first.open()
    await second.open()
    await first.save_session(ADA, session(), [turn(stored(0, "shared"))], None)
    assert texts(await second.read_messages(ADA, "s1")) == ["shared"]
    await client.close()


async def test_losing_the_race_to_create_the_collection_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncQdrantClient(location=":memory:")
    await store_on(ServerCollections(lambda: client, "recallr")).open()
    with serving(409, {"status": {"error": "Collection `recallr` already exists!"}}) as url:
        over_the_wire = connect(url, None)

        async def not_yet(_: str) -> bool:
            return False

        monkeypatch.setattr(client, "collection_exists", not_yet)
        monkeypatch.setattr(client, "create_collection", over_the_wire.create_collection)
        store = store_on(ServerCollections(lambda: client, "recallr"))
        await store.open()
        await over_the_wire.close()
    await store.ping()
    await client.close()


@pytest.mark.parametrize(("model", "dimension"), [("another-model", DIMENSION), (MODEL, 16), ("another-model", 16)])
async def test_another_embedding_model_is_refused_by_name(
    make_collections: Callable[[], Collections], monkeypatch: pytest.MonkeyPatch, model: str, dimension: int
) -> None:
    first_collections = make_collections()
    first = store_on(first_collections)
    await first.open()
    if isinstance(first_collections, EdgeCollections):
        await first.close()

    with pytest.raises(EmbeddingMismatch) as refused:
        await store_on(make_collections(), model=model, dimension=dimension).open()

    for named in (MODEL, str(DIMENSION), model, "recallr reindex"):
        assert named in str(refused.value), f"the message does not say {named!r}"


async def test_two_that_open_it_at_once_open_it_once(collections: Collections) -> None:
    store = store_on(collections)
    await asyncio.gather(store.open(), store.open())
    await store.ping()
    await store.close()


async def test_a_first_start_that_died_before_describing_the_collection_is_taken_up(
    make_collections: Callable[[], Collections],
) -> None:
    collections = make_collections()
    await collections.engine(name_of(collections.base, MODEL)).open(DIMENSION)
    store = store_on(collections)
    await store.open()
    await store.ping()
    await store.close()


async def test_an_undescribed_collection_of_another_dimension_is_refused(
    make_collections: Callable[[], Collections],
) -> None:
    collections = make_collections()
    await collections.engine(name_of(collections.base, MODEL)).open(DIMENSION)
    with pytest.raises(EmbeddingMismatch, match="8 dimensions"):
        await store_on(collections, dimension=16).open()


async def test_a_damaged_folder_is_reported_as_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "qdrant-test-model"
    folder.mkdir()
    (folder / "edge_config.json").write_text("{")
    with pytest.raises(VectorsUnavailable):
        await store_on(EdgeCollections(tmp_path / "qdrant")).open()


async def test_a_server_that_comes_back_can_be_opened_then(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncQdrantClient(location=":memory:")
    store = store_on(ServerCollections(lambda: client, "recallr"))

    async def away() -> models.VersionInfo:
        raise ResponseHandlingException(ConnectionRefusedError())

    with monkeypatch.context() as patch:
        patch.setattr(client, "info", away)
        for _ in range(2):
            with pytest.raises(VectorsUnavailable):
                await store.open()
        with pytest.raises(VectorsUnavailable):
            await store.ping()

    await store.open()
    await store.ping()
    await store.close()


Call = Callable[[VectorStore], Coroutine[Any, Any, object]]
CALLS: dict[str, Call] = {
    "flush": lambda store: store.flush(),
    "ping": lambda store: store.ping(),
    "get_user": lambda store: store.get_user(ADA),
    "put_user": lambda store: store.put_user(ADA, User(project="project", user="ada", created_at=0)),
    "get_session": lambda store: store.get_session(ADA, "s1"),
    "read_messages": lambda store: store.read_messages(ADA, "s1"),
    "save_session": lambda store: store.save_session(ADA, session(), [], None),
    "save_memories": lambda store: store.save_memories(
        ADA, [(Memory(id="a" * 32, content="x", created_at=0, session="s1"), None)]
    ),
    "get_memories": lambda store: store.get_memories(ADA, ["a" * 32]),
    "search": lambda store: store.search(ADA, towards(0), NO_TERMS, exclude_sessions=()),
    "last_user_messages": lambda store: store.last_user_messages(ADA, 1, exclude_sessions=()),
    "last_summaries": lambda store: store.last_summaries(ADA, 1, exclude_sessions=()),
}


async def test_before_it_is_open_and_after_it_is_closed_everything_is_unavailable(collections: Collections) -> None:
    store = store_on(collections)

    async def answering() -> list[str]:
        answers = await asyncio.gather(*(call(store) for call in CALLS.values()), return_exceptions=True)
        assert all(isinstance(one, VectorsUnavailable) for one in answers if isinstance(one, Exception)), answers
        return [name for name, one in zip(CALLS, answers, strict=True) if not isinstance(one, Exception)]

    assert await answering() == []
    await store.open()
    assert await answering() == list(CALLS)
    await store.close()
    assert await answering() == []


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_refusing_server_is_unavailable_and_no_secret_is_told(status: int) -> None:
    with serving(status, {"status": {"error": "no"}}) as url:
        collections = ServerCollections(lambda: connect(url, SecretStr(API_KEY)), "recallr")
        with pytest.raises(VectorsUnavailable) as refused:
            await store_on(collections).open()
        await collections.close()
    told = str(refused.value) + str(refused.value.__cause__)
    assert API_KEY not in told
    assert status == 429 or str(status) in str(refused.value), "the message does not say what the server answered"


@pytest.mark.parametrize("version", ["1.18.9", "0.11.0", "unknown"])
async def test_a_server_without_idf_per_tenant_is_refused(version: str) -> None:
    with serving(200, {"title": "qdrant - vector search engine", "version": version}) as url:
        collections = ServerCollections(lambda: connect(url, None), "recallr")
        with pytest.raises(ConfigurationError, match=version):
            await store_on(collections).open()


async def test_a_collection_of_somebody_else_is_refused() -> None:
    client = AsyncQdrantClient(location=":memory:")
    await client.create_collection("recallr-test-model", models.VectorParams(size=4, distance=models.Distance.DOT))
    with pytest.raises(ConfigurationError, match="RECALLR_COLLECTION"):
        await store_on(ServerCollections(lambda: client, "recallr")).open()


def test_the_settings_choose_the_engine(tmp_path: Path) -> None:
    assert isinstance(open_collections(Settings(data_dir=tmp_path, qdrant_url=None)), EdgeCollections)
    assert isinstance(open_collections(Settings(data_dir=tmp_path, qdrant_url="http://127.0.0.1:1")), ServerCollections)
    assert list(tmp_path.iterdir()) == [], "choosing an engine must not touch the disk"


def test_without_a_build_for_the_platform_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    for module in ("edge", "edge_collections"):
        monkeypatch.delitem(sys.modules, f"recallr_litellm.stores.vectors.{module}", raising=False)
    with pytest.raises(PlatformUnsupported, match="RECALLR_QDRANT_URL"):
        open_collections(Settings(qdrant_url=None))


@contextmanager
def serving(status: int, body: dict[str, object]) -> Iterator[str]:
    """A web server that always answers the same; yields its URL."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    retry = "Retry-After: 1\r\n" if status == 429 else ""
    with Listener(answer=f"{head}{retry}\r\n".encode() + content) as server:
        yield f"http://{server.address}"
