"""Conversations as real clients send them: whose words are remembered, and what later questions are shown."""

from __future__ import annotations

import pytest

from tests.support.conversations import NAMES, load, play
from tests.support.provider import Provider
from tests.support.proxy import Proxy


@pytest.mark.parametrize("name", NAMES)
def test_a_clients_conversation_is_remembered_as_its_user_had_it(
    proxy: Proxy, provider: Provider, user: str, name: str
) -> None:
    assert play(load(name), proxy, provider, user).differences() == []
