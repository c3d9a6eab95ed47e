"""Qdrant's REST API over qdrant-client's own local engine, as a process.

Qdrant's server binary cannot be had where these tests run. This is no fake store: filtering,
scoring, fusion, per-tenant IDF and persistence are those of the engine that the Qdrant project
ships in its client (`QdrantClient(path=…)`, SQLite under it, every write committed before it is
acknowledged). Here is only the wire: request bodies are parsed by Qdrant's own models, results
go out in Qdrant's envelope. So `AsyncQdrantClient` runs its real HTTP path against a process
that can be killed, frozen and restarted.

What it cannot show: speed (the engine scans linearly and serves one request at a time), and
what only the server has (payload indexes are accepted and ignored, as are shards and replicas).

    python -m tests.support.qdrant_server --path /tmp/q --port 6333
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from qdrant_client import QdrantClient, models

from tests.support.listeners import free_port
from tests.support.process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]


class QdrantServer(ServerProcess):
    """The process. `folder` keeps the points over restarts.

    with QdrantServer(tmp_path) as server:
        client = AsyncQdrantClient(url=server.url, check_compatibility=False)
    """

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        """`port`: a free one if not given; kept over restarts."""
        super().__init__(folder, name="qdrant")
        self.port = port or free_port()

    @property
    def url(self) -> str:
        """For `RECALLR_QDRANT_URL`."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        where = ["--path", str(self.folder / "storage"), "--port", str(self.port)]
        return [sys.executable, "-m", "tests.support.qdrant_server", *where]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False, timeout=30.0).is_success
        except httpx.TransportError:
            return False


def build_app(engine: QdrantClient) -> FastAPI:
    """The REST front. Handlers are coroutines that never await: one request at a time reaches the engine."""
    app = FastAPI()

    def existing(name: str) -> str:
        if not engine.collection_exists(name):
            raise HTTPException(404, f"Not found: Collection `{name}` doesn't exist!")
        return name

    Collection = Annotated[str, Depends(existing)]

    @app.exception_handler(HTTPException)
    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValueError)
    async def refuse(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 400
        text = error.detail if isinstance(error, HTTPException) else f"Wrong input: {error}"
        return JSONResponse({"status": {"error": text}, "time": 0.0}, status)

    @app.get("/")
    async def root() -> dict[str, str]:
        return {"title": "qdrant - vector search engine", "version": version("qdrant-client")}

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("healthz check passed")

    @app.get("/collections")
    async def list_collections() -> dict[str, Any]:
        return _done(engine.get_collections())

    @app.get("/aliases")
    async def list_aliases() -> dict[str, Any]:
        return _done(engine.get_aliases())

    @app.post("/collections/aliases")
    async def change_aliases(body: models.ChangeAliasesOperation) -> dict[str, Any]:
        return _done(engine.update_collection_aliases(body.actions))

    @app.get("/collections/{name}/exists")
    async def exists(name: str) -> dict[str, Any]:
        return _done({"exists": engine.collection_exists(name)})

    @app.get("/collections/{name}")
    async def get_collection(name: Collection) -> dict[str, Any]:
        return _done(engine.get_collection(name))

    @app.put("/collections/{name}")
    async def create_collection(name: str, body: models.CreateCollection) -> dict[str, Any]:
        if engine.collection_exists(name):
            raise HTTPException(409, f"Wrong input: Collection `{name}` already exists!")
        created = engine.create_collection(
            name, vectors_config=body.vectors, sparse_vectors_config=body.sparse_vectors, metadata=body.metadata
        )
        return _done(created)

    @app.delete("/collections/{name}")
    async def delete_collection(name: str) -> dict[str, Any]:
        return _done(engine.delete_collection(name))

    @app.put("/collections/{name}/index")
    async def create_index(name: Collection, body: models.CreateFieldIndex) -> dict[str, Any]:
        return _done(engine.create_payload_index(name, body.field_name, body.field_schema))

    @app.put("/collections/{name}/points")
    async def upsert(name: Collection, body: models.PointsList | models.PointsBatch) -> dict[str, Any]:
        points = body.points if isinstance(body, models.PointsList) else body.batch
        return _done(engine.upsert(name, points, update_filter=body.update_filter, update_mode=body.update_mode))

    @app.post("/collections/{name}/points")
    async def retrieve(name: Collection, body: models.PointRequest) -> dict[str, Any]:
        with_payload = True if body.with_payload is None else body.with_payload
        return _done(engine.retrieve(name, body.ids, with_payload, body.with_vector or False))

    @app.post("/collections/{name}/points/delete")
    async def delete(name: Collection, body: models.PointIdsList | models.FilterSelector) -> dict[str, Any]:
        return _done(engine.delete(name, body))

    @app.post("/collections/{name}/points/payload")
    async def set_payload(name: Collection, body: models.SetPayload) -> dict[str, Any]:
        points = body.points if body.points is not None else body.filter
        if points is None:
            raise ValueError("either points or filter must be given")
        return _done(engine.set_payload(name, body.payload, points, key=body.key))

    @app.put("/collections/{name}/points/payload")
    async def overwrite_payload(name: Collection, body: models.SetPayload) -> dict[str, Any]:
        points = body.points if body.points is not None else body.filter
        if points is None:
            raise ValueError("either points or filter must be given")
        return _done(engine.overwrite_payload(name, body.payload, points))

    @app.post("/collections/{name}/points/scroll")
    async def scroll(name: Collection, body: models.ScrollRequest) -> dict[str, Any]:
        points, next_page = engine.scroll(
            name,
            scroll_filter=body.filter,
            limit=10 if body.limit is None else body.limit,
            order_by=body.order_by,
            offset=body.offset,
            with_payload=True if body.with_payload is None else body.with_payload,
            with_vectors=body.with_vector or False,
        )
        return _done(models.ScrollResult(points=points, next_page_offset=next_page))

    @app.post("/collections/{name}/points/count")
    async def count(name: Collection, body: models.CountRequest) -> dict[str, Any]:
        return _done(engine.count(name, count_filter=body.filter))

    @app.post("/collections/{name}/facet")
    async def facet(name: Collection, body: models.FacetRequest) -> dict[str, Any]:
        return _done(engine.facet(name, body.key, body.filter, limit=body.limit or 10))

    @app.post("/collections/{name}/points/query")
    async def query(name: Collection, body: models.QueryRequest) -> dict[str, Any]:
        return _done(engine.query_batch_points(name, [body])[0])

    @app.post("/collections/{name}/points/query/batch")
    async def query_batch(name: Collection, body: models.QueryRequestBatch) -> dict[str, Any]:
        return _done(engine.query_batch_points(name, body.searches))

    return app


def _done(result: Any) -> dict[str, Any]:
    """Qdrant's envelope."""
    return {"result": result, "status": "ok", "time": 0.0}


def main() -> None:
    """Serve until SIGTERM."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--path", required=True)
    arguments.add_argument("--port", type=int, required=True)
    options = arguments.parse_args()
    engine = QdrantClient(path=options.path)
    uvicorn.run(build_app(engine), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
