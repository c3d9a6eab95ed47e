"""`recallr reindex` beside a gateway with embedded stores, which does the work while it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from recallr_litellm.settings import Settings
from tests.conftest import StartProxy
from tests.support.command import Running, recallr
from tests.support.observe import assert_once, edge, embedded_redis_url, owner_of, remembered, wait_until_processed
from tests.support.provider import Answer, Provider
from tests.support.proxy import EMBEDDING_MODEL
from tests.support.stocked import stock
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

OTHER = f"litellm/{EMBEDDING_MODEL}"
PATIENT = {"RECALLR_DEADLINE_MS_BALANCED": "30000", "RECALLR_LEASE_SECONDS": "2"}


def embedded_texts(provider: Provider) -> list[str]:
    """What the provider was asked to embed, in order."""
    return [text for seen in provider.recorded if seen.path == "/v1/embeddings" for text in seen.json["input"]]


@pytest.mark.timeout(600)
def test_a_gateway_embeds_everything_anew_while_it_serves(
    start_proxy: StartProxy, provider: Provider, user: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    before = [f"{user}-{name}" for name in ("ada", "bob")]
    stocked = stock(Settings(data_dir=data, qdrant_url=None), [owner_of(name) for name in before], 100)
    proxy = start_proxy(data_dir=data, settings=PATIENT)
    environment = {"RECALLR_DATA_DIR": str(data)}
    talking = [f"{user}-{number}" for number in range(2)]
    with Traffic(proxy, talking, session_timeout_seconds=1) as traffic:
        traffic.wait_for(4)
        provider.answer(Answer(model=EMBEDDING_MODEL, when=f"Remark 50 of {before[0]}", hang=True, times=1))
        with Running("reindex", "--model", OTHER, folder=tmp_path, environment=environment) as command:
            eventually(lambda: provider.hanging, "the copying is in its middle", timeout=120)
            traffic.wait_for(4)
            print(recallr("reindex", "--status", folder=tmp_path, environment=environment).stdout)
            with traffic.pausing():
                wait_until_processed(embedded_redis_url(proxy))
            provider.release()
            code = command.wait()
            print(command.output)
            assert code == 0, command.output
        traffic.wait_for(4)
    print(recallr("reindex", "--status", folder=tmp_path, environment=environment).stdout)
    assert traffic.broken == []
    assert {said.status for said in traffic.answered} <= {"ok", "empty"}
    wait_until_processed(embedded_redis_url(proxy))

    shown = proxy.ask(before[1], "On which day was remark 77?")
    assert shown.memory_status == "ok"
    assert "Remark 77 of" in provider.last.user_text
    assert "On which day was remark 77?" in embedded_texts(provider), "the question was embedded with the old model"

    proxy.terminate()
    kept = remembered(edge(proxy), [*traffic.owners, *map(owner_of, before)])
    assert_once(kept, expected=[*stocked, *traffic.expected], allowed=traffic.allowed)
    print(proxy.log[-3000:])
