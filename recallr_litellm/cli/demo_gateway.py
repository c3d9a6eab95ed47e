"""The gateway of `recallr demo`: `recallr serve` in a temporary folder, separate from the user's own gateway."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from recallr_litellm.cli.access import Access
from recallr_litellm.cli.environment import MASTER_KEY_FILE, RECORD_FILE, shipped_config
from recallr_litellm.errors import RecallrError
from recallr_litellm.projects import DEFAULT_PROJECT, KEY_FILE
from recallr_litellm.stores.state.process import supervised

RECORDER = "recallr_litellm.cli.recorder.recorder"
START_SECONDS = 300.0
"""LiteLLM needs several seconds on an idle machine, minutes on a very busy one."""
STOP_SECONDS = 30
ANSWER_SECONDS = 30.0
PROCESSING_SECONDS = 60.0
"""Timeout for processing the first session. A session that is not processed yet is recalled verbatim."""
SESSION_SECONDS = 1
"""The shortest session timeout of the demo."""
_PROCESSED = re.compile(r'^recallr_sessions_total\{outcome="processed"\} [1-9]', re.MULTILINE)
LOG_LINES = 8
"""How much of the gateway's log an error shows."""

_NOT_INHERITED = (
    "RECALLR_",
    "RECONIFY_",
    "LITELLM_",
    "DATABASE_",
    "DIRECT_URL",
    "REDIS_",
    "WORKER_CONFIG",
    "CONFIG_FILE_PATH",
    "SSL_KEYFILE_PATH",
    "SSL_CERTFILE_PATH",
)
"""Prefixes of variables that would tie the demo to the user's own gateway: its stores, its database, its keys.
The providers' keys and addresses are inherited."""


class DemoError(RecallrError):
    """The demo failed. The message is for the user."""


class DemoGateway:
    """`recallr serve` as a process, with keys of its own and sessions that end after a second.

    Args:
        outlives: it goes on when this process ends; else it ends with it, however that ends.
    """

    def __init__(self, folder: Path, *, outlives: bool = False) -> None:
        self._outlives = outlives
        self.folder = folder
        self.data_dir = folder / "data"
        self.log = folder / "gateway.log"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.record = folder / "outgoing.jsonl"
        """What goes out to the model, a line a call."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, once started."""
        return self._process.pid if self._process else None

    def access(self, model: str) -> Access:
        """How others can talk to it."""
        return Access(
            url=self.url,
            model=model,
            project=DEFAULT_PROJECT,
            master_key_file=self.data_dir / MASTER_KEY_FILE,
            recallr_key_file=self.data_dir / KEY_FILE,
            session_seconds=SESSION_SECONDS,
            console=True,
        )

    @property
    def master_key(self) -> str:
        """LiteLLM's key, as `serve` made it."""
        return (self.data_dir / MASTER_KEY_FILE).read_text().strip()

    @property
    def recallr_key(self) -> str:
        """The key of the project `default`, as the plugin made it."""
        return (self.data_dir / KEY_FILE).read_text().strip()

    def start(self) -> None:
        """Start and wait until it answers and its memory works.

        Raises:
            DemoError: it ended, or is not ready in time; with the tail of its log.
        """
        config = yaml.safe_load(shipped_config().read_text())
        config["litellm_settings"]["callbacks"] = [config["litellm_settings"]["callbacks"], RECORDER]
        config_file = self.folder / "config.yaml"
        config_file.write_text(yaml.safe_dump(config))
        options = ["--config", str(config_file), "--port", str(self.port), "--num_workers", "1"]
        command = [sys.executable, "-m", "recallr_litellm.cli", "serve", *options]
        environment = self._environment(os.environ)
        with self.log.open("wb") as log:
            if self._outlives:
                self._process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                    command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            else:
                self._process = supervised(
                    command, kill_seconds=STOP_SECONDS, cwd=self.folder, env=environment, output=log
                )
        if not _eventually(self._answers, START_SECONDS):
            raise DemoError(
                f"The gateway was not ready within {START_SECONDS:.0f} s. Its log ends:\n{self._log_tail()}"
            )

    def stop(self) -> None:
        """End it, in order if it can be, and wait until it has ended."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()  # see `supervised`
        else:
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def outgoing(self) -> list[dict[str, Any]]:
        """The messages of the last call, as they left for the model."""
        calls = self.record.read_text().splitlines() if self.record.exists() else []
        messages: list[dict[str, Any]] = json.loads(calls[-1]) if calls else []
        return messages

    def wait_until_remembered(self) -> bool:
        """Wait until a session has been processed into memory; False when that takes unusually long."""
        return _eventually(lambda: _PROCESSED.search(self._get("metrics").text) is not None, PROCESSING_SECONDS)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise DemoError(f"The gateway did not start. Its log ends:\n{self._log_tail()}")
        try:
            return self._get("health/ready").is_success
        except httpx.TransportError:
            return False

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}/recallr/{path}", trust_env=False, timeout=ANSWER_SECONDS)

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES:])

    def _environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in inherited.items() if not name.startswith(_NOT_INHERITED)}
        return {
            **kept,
            "RECALLR_DATA_DIR": str(self.data_dir),
            "RECALLR_MIN_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            "RECALLR_PROCESS_INTERVAL_SECONDS": "0.2",
            # On a busy machine, better late than without memory.
            "RECALLR_DEADLINE_MS_BALANCED": "30000",
            "RECALLR_STORE_TIMEOUT_MS": "30000",
            RECORD_FILE: str(self.record),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # nothing is downloaded at the start
            "LITELLM_LOCAL_BLOG_POSTS": "True",
            "LITELLM_MODE": "PRODUCTION",  # else LiteLLM reads a `.env` it finds above its own installation
        }


def _eventually(check: Callable[[], bool], seconds: float) -> bool:
    """Whether a check comes true within so many seconds."""
    try:
        pending = retry_if_result(lambda done: not done)
        Retrying(retry=pending, wait=wait_fixed(0.25), stop=stop_after_delay(seconds))(check)
    except RetryError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
