"""`RECALLR_RERANK_MODEL` in a real gateway: a cross-encoder that works, fails, is too slow, is missing, is none.

It is a small one, laid where fastembed looks for models that it has downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recallr_litellm.cli import app
from tests.conftest import StartProxy
from tests.support.cross_encoder import BROKEN, MODEL, TIRING, lay
from tests.support.memory import SHORT, Memory
from tests.support.observe import faults, log_lines, metric
from tests.support.process import StartFailed
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import Proxy, Reply

CAT, DOG = "My cat is called Felix.", "My dog is called Rex."


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    lay(folder)
    return folder


@pytest.fixture(scope="module")
def reranking(
    running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> Iterator[Proxy]:
    settings = {
        "RECALLR_RERANK_MODEL": MODEL,
        "FASTEMBED_CACHE_PATH": str(cache),
        "HF_HUB_OFFLINE": "1",
        "RECALLR_DEADLINE_MS_BALANCED": "6000",
    }
    with Proxy(tmp_path_factory.mktemp("reranking"), running_provider, settings=settings) as proxy:
        yield proxy


def remember(proxy: Proxy, user: str, *texts: str) -> None:
    """Let the user say this in a session that is over and processed."""
    replies = [proxy.ask(user, text, session_timeout_seconds=20 if text != texts[-1] else SHORT) for text in texts]
    Memory(proxy).wait_processed(user, replies[-1].session_id)


def ask(proxy: Proxy, user: str, question: str, **options: object) -> Reply:
    return proxy.ask(user, question, session_timeout_seconds=30, **options)


@pytest.mark.parametrize("strategy", ["low_latency", "balanced"])
def test_the_best_memories_are_put_in_order(reranking: Proxy, provider: Provider, user: str, strategy: str) -> None:
    remember(reranking, user, CAT, DOG)
    before = metric(reranking, "recallr_reranks_total", outcome="done")
    reply = ask(reranking, user, "What is my dog called?", recall_strategy=strategy)
    assert reply.memory_status == "ok"
    assert CAT in provider.last.user_text
    assert DOG in provider.last.user_text
    assert metric(reranking, "recallr_reranks_total", outcome="done") == before + 1
    assert faults(reranking) == {}


def test_where_it_fails_the_recall_is_the_one_without_it(reranking: Proxy, provider: Provider, user: str) -> None:
    remember(reranking, user, CAT, f"Last summer we saw a {BROKEN}.")
    reply = ask(reranking, user, "What is my cat called?")
    assert reply.memory_status == "degraded; reason=embedding"
    assert CAT in provider.last.user_text
    assert metric(reranking, "recallr_reranks_total", outcome="failed") >= 1
    [line] = log_lines(reranking.folder, f"Request {reply.headers['x-recallr-request-id']} ")
    assert BROKEN not in line, "what the user said is in the log"


def test_where_it_takes_too_long_the_recall_is_the_one_without_it(
    reranking: Proxy, provider: Provider, user: str
) -> None:
    # The last with this gateway: its cross-encoder is busy from here on.
    remember(reranking, user, CAT, f"Last winter we climbed a {TIRING}.")
    reply = ask(reranking, user, "What is my cat called?")
    assert reply.memory_status == "degraded; reason=timeout"
    assert CAT in provider.last.user_text
    assert metric(reranking, "recallr_reranks_total", outcome="timeout") >= 1


def test_one_that_cannot_be_had_now_stops_neither_the_start_nor_a_request(
    start_proxy: StartProxy, provider: Provider, user: str, tmp_path: Path
) -> None:
    settings = {"RECALLR_RERANK_MODEL": MODEL, "FASTEMBED_CACHE_PATH": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    proxy = start_proxy(settings=settings)
    remember(proxy, user, CAT, DOG)
    assert ask(proxy, user, "What is my cat called?").memory_status == "degraded; reason=embedding"
    assert CAT in provider.last.user_text
    assert faults(proxy) == {"reranker": "RerankerUnavailable"}
    assert metric(proxy, "recallr_store_up", store="reranker") == 0


def test_a_model_that_there_is_not_stops_the_start(provider: Provider, tmp_path: Path) -> None:
    proxy = Proxy(tmp_path, provider, settings={"RECALLR_RERANK_MODEL": "ms-marco-MiniLM"})
    try:
        with pytest.raises(StartFailed, match="ended with"):
            proxy.start()
        assert "RECALLR_RERANK_MODEL=ms-marco-MiniLM is not a cross-encoder of fastembed" in proxy.log
        assert "list_supported_models" in proxy.log, "it is not said how to list those that there are"
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    ("model", "laid", "line"),
    [
        (MODEL, True, f"ok       Reranker: {MODEL}"),
        (MODEL, False, f"fault    Reranker: {MODEL}: the model {MODEL} is not in"),
        ("no/such", True, "fault    Reranker: no/such: RECALLR_RERANK_MODEL=no/such is not a cross-encoder"),
        ("", True, ""),
    ],
)
def test_the_doctor_tries_it(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path, model: str, laid: bool, line: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("RECALLR_RERANK_MODEL", model)
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(cache if laid else tmp_path))
    result = CliRunner().invoke(app, ["doctor"])
    assert isinstance(result.exception, SystemExit | None), f"the doctor crashed: {result.exception!r}"
    found = [text for text in result.output.splitlines() if "Reranker:" in text]
    assert (found[0] if found else "").startswith(line), result.output
    assert bool(found) == bool(line)
    assert result.exit_code == int(line.startswith("fault")), result.output
