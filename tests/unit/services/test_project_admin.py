"""Projects and keys: made, listed, revoked, and known to every worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recallr_litellm.errors import (
    InvalidProject,
    KeyIsConfigured,
    KeyNotFound,
    ProjectExists,
    ProjectNotFound,
    StateUnavailable,
    Unauthorized,
    VectorsUnavailable,
)
from recallr_litellm.projects import Projects
from recallr_litellm.services.known_projects import KnownProjects
from recallr_litellm.services.projects import ProjectAdmin
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from tests.unit.stores.vectors.vector_samples import DIMENSION, MODEL, Model

NOW = 1_790_000_000_000


@dataclass
class SharedState:
    """What of Redis the workers share."""

    version: int = 0
    uses: dict[str, int] = field(default_factory=dict)
    reachable: bool = True
    noted: int = 0

    async def projects_version(self) -> str:
        self._require()
        return str(self.version)

    async def projects_changed(self) -> None:
        self._require()
        self.version += 1

    async def keys_used(self, ids: set[str], at: int) -> None:
        self._require()
        self.noted += 1
        self.uses |= dict.fromkeys(ids, at)

    async def last_uses(self) -> dict[str, int]:
        self._require()
        return self.uses

    def _require(self) -> None:
        if not self.reachable:
            raise StateUnavailable("away")


class Worker:
    """A worker on stores that it shares with others. Its clock stands until it is set."""

    def __init__(self, vectors: VectorStore, state: SharedState) -> None:
        self.now = NOW
        self.projects = Projects({"default": ["configured"]}, min_session_timeout_seconds=600, recorded=None)
        self.known = KnownProjects(self.projects, vectors, state, clock=lambda: self.now)  # type: ignore[arg-type]
        self.admin = ProjectAdmin(
            self.projects,
            self.known,
            vectors,
            state,  # type: ignore[arg-type]
            min_session_timeout_seconds=600,
            clock=lambda: self.now,
        )

    def accepts(self, project: str, key: str) -> bool:
        try:
            self.projects.authenticate(project, key)
        except Unauthorized:
            return False
        return True


@pytest.fixture
async def vectors(tmp_path: Path) -> AsyncIterator[VectorStore]:
    store = VectorStore(EdgeCollections(tmp_path / "qdrant"), Model(MODEL, DIMENSION))  # type: ignore[arg-type]
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def state() -> SharedState:
    return SharedState()


@pytest.fixture
async def worker(vectors: VectorStore, state: SharedState) -> Worker:
    worker = Worker(vectors, state)
    await worker.known.follow()
    return worker


async def test_a_key_is_valid_at_once_and_void_at_once(worker: Worker) -> None:
    await worker.admin.create("acme")
    key, secret = await worker.admin.create_key("acme", "laptop")
    assert secret.startswith("rai_")
    assert worker.accepts("acme", secret)
    assert not worker.accepts("default", secret)
    revoked = await worker.admin.revoke_key("acme", key.id)
    assert revoked.revoked_at == NOW
    assert not worker.accepts("acme", secret)
    worker.now += 1000
    assert await worker.admin.revoke_key("acme", key.id) == revoked, "a key is revoked once"


async def test_nothing_that_is_stored_opens_a_project(worker: Worker, vectors: VectorStore) -> None:
    _, secret = await worker.admin.create_key("default", "laptop")
    [record] = await vectors.keys()
    assert secret.removeprefix("rai_") not in record.model_dump_json()
    assert not any(worker.accepts("default", value) for value in (record.digest, record.id))


async def test_another_worker_follows_each_change(worker: Worker, vectors: VectorStore, state: SharedState) -> None:
    other = Worker(vectors, state)
    await other.known.follow()
    await worker.admin.create("acme", {"retention_days": 7})
    key, secret = await worker.admin.create_key("acme", "laptop")
    await other.known.follow()
    assert other.accepts("acme", secret)
    assert other.projects.retention_days("acme") == 7
    await worker.admin.revoke_key("acme", key.id)
    await other.known.follow()
    assert not other.accepts("acme", secret)


async def test_a_change_of_which_redis_says_nothing_is_seen_within_a_minute(
    worker: Worker, vectors: VectorStore, state: SharedState
) -> None:
    other = Worker(vectors, state)
    await other.known.follow()
    state.reachable = False
    key, secret = await worker.admin.create_key("default", "laptop")
    await other.known.follow()
    assert not other.accepts("default", secret), "the test shows nothing: all is read each time"
    other.now += 60_000
    await other.known.follow()
    assert other.accepts("default", secret)
    assert (await worker.admin.revoke_key("default", key.id)).revoked_at, "Redis keeps somebody from revoking a key"


async def test_what_was_read_last_stays_known_in_an_outage(
    worker: Worker, vectors: VectorStore, state: SharedState, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await worker.admin.create_key("default", "laptop")
    await worker.known.follow()

    async def away() -> list[object]:
        raise VectorsUnavailable("away")

    monkeypatch.setattr(vectors, "keys", away)
    state.version += 1  # another worker has revoked the key
    await worker.known.follow()
    assert worker.accepts("default", secret)
    monkeypatch.undo()
    [record] = await vectors.keys()
    await vectors.put_key(record.model_copy(update={"revoked_at": NOW}))
    await worker.known.follow()
    assert not worker.accepts("default", secret), "a change that could not be read is not read later"


async def test_the_use_of_a_key_is_noted_once_a_minute(worker: Worker, state: SharedState) -> None:
    key, secret = await worker.admin.create_key("default", "laptop")
    for _ in range(3):
        worker.accepts("default", secret)
        await worker.known.follow()
    [_, listed] = await worker.admin.list_keys("default")
    assert (listed.id, listed.last_used_at, state.noted) == (key.id, NOW, 1)
    worker.now += 60_000
    worker.accepts("default", secret)
    await worker.known.follow()
    assert state.uses[key.id] == NOW + 60_000


async def test_projects_and_keys_of_the_environment_are_listed_and_cannot_be_revoked(worker: Worker) -> None:
    await worker.admin.create("acme")
    assert [(one.id, one.configured, one.keys) for one in await worker.admin.list()] == [
        ("acme", False, 0),
        ("default", True, 1),
    ]
    [key] = await worker.admin.list_keys("default")
    with pytest.raises(KeyIsConfigured, match="RECALLR_PROJECTS"):
        await worker.admin.revoke_key("default", key.id)
    assert worker.accepts("default", "configured")


async def test_settings_are_changed_one_by_one(worker: Worker) -> None:
    await worker.admin.create("acme", {"defaults": {"X-Recallr-Timezone": "Asia/Tokyo"}, "retention_days": 7})
    changed = await worker.admin.update("acme", {"retention_days": None, "requests_per_minute": 5})
    assert changed.settings.defaults == {"timezone": "Asia/Tokyo"}
    assert (changed.settings.retention_days, changed.settings.requests_per_minute) == (None, 5)
    await worker.admin.update("default", {"agentic": False})
    assert not worker.projects.may_use_agentic("default"), "a configured project can have no settings"


@pytest.mark.parametrize(
    ("defaults", "said"),
    [
        ({"timezone": "Mars/Olympus"}, "X-Recallr-Timezone"),
        ({"session_timeout_seconds": 10}, "600"),
        ({"session_id": "0" * 32}, "no header that can have a default"),
        ({"min_top_k": 60}, "X-Recallr-Min-Top-K"),
    ],
)
async def test_defaults_follow_the_rules_of_the_headers(worker: Worker, defaults: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidProject, match=said):
        await worker.admin.create("acme", {"defaults": defaults})
    assert [one.id for one in await worker.admin.list()] == ["default"]


async def test_what_is_not_there_is_not_found_and_what_is_there_is_not_made_again(worker: Worker) -> None:
    await worker.admin.create("acme")
    key, _ = await worker.admin.create_key("acme", "laptop")
    for name in ("acme", "default"):
        with pytest.raises(ProjectExists):
            await worker.admin.create(name)
    for call in (worker.admin.get, worker.admin.list_keys):
        with pytest.raises(ProjectNotFound):
            await call("globex")
    with pytest.raises(KeyNotFound):
        await worker.admin.revoke_key("default", key.id)
    for name in ("", " acme", "a/b", "ä", "a" * 129):
        with pytest.raises(InvalidProject, match="project_id"):
            await worker.admin.create(name)
    with pytest.raises(InvalidProject, match="name"):
        await worker.admin.create_key("acme", "\n")
