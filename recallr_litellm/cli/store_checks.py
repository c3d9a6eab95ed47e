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
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.errors import ConfigurationError, DataDirInUse, RecallrError
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.settings import Settings
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import GATEWAY_PREFIX, Embedder, open_embedder
from recallr_litellm.stores.state import EmbeddedValkey, StateStore, connect
from recallr_litellm.stores.state.connection import Link
from recallr_litellm.stores.state.keys import BUCKETS, RECONIFY
from recallr_litellm.stores.state.url import RedisUrl
from recallr_litellm.stores.vectors import open_collections
from recallr_litellm.stores.vectors.collections import collection_for
from recallr_litellm.upstream_urls import is_loopback

_log = logging.getLogger(__name__)

OLDEST_REDIS = Version("6.2")

ANSWER_SECONDS = 5
"""Timeout of one answer of a store."""

_EMBEDDING = "Embedding model"
_REDIS, _QDRANT = "Redis", "Qdrant"
_LEFT_TO_THE_GATEWAY = "embedded, in use by the running gateway, not opened"
_ASK_THE_GATEWAY = "Ask the gateway itself: GET /recallr/health/ready"


async def store_checks(settings: Settings) -> AsyncIterator[CheckResult]:
    """The embedding model, Redis, Qdrant: opened as a gateway does at its start, and closed again.

    Embedded stores that do not exist yet are tried in a temporary folder.
    """
    embedder = open_embedder(settings, _no_gateway)
    try:
        yield await check_embedding(settings, embedder)
        with ExitStack() as closing:
            opened = _opened(settings, closing)
            redis = check_redis(settings) if settings.redis_url else check_embedded_valkey(settings, opened)
            for found in await redis:
                yield found
            if settings.qdrant_url is None and opened is None:
                yield ok(_QDRANT, _LEFT_TO_THE_GATEWAY)
            else:
                yield await check_qdrant(opened or settings, embedder.name)
    finally:
        await embedder.close()


async def check_embedding(settings: Settings, embedder: Embedder) -> CheckResult:
    """Whether the model loads and embeds."""
    if (settings.embedding_model or "").startswith(GATEWAY_PREFIX):
        detail = f"{embedder.name} belongs to the gateway, which is not asked from here"
        return warning(_EMBEDDING, detail, f"After its start: {_ASK_THE_GATEWAY}")
    try:
        await embedder.open()
        await embedder.query("Does it embed?", project="")
    except RecallrError as error:
        advice = "Correct RECALLR_EMBEDDING_MODEL, or unset it: the bundled model needs no download"
        return fault(_EMBEDDING, f"{embedder.name}: {error}", advice)
    return ok(_EMBEDDING, f"{embedder.name}, {embedder.dimension} dimensions")


async def check_redis(settings: Settings) -> list[CheckResult]:
    """Whether the configured Redis answers, takes writes, is recent enough, and neither forgets nor evicts."""
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    try:
        link = connect(url, timeout_seconds=ANSWER_SECONDS)
    except ConfigurationError as error:
        return [fault(_REDIS, str(error), "Correct RECALLR_REDIS_URL")]
    try:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            answer = await link.client.info(**_OF_EACH_PRIMARY if isinstance(link.client, RedisCluster) else {})
            await StateStore(link, timeout_seconds=ANSWER_SECONDS).probe()
        nodes: Mapping[str, Mapping[str, Any]] = {link.address: answer} if "redis_version" in answer else answer
        # The worst of them all, so that the first sentence read is the one to act on.
        worst = max((judge_redis(name, node) for name, node in nodes.items()), key=lambda found: _BADNESS[found.level])
        return [worst, *check_redis_access(RedisUrl.parse(url)), *await check_contents(link)]
    except RecallrError as error:
        advice = "Give it memory, disk space or a primary that takes writes; its own log says what is wrong"
        return [fault(_REDIS, f"It answers but takes no writes: {error}", advice)]
    except (RedisError, OSError) as error:
        detail = f"{link.address}: {type(error).__name__}: {str(error) or 'no answer'}"
        return [fault(_REDIS, detail, "Start it, or correct RECALLR_REDIS_URL")]
    finally:
        await link.close()


_OF_EACH_PRIMARY: Mapping[str, Any] = {"target_nodes": RedisCluster.PRIMARIES}
_BADNESS = {Level.OK: 0, Level.WARNING: 1, Level.FAULT: 2}


def judge_redis(name: str, info: Mapping[str, Any]) -> CheckResult:
    """What one server's answer to INFO, as redis-py parses it, says."""
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


def check_redis_access(url: RedisUrl) -> list[CheckResult]:
    """Whether Redis, which holds what users said, is reached over a network without a password or without TLS."""
    if all(is_loopback(host) for host, _ in url.nodes):  # or by a Unix socket
        return []
    known = "password" in url.options or "ssl_certfile" in url.options
    lacks = " and ".join(["a password"] * (not known) + ["TLS"] * (not url.tls))
    if not lacks:
        return []
    detail = f"{url.address} is reached without {lacks}: whoever is on that network may read what users said"
    return [warning("Redis access", detail, "Use rediss://:PASSWORD@HOST:PORT, or keep the network private")]


async def check_contents(link: Link) -> list[CheckResult]:
    """Whether Redis has room for Reconify's payloads, and whether sessions are set aside in it."""
    found: list[CheckResult] = []
    try:
        reconify = load_reconify_settings()
    except ConfigurationError:  # `check_reconify` reports it
        reconify = None
    if reconify is not None and reconify.enabled:
        room = await Outbox(link, RECONIFY, reconify.limits, timeout_seconds=ANSWER_SECONDS).room() * BUCKETS // 1024**2
        if room < reconify.max_queued_mb:
            detail = f"maxmemory leaves Reconify's payloads {room} MB of the {reconify.max_queued_mb} that are allowed"
            advice = "Raise maxmemory or lower RECONIFY_MAX_QUEUED_MB: what does not fit while it is down is dropped"
            found.append(warning("Redis memory", detail, advice))
    failed = (await StateStore(link, timeout_seconds=ANSWER_SECONDS).depth())["failed"]
    if failed:
        detail = f"{failed} could not be made memory and are set aside, messages kept"
        advice = "`recallr failed` says why, `recallr failed --retry` tries again"
        found.append(warning("Failed sessions", detail, advice))
    else:
        found.append(ok("Failed sessions", "none"))
    return found


async def check_embedded_valkey(settings: Settings, opened: Settings | None) -> list[CheckResult]:
    """Whether the embedded server starts on its data or, where a gateway has it, runs; and what is in it."""
    server = EmbeddedValkey((opened or settings).valkey_dir)
    try:
        url = await asyncio.to_thread(server.start if opened else server.running_url)
        found = ok(_REDIS, "embedded, starts and stops; for one worker" if opened else _LEFT_TO_THE_GATEWAY)
        if url is None:
            return [found]
        link = connect(url, timeout_seconds=ANSWER_SECONDS)
        try:
            return [found, *await check_contents(link)]
        finally:
            await link.close()
    except RecallrError as error:
        return [fault(_REDIS, f"embedded: {error}", "Or use a server: RECALLR_REDIS_URL")]
    finally:
        await asyncio.to_thread(server.stop)


async def check_qdrant(settings: Settings, model: str) -> CheckResult:
    """Whether Qdrant answers or opens, is recent enough, and was filled with this embedding model."""
    where = settings.qdrant_url or "embedded, for one worker"
    collections = open_collections(settings)
    try:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            name = await collection_for(collections, model)
            there = name in await collections.names()
    except (RecallrError, TimeoutError) as error:
        advice = "Do what this says; or is RECALLR_QDRANT_URL, or …_API_KEY, wrong?"
        return fault(_QDRANT, f"{where}: {str(error) or 'no answer'}", advice)
    finally:
        await collections.close()
    return ok(_QDRANT, f"{where}; " + (f"collection {name!r}" if there else "the first start makes a collection"))


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
