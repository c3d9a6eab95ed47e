"""One decoder of a stream for all who read it."""

from __future__ import annotations

import pytest

from recallr_litellm.formats import Reply
from recallr_litellm.formats.sse import EventReader

STREAM = 'event: piece\ndata: Grüße\n\ndata: {"a": 1}\n\n: comment\n\ndata: [DONE]\n\n'.encode()
EVENTS = ["Grüße", '{"a": 1}', "[DONE]"]


class Reader:
    """Takes as many events as it is told to, then fails."""

    complete = False
    reply = Reply()

    def __init__(self, most: int = 100) -> None:
        self.events: list[str] = []
        self._most = most

    def feed(self, data: str) -> None:
        if len(self.events) == self._most:
            raise ValueError(data)
        self.events.append(data)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_everybody_gets_every_event_however_the_stream_is_cut(size: int) -> None:
    reader, heard = Reader(), list[str]()
    events = EventReader(reader, heard.append)
    for start in range(0, len(STREAM), size):
        events.feed(STREAM[start : start + size])
    assert (reader.events, heard) == (EVENTS, EVENTS)


def test_a_reader_that_fails_keeps_nobody_from_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    reader, heard = Reader(most=1), list[str]()
    events = EventReader(reader, heard.append)
    events.feed(STREAM)
    assert (reader.events, heard) == (EVENTS[:1], EVENTS)
    assert caplog.text.count("A streamed answer cannot be read to its end") == 1
