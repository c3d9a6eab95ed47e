"""`recallr reindex` beside real gateways that serve, and with none; stopped, killed, taken up again.

The second model is one of the gateway that the stand-in provider serves, which tells what it was asked to embed and
can be held up in the middle, or a fastembed model out of a cache that the tests have filled.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import bundled
from recallr_litellm.stores.state.board import Board, Progress
from tests.conftest import StartProxy
from tests.faults.test_embedded_faults import reason, refused_start
from tests.support.command import Running, recallr
from tests.support.hub import OTHER_MODEL, fill_cache
from tests.support.observe import (
    assert_once,
    edge,
    embedded_redis_url,
    owner_of,
    remembered,
    server,
    wait_until_processed,
    wait_until_sound,
)
from tests.support.provider import Answer, Provider
from tests.support.proxy import EMBEDDING_MODEL, Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.stocked import stock, town
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

OF_THE_GATEWAY = f"litellm/{EMBEDDING_MODEL}"
PATIENT = {"RECALLR_DEADLINE_MS_BALANCED": "30000", "RECALLR_LEASE_SECONDS": "2"}
MESSAGES = 60
QUESTION = f"What was it like in {town(33)}?"


class Stocked:
    """Two users who said something long ago, in embedded stores of the bundled model."""

    def __init__(self, folder: Path, user: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.users = [f"{user}-ada", f"{user}-bob"]
        self.owners = [owner_of(name) for name in self.users]
        self.texts = stock(Settings(data_dir=self.data, qdrant_url=None), self.owners, MESSAGES)
        self.environment = {"RECALLR_DATA_DIR": str(self.data)}

    def reindex(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        return Running(
            "reindex", *arguments, folder=self.folder, environment={**self.environment, **(environment or {})}
        )

    def status(self) -> str:
        return recallr("reindex", "--status", folder=self.folder, environment=self.environment).stdout


@pytest.fixture
def stocked(tmp_path: Path, user: str) -> Stocked:
    return Stocked(tmp_path, user)


def hold_up(provider: Provider, stocked: Stocked) -> None:
    """Have the provider hang when it is to embed something in the middle of what there is."""
    provider.answer(Answer(model=EMBEDDING_MODEL, when=f"Remark 7 of {stocked.users[1]}", hang=True, times=1))


def wait_until_held_up(provider: Provider, command: Running) -> None:
    eventually(lambda: provider.hanging or command.ended, "the provider is asked for what holds it up", timeout=120)
    assert not command.ended, f"it came to its end, or failed: {command.output}"


def embedded(provider: Provider) -> Counter[str]:
    """How often the provider was asked to embed each text."""
    asked = [seen.json["input"] for seen in provider.recorded if seen.path == "/v1/embeddings"]
    return Counter(text for texts in asked for text in texts)


def was_asked_about(provider: Provider) -> bool:
    """Whether the provider was asked to embed the question, alone or with what was said before it."""
    return any(QUESTION in text for text in embedded(provider))


def progress(redis_url: str) -> Progress | None:
    """How far the last reindex is."""

    async def look() -> Progress | None:
        board = Board.from_url(redis_url, timeout_seconds=20)
        try:
            return await board.progress()
        finally:
            await board.close()

    return asyncio.run(look())


def assert_recalls(proxy: Proxy, provider: Provider, stocked: Stocked) -> None:
    """What was said long ago is found."""
    asked = proxy.ask(stocked.users[1], QUESTION)
    assert asked.memory_status == "ok"
    assert f"Remark 33 of {stocked.users[1]}" in provider.last.user_text
    assert stocked.users[0] not in provider.last.user_text, "another user's memory was shown"


@pytest.mark.timeout(900)
def test_a_gateway_embeds_everything_anew_while_it_serves(
    start_proxy: StartProxy, provider: Provider, user: str, stocked: Stocked, tmp_path: Path
) -> None:
    proxy = start_proxy(data_dir=stocked.data, settings=PATIENT)
    talking = [f"{user}-{number}" for number in range(2)]
    with Traffic(proxy, talking, session_timeout_seconds=1) as traffic:
        traffic.wait_for(4)
        hold_up(provider, stocked)
        with stocked.reindex("--model", OF_THE_GATEWAY) as command:
            wait_until_held_up(provider, command)
            traffic.wait_for(4)
            with traffic.pausing():
                wait_until_processed(embedded_redis_url(proxy))
                assert_recalls(proxy, provider, stocked)
            assert not was_asked_about(provider), "a question met vectors of another model"
            status = stocked.status()
            assert "copying" in status, status
            assert f"reads qdrant with {bundled.NAME}" in status, status
            provider.release()
            assert command.wait(timeout=300) == 0, command.output
        assert f"RECALLR_EMBEDDING_MODEL={OF_THE_GATEWAY}" in command.output, "it is not said what to set"
        traffic.wait_for(4)
    assert traffic.broken == [], "a chat got no answer because of the reindex"
    assert not [said for said in traffic.answered if "embedding" in said.status], "memory was without its model"
    wait_until_processed(embedded_redis_url(proxy), *traffic.owners)
    assert_recalls(proxy, provider, stocked)
    assert was_asked_about(provider), "the question was embedded with the old model"
    status = stocked.status()
    assert "done" in status, status
    assert f"reads qdrant-reindexed-2 with {OF_THE_GATEWAY}" in status, status
    assert not (stocked.data / "qdrant").exists(), "the old collection is still there"

    proxy.terminate()
    kept = remembered(edge(proxy), [*traffic.owners, *stocked.owners])
    assert_once(kept, expected=[*stocked.texts, *traffic.expected], allowed=traffic.allowed)

    log = refused_start(Proxy(tmp_path / "old", provider, data_dir=stocked.data))
    assert f"RECALLR_EMBEDDING_MODEL={OF_THE_GATEWAY}" in reason(log), "the old setting is refused without saying why"
    settings = {**PATIENT, "RECALLR_EMBEDDING_MODEL": OF_THE_GATEWAY}
    again = start_proxy(data_dir=stocked.data, settings=settings)
    wait_until_sound(again)
    assert_recalls(again, provider, stocked)


@pytest.mark.timeout(900)
def test_a_gateway_that_is_killed_goes_on_when_it_is_started_again(
    start_proxy: StartProxy, provider: Provider, stocked: Stocked
) -> None:
    proxy = start_proxy(data_dir=stocked.data, settings=PATIENT)
    hold_up(provider, stocked)
    with stocked.reindex("--model", OF_THE_GATEWAY) as command:
        wait_until_held_up(provider, command)
        other = recallr("reindex", folder=stocked.folder, environment=stocked.environment)
        assert other.returncode == 1, other.stdout
        assert "Another reindex is running (gateway, process" in other.stdout, other.stdout

        proxy.kill()
        proxy.start()
        wait_until_sound(proxy)
        assert command.wait(timeout=300) == 0, command.output
    assert_recalls(proxy, provider, stocked)
    counts = embedded(provider)
    twice = [text for text in stocked.texts if counts[text] > 1]
    assert all(counts[text] for text in stocked.texts), "a text was not embedded"
    assert 0 < len(twice) <= 16, f"besides the portion that was cut off, texts were embedded twice: {twice}"
    proxy.terminate()
    assert_once(remembered(edge(proxy), stocked.owners), expected=stocked.texts)


@pytest.mark.timeout(900)
def test_ctrl_c_stops_the_gateway_s_work_and_the_next_call_goes_on(
    start_proxy: StartProxy, provider: Provider, stocked: Stocked
) -> None:
    proxy = start_proxy(data_dir=stocked.data, settings=PATIENT)
    hold_up(provider, stocked)
    with stocked.reindex("--model", OF_THE_GATEWAY) as command:
        wait_until_held_up(provider, command)
        command.signal(signal.SIGINT)
        assert command.wait() == 130, command.output
        assert "`recallr reindex` goes on from here" in command.output
    status = stocked.status()
    assert "stopped" in status, status
    assert f"reads qdrant with {bundled.NAME}" in status, status
    assert_recalls(proxy, provider, stocked)

    with stocked.reindex("--model", OF_THE_GATEWAY) as command:
        assert command.wait(timeout=300) == 0, command.output
    assert_recalls(proxy, provider, stocked)
    counts = embedded(provider)
    assert len([text for text in stocked.texts if counts[text] > 1]) <= 16, "it began anew"


@pytest.mark.timeout(900)
def test_without_a_gateway_the_command_does_it_itself_and_survives_being_killed(
    start_proxy: StartProxy, provider: Provider, stocked: Stocked, tmp_path: Path
) -> None:
    cache = {"FASTEMBED_CACHE_PATH": str(fill_cache(tmp_path / "models"))}
    (stocked.folder / ".env").write_text(f"RECALLR_EMBEDDING_MODEL={OTHER_MODEL}\n")
    redis_url = f"unix://{stocked.data / 'redis' / 'valkey.sock'}"
    done = 0
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        with stocked.reindex(environment=cache) as command:

            def further(more: int = done) -> bool:
                if not (stocked.data / "redis" / "valkey.sock").exists():
                    return False
                found = progress(redis_url)
                return found is not None and found.embedded > 0 and found.done > more

            eventually(lambda: command.ended or further(), "it has come further", timeout=120)
            assert not command.ended, f"it came to its end, or failed: {command.output}"
            found = progress(redis_url)
            assert found is not None
            done = found.done
            command.signal(number)
            assert command.wait() == code, command.output
    assert "`recallr reindex` goes on from here" in command.output

    settings = {**PATIENT, **cache, "RECALLR_EMBEDDING_MODEL": OTHER_MODEL}
    log = refused_start(Proxy(tmp_path / "new", provider, data_dir=stocked.data, settings=settings))
    assert "recallr reindex" in reason(log), "a gateway with the new model starts before everything is embedded"
    with stocked.reindex(environment=cache) as command:
        assert command.wait(timeout=300) == 0, command.output
    assert f"with vectors of {OTHER_MODEL}" in (status := stocked.status()), status

    proxy = start_proxy(data_dir=stocked.data, settings=settings)
    assert_recalls(proxy, provider, stocked)
    proxy.terminate()
    assert_once(remembered(edge(proxy), stocked.owners), expected=stocked.texts)


@pytest.mark.timeout(900)
def test_on_servers_gateways_follow_and_one_that_cannot_says_so(
    start_proxy: StartProxy, provider: Provider, user: str, tmp_path: Path
) -> None:
    cache = {"FASTEMBED_CACHE_PATH": str(fill_cache(tmp_path / "models"))}
    lacking = {"FASTEMBED_CACHE_PATH": str(tmp_path / "empty"), "HF_HUB_OFFLINE": "1"}
    with RedisServer(tmp_path / "redis") as redis, QdrantServer(tmp_path / "qdrant") as qdrant:
        owners = [owner_of(user)]
        texts = stock(Settings(qdrant_url=qdrant.url), owners, MESSAGES)
        able, unable = (
            start_proxy(redis_url=redis.url, qdrant_url=qdrant.url, settings=PATIENT | models)
            for models in (cache, lacking)
        )
        environment = {"RECALLR_REDIS_URL": redis.url, "RECALLR_QDRANT_URL": qdrant.url, **cache}
        with Traffic(able, [f"{user}-talks"], session_timeout_seconds=1) as traffic:
            traffic.wait_for(2)
            with Running("reindex", "--model", OTHER_MODEL, folder=tmp_path, environment=environment) as command:
                assert command.wait(timeout=600) == 0, command.output
            traffic.wait_for(3)
        assert traffic.broken == []
        assert "Deleted: recallr." in command.output, command.output

        assert able.ask(user, QUESTION).memory_status == "ok"
        assert f"Remark 33 of {user}" in provider.last.user_text
        assert unable.ask(user, "And on day 34?").memory_status == "degraded; reason=embedding", (
            "a gateway without the new model goes on to search with the old one"
        )
        wait_until_processed(redis.url, *traffic.owners)
        kept = remembered(server(qdrant.url), [*owners, *traffic.owners])
        about = ("Remark", "Note", 'You said: "Note')  # the rest are the questions of this test
        kept = [one for one in kept if one.text.startswith(about)]
        assert_once(kept, expected=[*texts, *traffic.expected], allowed=traffic.allowed)
