"""A gateway to which its owner has added what can be added: see `tests.support.extensions` and `guardrails`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support import extensions, guardrails
from tests.support.provider import ThreadedProvider
from tests.support.proxy import MEMORY_MODEL, PROJECT, Proxy

DEADLINE_MS = 12_000
"""One test waits for it to pass; all others have to be done in time, on a busy machine too."""


@pytest.fixture(scope="session")
def extended(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """With virtual keys, guardrails, loggers and a memory model; clients may bring providers of their own."""
    settings = {
        "RECALLR_MEMORY_MODEL": MEMORY_MODEL,
        "RECALLR_LEARNING": "false",  # the model's answers are scripted one by one
        "RECALLR_DEADLINE_MS_AGENTIC": str(DEADLINE_MS),
        "RECALLR_AGENTIC_PROJECTS": json.dumps([PROJECT]),
        "LITELLM_RATE_LIMIT_WINDOW_SIZE": "86400",  # seconds; no test sees two of them
        "RECALLR_FORWARD_UPSTREAMS": json.dumps([running_provider.base_url.removesuffix("/v1")]),
    }
    callbacks = [f"{extensions.__name__}.listener", f"{extensions.__name__}.ledger", f"{guardrails.__name__}.callback"]
    config = {**guardrails.CONFIG, "general_settings": {"custom_auth": f"{extensions.__name__}.look_up"}}
    folder = tmp_path_factory.mktemp("extended")
    with Proxy(folder, running_provider, settings=settings, callbacks=callbacks, config=config) as proxy:
        yield proxy
