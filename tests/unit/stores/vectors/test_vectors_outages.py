"""What concerns everybody is an outage of Qdrant; what concerns one point or query is not."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from recallr_litellm.errors import RecallrError, VectorsRefused, VectorsUnavailable
from recallr_litellm.stores.vectors.edge import EdgeEngine
from recallr_litellm.stores.vectors.engine import Point
from recallr_litellm.stores.vectors.server import translated

ID = "7f0c7a5e-0000-4000-8000-000000000001"


def answered(status: int) -> UnexpectedResponse:
    return UnexpectedResponse(status, "", b"", httpx.Headers())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((answered(status), VectorsRefused) for status in (400, 409, 413, 422)),
        *((answered(status), VectorsUnavailable) for status in (401, 403, 404, 408, 500, 503, 507)),
        (ResourceExhaustedResponse("too many requests", 1), VectorsUnavailable),
        (ResponseHandlingException(ConnectionRefusedError()), VectorsUnavailable),
    ],
    ids=lambda value: str(getattr(value, "status_code", "")) or None,
)
async def test_a_server_refuses_one_call_or_everybody(error: Exception, expected: type[RecallrError]) -> None:
    with pytest.raises(RecallrError, match="could not write") as raised:
        async with translated("write"):
            raise error
    assert type(raised.value) is expected


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeEngine]:
    engine = EdgeEngine(tmp_path / "qdrant")
    await engine.open(4)
    yield engine
    await engine.close()


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """Nothing can be appended to a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("damaged", [Point(ID, {}, dense=np.ones(3, np.float32)), Point(ID, {"text": "\ud83d"})])
async def test_the_embedded_engine_refuses_one_point(edge: EdgeEngine, damaged: Point) -> None:
    with pytest.raises(VectorsRefused):
        await edge.upsert([damaged])
    await edge.upsert([Point(ID, {"text": "sound"}, dense=np.ones(4, np.float32))])


async def test_a_full_disk_is_an_outage_of_the_embedded_engine(edge: EdgeEngine) -> None:
    with no_room(), pytest.raises(VectorsUnavailable):
        await edge.upsert([Point(ID, {"text": "x" * 50_000_000})])  # more than the file that is kept ready
