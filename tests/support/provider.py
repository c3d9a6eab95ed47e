"""A stand-in for an LLM provider on loopback: OpenAI's API, answers scripted by the test, requests recorded.

In a thread of the test's own process (`ThreadedProvider`, starts at once) or in a process of its
own (`ProviderProcess`, for load); both are driven through the same handle, over HTTP:

    with ThreadedProvider() as provider:
        provider.answer(Answer(text="Blue."), Answer(status=429))
        client = OpenAI(base_url=provider.base_url, api_key="sk-x", max_retries=0)
        assert client.chat.completions.create(...).choices[0].message.content == "Blue."
        assert provider.last.messages == [...]

    python -m tests.support.provider --port 0        # prints the port that it got

It serves the APIs of `wires`, `POST /v1/embeddings` and `POST /v1/messages/count_tokens`. The test's
own side is `/_script`, `/_recorded` and `/_held`.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx
import uvicorn

from tests.support.listeners import free_port
from tests.support.process import ServerProcess
from tests.support.provider_app import ANSWERS, RECORDED, StandIn
from tests.support.script import Answer, Recorded, Script, ToolCall
from tests.support.waiting import eventually

__all__ = ["Answer", "Provider", "ProviderProcess", "Recorded", "ThreadedProvider", "ToolCall"]

ROOT = Path(__file__).resolve().parents[2]
CHAT = "/v1/chat/completions"


class Provider:
    """Handle on a stand-in provider, wherever it runs."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60.0)

    @property
    def base_url(self) -> str:
        """What an SDK or LiteLLM's `api_base` takes: ends in `/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, *answers: Answer) -> None:
        """Script what comes next (see `Answer`)."""
        self._http.post("/_script", content=ANSWERS.dump_json(list(answers))).raise_for_status()

    @property
    def recorded(self) -> list[Recorded]:
        """Every request since the last `clear`, in the order of arrival; answered or not."""
        return RECORDED.validate_json(self._http.get("/_recorded").raise_for_status().content)

    def chats(self, containing: str = "", *, model: str | None = None) -> list[Recorded]:
        """The chat requests whose last user message holds this text, for this model if one is named."""
        return [
            request
            for request in self.recorded
            if request.path == CHAT and containing in request.user_text and model in (None, request.model)
        ]

    @property
    def last(self) -> Recorded:
        """The chat request that arrived last. Fails the test if there was none."""
        chats = self.chats()
        assert chats, "no chat request has reached the provider"
        return chats[-1]

    @property
    def hanging(self) -> int:
        """How many requests hang now; one whose client has gone does not."""
        return int(self._http.get("/_held").raise_for_status().text)

    def release(self, count: int = 1) -> None:
        """Let the requests that hang go on with their answers, once there are `count` of them."""
        self._end_hanging(count, drop=False)

    def drop(self, count: int = 1) -> None:
        """Close the connections of the requests that hang, once there are `count` of them."""
        self._end_hanging(count, drop=True)

    def clear(self) -> None:
        """Forget what was recorded and what was scripted; drop what hangs."""
        self._end_hanging(0, drop=True)
        self._http.delete("/_recorded").raise_for_status()
        self._http.delete("/_script").raise_for_status()

    def _end_hanging(self, count: int, *, drop: bool) -> None:
        eventually(lambda: self.hanging, f"{count} requests hang at the provider", until=lambda now: now >= count)
        self._http.delete("/_held", params={"drop": drop}).raise_for_status()

    def close(self) -> None:
        """Close the handle's own connections; the provider runs on."""
        self._http.close()


class ThreadedProvider(Provider):
    """A provider in a thread of this process, on a free port, from `with` on."""

    def __init__(self, script: Script | None = None) -> None:
        """`script`: one that answers by rules of its own, instead of what `answer` says."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        super().__init__(self._socket.getsockname()[1])
        self._server = uvicorn.Server(_config(script))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="provider", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()  # the socket listens already: a request that comes early waits
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._server.should_exit = True
        self._thread.join()


class ProviderProcess(ServerProcess):
    """A provider in a process of its own; `.provider` is the handle."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        """`port`: a free one if not given; kept over restarts. A restart forgets script and records."""
        super().__init__(folder, name="provider")
        self.provider = Provider(port or free_port())

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "tests.support.provider", "--port", str(self.provider.port)]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def ready(self) -> bool:
        try:
            return self.provider.recorded == []
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.provider.close()
        super().stop()


def _config(script: Script | None = None) -> uvicorn.Config:
    # "critical": a dropped connection is an exception that uvicorn would report as an error.
    # The graceful time bounds how long a hanging answer holds up the end of a test. Idle connections stay open:
    # LiteLLM fails on one that is closed just when it is used again.
    return uvicorn.Config(
        StandIn(script).app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, timeout_keep_alive=600
    )


def main() -> None:
    """Serve until SIGTERM; the first line printed is the port."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--port", type=int, default=0, help="0: a free one")
    listening = socket.create_server(("127.0.0.1", arguments.parse_args().port))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(_config()).run(sockets=[listening])


if __name__ == "__main__":
    main()
