"""For tests of what stands on the stores, not of the stores: these open at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import hypothesis
import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client.embed import type_inspector

from recallr_litellm.stores.embedding import bundled
from recallr_litellm.stores.vectors import edge_collections
from recallr_litellm.stores.vectors.server_collections import ServerCollections

# The same examples in every run, and none that fails for being slow: `--hypothesis-profile=default` looks for new ones.
hypothesis.settings.register_profile(
    "dependable", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("dependable")

# Each client makes one, of schemas that are always the same: a hundredth of a second, a thousand times.
type_inspector.ModelSchemaParser = cache(type_inspector.ModelSchemaParser)  # type: ignore[misc,assignment]

_load_once = cache(bundled.load)


class InMemory(ServerCollections):
    """Collections in qdrant-client's memory, gone once they are closed. The tests of the vector store run on it too."""

    def __init__(self, _folder: Path) -> None:
        super().__init__(lambda: AsyncQdrantClient(location=":memory:"), "recallr")

    async def suspend(self) -> None:
        """Nothing in it belongs to an event loop."""


@pytest.fixture
def quick_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the embedded Qdrant one in memory, and one copy of the bundled model for all tests: to make, write
    and remove files takes each test a second. A test marked `embedded` has the embedded one.
    """
    monkeypatch.setattr(bundled, "load", _load_once)
    if request.node.get_closest_marker("embedded") is None:
        monkeypatch.setattr(edge_collections, "EdgeCollections", InMemory)
