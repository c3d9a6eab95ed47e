"""`RECALLR_EMBEDDING_MODEL=litellm/<model>`: a model of the gateway embeds memory, and no logger listens in."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.conftest import StartProxy
from tests.support.memory import SHORT, Memory
from tests.support.provider import Provider
from tests.support.proxy import EMBEDDING_MODEL
from tests.support.waiting import eventually

LISTENER = """
from litellm.integrations.custom_logger import CustomLogger

class Listener(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        with open(__file__ + ".heard", "a") as heard:
            heard.write(f"{kwargs.get('call_type')} {kwargs.get('model')} {kwargs.get('input')}\\n")

listener = Listener()
"""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("listened")
    (folder / "listening.py").write_text(LISTENER)
    return folder


def test_memory_is_embedded_through_the_gateway_and_kept_from_its_loggers(
    start_proxy: StartProxy, provider: Provider, user: str, folder: Path
) -> None:
    proxy = start_proxy(
        folder=folder,
        callbacks=["listening.listener"],
        settings={"RECALLR_EMBEDDING_MODEL": f"litellm/{EMBEDDING_MODEL}"},
    )
    ready = f"{proxy.url}/recallr/health/ready"
    eventually(lambda: httpx.get(ready, trust_env=False).is_success, "the gateway has its router, and memory its model")
    first = proxy.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
    assert first.memory_status == "empty"
    Memory(proxy).wait_processed(user, first.session_id)
    embedded = [text for seen in provider.recorded if seen.path == "/v1/embeddings" for text in seen.json["input"]]
    assert "My cat is called Felix." in embedded

    second = proxy.ask(user, "What is my cat called?")
    assert second.memory_status == "ok"
    assert "My cat is called Felix." in provider.last.user_text

    heard = (folder / "listening.py.heard").read_text()
    assert "acompletion" in heard, "the listener hears the user's own calls"
    assert "embedding" not in heard, f"it must not hear what memory embeds:\n{heard}"
