"""The real `litellm` proxy as a process, in front of a stand-in provider."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

import recallr_litellm
from tests.support.listeners import free_port
from tests.support.process import ServerProcess
from tests.support.provider import ROOT, Provider

if TYPE_CHECKING:  # seconds to import: each process of the tests imports only the SDKs that it uses
    from anthropic import Anthropic
    from google.genai import Client as Gemini
    from openai import AsyncOpenAI, OpenAI
    from openai.types.chat import ChatCompletionMessageParam

CALLBACK = "recallr_litellm.hooks.recallr"

PROJECT, API_KEY = "acme", "rai_acme-key-of-the-tests"
OTHER_PROJECT, OTHER_API_KEY = "globex", "rai_globex-key-of-the-tests"
"""A second project, for tests of isolation."""

CHAT_MODEL = "gpt-4o-mini"
MEMORY_MODEL = "memory-model"
"""What `RECALLR_MEMORY_MODEL` can be set to: the provider sees it under this name, so scripts can tell it apart."""
EMBEDDING_MODEL = "text-embedding-3-small"
GEMINI_MODEL = "gemini-2.5-flash"
NEW_GEMINI_MODEL = "gemini-of-tomorrow"
"""Missing from LiteLLM's list of models and their prices."""
GEMMA_MODEL = "gemma-3-27b-it"
"""Takes no system instruction from Google's API."""
SPEECH_MODEL = "gemini-2.5-flash-preview-tts"
"""Reads out what it is told."""
CLAUDE_MODEL = "claude-haiku-4-5"
OPEN_MODEL = "open-weights"
"""Of a provider for which LiteLLM translates Anthropic's API into chat completions."""
BRIDGED_MODEL = "bridged-model"
"""Of a provider without a Responses API: LiteLLM makes a chat request of it."""

ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}
"""Headers on every response to a Recallr request."""
ONCE_KNOWN = ALWAYS | {"x-recallr-session-id", "x-recallr-user-id"}
"""Headers on those to requests that got as far as having a session."""

PATIENT = {
    "RECALLR_STORE_TIMEOUT_MS": "30000",
    **{f"RECALLR_DEADLINE_MS_{strategy}": "30000" for strategy in ("LOW_LATENCY", "BALANCED", "AGENTIC")},
}
"""Settings with which memory is at work in every request, on a busy machine too: there the first one, for which LiteLLM
imports more of itself, may block the event loop for seconds."""


@dataclass(frozen=True)
class Reply:
    """What a client gets from `Proxy.ask`."""

    text: str
    """Of the first choice."""
    headers: Mapping[str, str]
    """Of the response."""

    @property
    def session_id(self) -> str:
        """The session that the request belonged to. Raises KeyError where the plugin did not say."""
        return self.headers["x-recallr-session-id"]

    @property
    def memory_status(self) -> str:
        """`ok`, `empty`, `degraded; reason=…` or `off`. Raises KeyError where the plugin did not say."""
        return self.headers["x-recallr-memory-status"]


class Proxy(ServerProcess):
    """A gateway. Starting takes several seconds: share one where a test does not stop, kill or configure it.

        with Proxy(tmp_path, provider) as proxy:
            reply = proxy.ask("alice", "My cat is called Felix.")
            client = proxy.openai("alice", recall_strategy="low_latency")
            client.chat.completions.create(model=CHAT_MODEL, messages=[...])

    Models: those named above and `openai/<anything>`, all of the stand-in provider, without retries and cooldowns, so
    that a scripted error is one error.

    The plugin runs with embedded stores under `data_dir`, projects `PROJECT` and `OTHER_PROJECT`,
    sessions as short as a second, looks for finished sessions ten times a second, and never runs out of time.
    """

    def __init__(
        self,
        folder: Path,
        provider: Provider,
        *,
        plugin: bool = True,
        num_workers: int = 1,
        redis_url: str | None = None,
        qdrant_url: str | None = None,
        settings: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        callbacks: Sequence[str] = (),
        arguments: Sequence[str] = (),
        data_dir: Path | None = None,
    ) -> None:
        """Write the configuration; `start` (or `with`) starts it.

        Args:
            folder: of the config, the log and, unless `data_dir` says otherwise, the data. Modules
                for `callbacks` may be put here.
            provider: who answers for every model.
            plugin: False for plain LiteLLM.
            num_workers: uvicorn workers; more than one needs both URLs.
            redis_url: unset: embedded.
            qdrant_url: unset: embedded.
            settings: environment variables by their full names; win over the defaults.
            config: merged into the YAML: sections are updated, lists (`model_list`) extended.
            callbacks: LiteLLM callbacks besides the plugin's, as `module.object`.
            arguments: more arguments of `litellm`, e.g. `["--run_gunicorn"]`.
            data_dir: e.g. that of a killed proxy.
        """
        super().__init__(folder, name="proxy")
        self.port = free_port()
        self.data_dir = data_dir or folder / "data"
        self.master_key = f"sk-{secrets.token_urlsafe(24)}"
        self._num_workers = num_workers
        self._arguments = arguments
        self._started_before = 0
        self._waits_for_stores = 0
        self._environment = _environment(self.data_dir, self.master_key, redis_url, qdrant_url) | dict(settings or {})
        used = [CALLBACK, *callbacks] if plugin else list(callbacks)
        self.config_file = folder / "config.yaml"
        self.config_file.write_text(yaml.safe_dump(_merge(_config(provider, used), config or {}), sort_keys=False))

    @property
    def url(self) -> str:
        """Root of the gateway, without `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    def headers(self, user: str | None, **options: object) -> dict[str, str]:
        """Recallr headers of a request, for `openai` or for plain HTTP.

        Key, project and `Allow-New-User-Creation: true` are there unless said otherwise. An option
        is a header's name in snake case: `session_id`, `recall_strategy`, `allow_new_user_creation`,
        `api_key`, …; None leaves the header out, so `api_key=None` makes a request without a key.

        >>> proxy.headers("alice", include_system_prompt=False)["X-Recallr-Include-System-Prompt"]
        'false'
        """
        defaults = {"api_key": API_KEY, "project_id": PROJECT, "user_id": user, "allow_new_user_creation": True}
        return {
            "X-Recallr-" + name.replace("_", "-").title(): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in {**defaults, **options}.items()
            if value is not None
        }

    def openai(self, user: str | None = None, **options: object) -> OpenAI:
        """A client of the real SDK, without retries.

        With a user or any option every request has Recallr headers (see `headers`); without, none,
        and the plugin must not touch them.
        """
        import openai

        http = openai.DefaultHttpxClient(trust_env=False)
        return openai.OpenAI(http_client=http, **self._client(user, options))

    def async_openai(self, user: str | None = None, **options: object) -> AsyncOpenAI:
        """As `openai`, for concurrent requests."""
        import openai

        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        return openai.AsyncOpenAI(http_client=http, **self._client(user, options))

    def anthropic(self, user: str | None = None, **options: object) -> Anthropic:
        """As `openai`, through Anthropic's API and SDK."""
        import anthropic

        http = anthropic.DefaultHttpxClient(trust_env=False)
        return anthropic.Anthropic(http_client=http, **{**self._client(user, options), "base_url": self.url})

    def gemini(self, user: str | None = None, **options: object) -> Gemini:
        """As `openai`, through Gemini's API and Google's SDK."""
        from google import genai
        from google.genai.types import HttpOptions

        client = self._client(user, options)
        http = HttpOptions(
            base_url=self.url,
            api_version="v1beta",
            headers=client["default_headers"],
            timeout=round(client["timeout"] * 1000),
            client_args={"trust_env": False},
        )
        return genai.Client(api_key=self.master_key, http_options=http)

    def ask(
        self, user: str | None, *messages: str | ChatCompletionMessageParam, stream: bool = False, **options: object
    ) -> Reply:
        """One chat request through the SDK, for tests about what comes of it rather than how it is made.

            first = proxy.ask(user, "My cat is called Felix.")
            proxy.ask(user, "And my dog Rex.", session_id=first.session_id, stream=True)

        Args:
            user: as in `openai`, as are the options.
            messages: a string is a user message.
            stream: read a streamed answer to its end.

        Raises:
            openai.APIStatusError: the gateway or the provider refused.
        """
        turns: list[ChatCompletionMessageParam] = [
            {"role": "user", "content": message} if isinstance(message, str) else message for message in messages
        ]
        with self.openai(user, **options) as client:
            create = client.chat.completions.with_raw_response.create
            if not stream:
                whole = create(model=CHAT_MODEL, messages=turns)
                return Reply(whole.parse().choices[0].message.content or "", whole.headers)
            raw = create(model=CHAT_MODEL, messages=turns, stream=True)
            pieces = [choice.delta.content or "" for chunk in raw.parse() for choice in chunk.choices]
            return Reply("".join(pieces), raw.headers)

    def command(self) -> Sequence[str]:
        litellm = Path(sys.executable).with_name("litellm")
        workers = ["--num_workers", str(self._num_workers)] if self._num_workers > 1 else []
        if workers and "--run_gunicorn" not in self._arguments:
            # uvicorn kills a worker that is silent for 5 s; on a busy machine importing LiteLLM takes longer
            workers += ["--timeout_worker_healthcheck", "120"]
        where = ["--config", str(self.config_file), "--host", "127.0.0.1", "--port", str(self.port)]
        self._started_before = self._workers_started()
        self._waits_for_stores = 20
        return [str(litellm), *where, "--telemetry", "False", *workers, *self._arguments]

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def ready(self) -> bool:
        if self._workers_started() - self._started_before < self._num_workers:
            return False
        if self._status("/health/liveliness") != 200:
            return False
        # Its stores open in the background: a first request might come before. Some tests start without them.
        self._waits_for_stores -= 1
        return self._waits_for_stores < 0 or self._status("/recallr/health/ready") != 503

    def _status(self, path: str) -> int:
        """Of a GET, 0 where nothing answers."""
        try:
            return httpx.get(f"{self.url}{path}", trust_env=False, timeout=30.0).status_code
        except httpx.TransportError:
            return 0

    def _client(self, user: str | None, options: Mapping[str, object]) -> dict[str, Any]:
        return {
            "base_url": f"{self.url}/v1",
            "api_key": self.master_key,
            "default_headers": self.headers(user, **options) if user is not None or options else {},
            "max_retries": 0,
            "timeout": 60.0,
        }

    def _workers_started(self) -> int:
        return self.log.count("Application startup complete")


def _environment(data_dir: Path, master_key: str, redis_url: str | None, qdrant_url: str | None) -> dict[str, str]:
    environment = {
        # The same recallr_litellm that the tests import, installed or not; behind it the tests' own callbacks.
        "PYTHONPATH": os.pathsep.join((str(Path(recallr_litellm.__file__).parents[1]), str(ROOT))),
        "LITELLM_MASTER_KEY": master_key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_BLOG_POSTS": "True",
        "RECALLR_DATA_DIR": str(data_dir),
        "RECALLR_PROJECTS": json.dumps({PROJECT: [API_KEY], OTHER_PROJECT: [OTHER_API_KEY]}),
        "RECALLR_MIN_SESSION_TIMEOUT_SECONDS": "1",
        "RECALLR_PROCESS_INTERVAL_SECONDS": "0.1",
        **PATIENT,
    }
    if redis_url is not None:
        environment["RECALLR_REDIS_URL"] = redis_url
    if qdrant_url is not None:
        environment["RECALLR_QDRANT_URL"] = qdrant_url
    return environment


def _config(provider: Provider, callbacks: Sequence[str]) -> dict[str, Any]:
    def model(name: str, behind: str) -> dict[str, Any]:
        parameters = {"model": behind, "api_base": provider.base_url, "api_key": "sk-of-the-provider"}
        return {"model_name": name, "litellm_params": parameters}

    named = [model(name, f"openai/{name}") for name in (CHAT_MODEL, MEMORY_MODEL, EMBEDDING_MODEL)]
    for name in (GEMINI_MODEL, NEW_GEMINI_MODEL, GEMMA_MODEL, SPEECH_MODEL):
        named.append(model(name, f"gemini/{name}"))
        named[-1]["litellm_params"]["api_base"] += "beta"  # Google's version of the API
    named.append(model(CLAUDE_MODEL, f"anthropic/{CLAUDE_MODEL}"))
    named[-1]["litellm_params"]["api_base"] = provider.base_url.removesuffix("/v1")
    named += [model(OPEN_MODEL, f"hosted_vllm/{OPEN_MODEL}"), model(BRIDGED_MODEL, "together_ai/some-model")]
    config: dict[str, Any] = {
        "model_list": [*named, model("openai/*", "openai/*")],
        "litellm_settings": {"num_retries": 0},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }
    if callbacks:
        # a single one as users write it: a string
        config["litellm_settings"]["callbacks"] = callbacks[0] if len(callbacks) == 1 else list(callbacks)
    return config


def _merge(config: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for section, value in extra.items():
        if isinstance(value, list):
            merged[section] = [*merged.get(section, []), *value]
        elif isinstance(value, Mapping):
            merged[section] = {**merged.get(section, {}), **value}
        else:
            merged[section] = value
    return merged
