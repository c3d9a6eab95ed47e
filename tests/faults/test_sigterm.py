"""SIGTERM with a stream in flight: what the client has of the answer is stored, whatever comes after the signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.clients import Chat, Stream
from tests.support.observe import (
    assert_once,
    edge,
    embedded_redis_url,
    in_motion,
    owner_of,
    remembered,
    wait_until_processed,
    wait_until_sound,
)
from tests.support.provider import Answer, Provider, ThreadedProvider
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.waiting import eventually

QUESTION = "Tell me about the sea."
ANSWER = "The sea is deep and blue and full of fish."
BEGINNING = "The sea is"
"""What the client has when the stream stands still."""


def held_stream(proxy: Proxy, provider: Provider, user: str, **options: object) -> Stream:
    """A streamed answer that the provider holds back after three words, which the client has."""
    provider.answer(Answer(when=QUESTION, text=ANSWER, hang_after=3, times=1))
    stream = Chat().begin(proxy, user, QUESTION, model=CHAT_MODEL, **options)
    stream.read_until(BEGINNING)
    return stream


@pytest.fixture(scope="module")
def _gateway(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("sigterm"), running_provider) as proxy:
        yield proxy


@pytest.fixture
def proxy(_gateway: Proxy, provider: Provider) -> Proxy:
    """One for all tests, started again where the one before has left it ended."""
    if not _gateway.running:
        _gateway.start()
    wait_until_sound(_gateway)
    return _gateway


def test_a_stream_that_ends_after_sigterm_reaches_client_and_memory_whole(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    with held_stream(proxy, provider, user) as stream:
        os.kill(proxy.pid, signal.SIGTERM)
        _wait_for_the_beginning(proxy, user)
        provider.release()
        assert BEGINNING + stream.rest() == ANSWER, "the server cut off a running stream at SIGTERM"
    assert proxy.terminate() in (0, -signal.SIGTERM)

    proxy.start()
    [question, answer] = in_motion(embedded_redis_url(proxy), owner_of(user))
    assert (question.text, answer.text) == (QUESTION, ANSWER), "the whole answer does not stand where its beginning did"
    assert not answer.message.partial, "a whole answer is marked as a part of one"


def test_the_beginning_of_a_stream_survives_sigkill_after_sigterm_and_is_remembered_as_such(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    with held_stream(proxy, provider, user, session_timeout_seconds=5):
        os.kill(proxy.pid, signal.SIGTERM)
        _wait_for_the_beginning(proxy, user)
        proxy.kill()

    proxy.start()
    wait_until_processed(embedded_redis_url(proxy), owner_of(user))
    proxy.terminate()
    kept = remembered(edge(proxy), [owner_of(user)])
    assert_once(kept, expected=[QUESTION, BEGINNING])
    assert kept[-1].message.partial, "the beginning of an answer is remembered as if it were the whole"


def _wait_for_the_beginning(proxy: Proxy, user: str) -> None:
    """The stream stands still, so that what is found in Redis now was put there because of the signal."""
    eventually(
        lambda: [one.text for one in in_motion(embedded_redis_url(proxy), owner_of(user))],
        "SIGTERM makes the gateway store what the client has of the answer",
        until=lambda texts: texts == [QUESTION, BEGINNING],
    )
