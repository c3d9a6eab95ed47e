"""Checks of `recallr doctor` that open something: the embedding model, Redis, Qdrant."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from packaging.version import Version
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from recallr_litellm.cli.check_result import CheckResult, Level, fault, ok, warning
from recallr_litellm.errors import ConfigurationError, DataDirInUse, EmbeddingMismatch, RecallrError
from recallr_litellm.reconify.outbox import Outbox
from recallr_litellm.reconify.settings import is_loopback, load_reconify_settings
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import Embedder, open_embedder
from recallr_litellm.stores.state import EmbeddedValkey, StateStore, connect
from recallr_litellm.stores.state.keys import BUCKETS
from recallr_litellm.stores.state.url import RedisUrl
from recallr_litellm.stores.vectors import open_collections
from recallr_litellm.stores.vectors.collections import collection_for, current_of
from recallr_litellm.stores.vectors.server import _OLDEST as OLDEST_QDRANT
from recallr_litellm.stores.vectors.server import connect as connect_qdrant

_log = logging.getLogger(__name__)

OLDEST_REDIS = Version("6.2")

ANSWER_SECONDS = 5
"""Timeout of one answer of a store."""

_EMBEDDING = "Embedding model"
_REDIS, _ACCESS, _SESSIONS, _QDRANT = "Redis", "Redis access", "Failed sessions", "Qdrant"
_LEFT_TO_THE_GATEWAY = "in use by the running gateway, not opened"
_ASK_THE_GATEWAY = "Ask the gateway itself: GET /recallr/health/ready"


async def store_checks(settings: Settings) -> AsyncIterator[CheckResult]:
    """The models of the process, Redis, Qdrant: opened as a gateway does at its start, and closed again.

    Embedded stores that do not exist yet are tried in a temporary folder.
    """
    embedder = open_embedder(settings, _no_gateway)
    try:
        embedding = await check_embedding(settings, embedder)
        yield embedding
        model = embedder if embedding.level is Level.OK else None
        with ExitStack() as closing:
            opened = _opened(settings, closing)
            redis = check_server(settings) if settings.redis_url else check_embedded_valkey(settings, opened)
            for finding in await redis:
                yield finding
            yield (
                await check_qdrant(settings, model)
                if settings.qdrant_url
                else await check_embedded_qdrant(opened, model)
            )
    finally:
        await embedder.close()


async def check_embedding(settings: Settings, embedder: Embedder) -> CheckResult:
    """Whether the model loads and embeds."""
    if (settings.embedding_model or "").startswith("litellm/"):
        detail = f"{embedder.name} belongs to the gateway, which is not asked from here"
        return warning(_EMBEDDING, detail, f"After its start: {_ASK_THE_GATEWAY}")
    try:
        await embedder.open()
        await embedder.query("Does it embed?", project="")
    except RecallrError as error:
        advice = "Correct RECALLR_EMBEDDING_MODEL, or unset it: the bundled model needs no download"
        return fault(_EMBEDDING, f"{embedder.name}: {error}", advice)
    return ok(_EMBEDDING, f"{embedder.name}, {embedder.dimension} dimensions")


async def check_server(settings: Settings) -> list[CheckResult]:
    """The configured Redis and, where it answers, the sessions in it."""
    assert settings.redis_url is not None
    server = await check_redis(settings)
    if server.level is Level.FAULT:
        return [server]
    url = settings.redis_url.get_secret_value()
    exposed = check_redis_access(RedisUrl.parse(url))
    outbox = await check_outbox(url)
    return [server, *(found for found in (exposed, outbox) if found), await check_failed_sessions(url)]


def check_redis_access(url: RedisUrl) -> CheckResult | None:
    """Whether Redis, which holds what users said, is reached over a network without a password or without TLS."""
    if all(is_loopback(host) for host, _ in url.nodes):  # or by a Unix socket
        return None
    known = "password" in url.options or "ssl_certfile" in url.options
    lacks = " and ".join(["a password"] * (not known) + ["TLS"] * (not url.tls))
    if not lacks:
        return None
    detail = f"{url.address} is reached without {lacks}: whoever is on that network may read what users said"
    return warning(_ACCESS, detail, "Use rediss://:PASSWORD@HOST:PORT, or keep the network private")


async def check_outbox(url: str) -> CheckResult | None:
    """Whether Redis has the memory that payloads for Reconify may take by the settings."""
    try:
        settings = load_reconify_settings()
    except ConfigurationError:  # `check_reconify` says so
        return None
    if not settings.enabled:
        return None
    outbox = Outbox.open(url, settings, timeout_seconds=ANSWER_SECONDS)
    try:
        room = await outbox.room() * BUCKETS // 1024**2
    finally:
        await outbox.close()
    if room >= settings.max_queued_mb:
        return None
    detail = f"maxmemory leaves payloads for Reconify {room} MB of the {settings.max_queued_mb} that the settings allow"
    advice = "Raise maxmemory, or lower RECONIFY_MAX_QUEUED_MB: payloads that do not fit while it is down are dropped"
    return warning("Redis memory", detail, advice)


async def check_failed_sessions(url: str) -> CheckResult:
    """Whether sessions are set aside in this Redis."""
    store = StateStore.from_url(url, timeout_seconds=ANSWER_SECONDS)
    try:
        failed = (await store.depth())["failed"]
    except RecallrError as error:
        return warning(_SESSIONS, f"not counted: {error}", "See `recallr failed`")
    finally:
        await store.close()
    if failed:
        detail = f"{failed} could not be made memory and are set aside, messages kept"
        return warning(_SESSIONS, detail, "`recallr failed` says why, `recallr failed --retry` tries again")
    return ok(_SESSIONS, "none")


async def check_redis(settings: Settings) -> CheckResult:
    """Whether the configured Redis answers, takes writes, is recent enough, and neither forgets nor evicts."""
    assert settings.redis_url is not None
    try:
        link = connect(settings.redis_url.get_secret_value(), timeout_seconds=ANSWER_SECONDS)
    except ConfigurationError as error:
        return fault(_REDIS, str(error), "Correct RECALLR_REDIS_URL")
    try:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            answer = await link.client.info(**_OF_EACH_PRIMARY if isinstance(link.client, RedisCluster) else {})
            await StateStore(link, timeout_seconds=ANSWER_SECONDS).probe()
    except RecallrError as error:
        advice = "Give it memory, disk space or a primary that takes writes; its own log says what is wrong"
        return fault(_REDIS, f"It answers but takes no writes: {error}", advice)
    except (RedisError, OSError) as error:
        detail = f"{link.address}: {type(error).__name__}: {str(error) or 'no answer'}"
        return fault(_REDIS, detail, "Start it, or correct RECALLR_REDIS_URL")
    finally:
        await link.close()
    nodes: Mapping[str, Mapping[str, Any]] = {link.address: answer} if "redis_version" in answer else answer
    # The worst of them all, so that the first sentence read is the one to act on.
    return max((judge_redis(name, node) for name, node in nodes.items()), key=lambda found: _BADNESS[found.level])


_OF_EACH_PRIMARY: Mapping[str, Any] = {"target_nodes": RedisCluster.PRIMARIES}
_BADNESS = {Level.OK: 0, Level.WARNING: 1, Level.FAULT: 2}


def judge_redis(name: str, info: Mapping[str, Any]) -> CheckResult:
    """What one server's answer to INFO says.

    Args:
        name: of the server, for the reader.
        info: the answer, as redis-py parses it.
    """
    version = Version(str(info["redis_version"]))
    where = f"{name}, version {version}"
    if version < OLDEST_REDIS:
        return fault(_REDIS, where, f"Use Redis {OLDEST_REDIS} or later, or Valkey")
    if (policy := info.get("maxmemory_policy")) != "noeviction":
        return CheckResult(
            _REDIS,
            Level.FAULT if info.get("maxmemory") else Level.WARNING,
            f"{where}: maxmemory-policy is {policy}, so sessions can be evicted before they are memory",
            "Set `maxmemory-policy noeviction`",
        )
    if not info.get("aof_enabled"):
        return warning(
            _REDIS, f"{where}: no append-only file, so its restart loses what is not yet memory", "Set `appendonly yes`"
        )
    return ok(_REDIS, f"{where}, append-only file, noeviction")


async def check_embedded_valkey(settings: Settings, opened: Settings | None) -> list[CheckResult]:
    """Whether the embedded server starts on its data or, where a gateway has it, runs; and the sessions in it."""
    server = EmbeddedValkey((opened or settings).valkey_dir)
    try:
        if opened is None:
            found = ok(_REDIS, f"embedded, {_LEFT_TO_THE_GATEWAY}")
            url = await asyncio.to_thread(server.running_url)
        else:
            found = ok(_REDIS, "embedded, starts and stops; for one worker")
            url = await asyncio.to_thread(server.start)
        return [found, await check_failed_sessions(url)] if url else [found]
    except RecallrError as error:
        return [fault(_REDIS, f"embedded: {error}", "Or use a server: RECALLR_REDIS_URL")]
    finally:
        await asyncio.to_thread(server.stop)


async def check_qdrant(settings: Settings, embedder: Embedder | None) -> CheckResult:
    """Whether the configured Qdrant answers, is recent enough, and was filled with this embedding model."""
    assert settings.qdrant_url is not None
    where = settings.qdrant_url
    try:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            version, collection = await _ask_qdrant(settings)
    except Exception as error:  # noqa: BLE001  # httpx's, urllib3's and qdrant-client's have no common base
        detail = f"{where}: {type(error).__name__}: {str(error) or 'no answer'}"
        return fault(_QDRANT, detail, "Start it, or correct RECALLR_QDRANT_URL or …_API_KEY")
    where = f"{where}, version {version}"
    if version.release < OLDEST_QDRANT:
        return fault(_QDRANT, where, f"Use Qdrant {'.'.join(map(str, OLDEST_QDRANT))} or later")
    if collection is None:
        return ok(_QDRANT, f"{where}; the first start makes a collection")
    return await _check_collection(settings, embedder, f"{where}, collection {collection!r}")


async def _ask_qdrant(settings: Settings) -> tuple[Version, str | None]:
    """Its version, and the name of the current collection if there is one."""
    assert settings.qdrant_url is not None
    client = connect_qdrant(settings.qdrant_url, settings.qdrant_api_key)
    collections = open_collections(settings)
    try:
        version, current = Version((await client.info()).version), await current_of(collections)
        return version, current.name if current else None
    finally:
        await collections.close()
        await client.close()


async def check_embedded_qdrant(settings: Settings | None, embedder: Embedder | None) -> CheckResult:
    """Whether the embedded engine opens on its data, and whether that was made with this embedding model."""
    if settings is None:
        return ok(_QDRANT, f"embedded, {_LEFT_TO_THE_GATEWAY}")
    return await _check_collection(settings, embedder, "embedded, for one worker")


async def _check_collection(settings: Settings, embedder: Embedder | None, where: str) -> CheckResult:
    if embedder is None:
        detail = f"{where}; without the embedding model its contents were not looked at"
        return warning(_QDRANT, detail, f"After the gateway's start: {_ASK_THE_GATEWAY}")
    try:
        collections = open_collections(settings)
        try:
            await collection_for(collections, embedder.name)
        finally:
            await collections.close()
    except EmbeddingMismatch as error:
        return fault(_QDRANT, f"{where}: {error}", "`recallr reindex`, or set RECALLR_EMBEDDING_MODEL back")
    except RecallrError as error:
        return fault(_QDRANT, f"{where}: {error}", "Or use another server: RECALLR_QDRANT_URL")
    return ok(_QDRANT, f"{where}, for vectors of {embedder.name}")


def _opened(settings: Settings, closing: ExitStack) -> Settings | None:
    """Settings whose data folder is ours until `closing` is closed; None when a gateway has it."""
    if settings.data_dir.exists():
        try:
            closing.enter_context(DataDir(settings.data_dir))
        except DataDirInUse:
            return None
        except ConfigurationError as error:
            _log.debug("`check_data_dir` has reported it: %s", error)
        else:
            return settings
    folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="recallr-doctor-"))
    return settings.model_copy(update={"data_dir": Path(folder)})


async def _no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise RuntimeError(f"{model} can only be asked by a running gateway")
