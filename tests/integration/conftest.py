"""Proxies that several modules of this folder share: use your own `user`, never stop one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.provider import ThreadedProvider
from tests.support.proxy import SMALL_BUDGET, Proxy


@pytest.fixture(scope="session")
def into_system(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that puts memory into the system message, and no more than `SMALL_BUDGET` tokens of it."""
    settings = {"RECALLR_INJECT": "system", "RECALLR_CONTEXT_TOKENS": str(SMALL_BUDGET)}
    with Proxy(tmp_path_factory.mktemp("into-system"), running_provider, settings=settings) as proxy:
        yield proxy
