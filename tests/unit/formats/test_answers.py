"""Answers are read off the wire however it is cut, and within a bound."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from recallr_litellm.formats import Reply, answers
from recallr_litellm.formats.answers import AnswerTooLarge, StreamedAnswer, read_whole
from recallr_litellm.formats.chat import CHAT
from recallr_litellm.metrics import ANSWERS_TOO_LARGE

STREAM = """: comment

data: {"choices": [{"index": 0, "delta": {"content": "Grüße "}}]}

event: piece
data: {"choices": [{"index": 0, "delta":
data: {"content": "👋"}}]}

data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

data: [DONE]

""".encode()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_is_read_however_it_is_cut(size: int, ending: bytes) -> None:
    wire = STREAM.replace(b"\n", ending)
    answer = StreamedAnswer(CHAT, {})
    for start in range(0, len(wire), size):
        answer.feed(wire[start : start + size])
    assert [message.text for message in answer.reply.messages] == ["Grüße 👋"]
    assert answer.ended
    assert answer.reply.complete


def test_what_is_no_text_is_no_fault() -> None:
    answer = StreamedAnswer(CHAT, {})
    answer.feed(b"\xff\n\ndata: \xff\n\n")
    assert answer.reply == Reply()


def test_a_fault_in_reading_leaves_the_answer_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer = StreamedAnswer(CHAT, {})
    answer.feed(STREAM[:80])
    monkeypatch.setattr("recallr_litellm.formats.choices.event_of", lambda _: 1 / 0)
    answer.feed(STREAM[80:])
    answer.feed(STREAM)
    assert [message.text for message in answer.reply.messages] == ["Grüße "]
    assert not answer.reply.complete
    assert caplog.text.count("A streamed answer cannot be read to its end") == 1


def test_a_reply_that_cannot_be_read_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = StreamedAnswer(CHAT, {})
    answer.feed(STREAM)
    monkeypatch.setattr("recallr_litellm.formats.chat._message", lambda *_: 1 / 0)
    assert answer.reply == Reply()


def test_of_a_stream_beyond_the_bound_the_beginning_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWER_BYTES", 100)
    counted = ANSWERS_TOO_LARGE._value.get()
    answer = StreamedAnswer(CHAT, {})
    for start in range(0, len(STREAM), 40):
        answer.feed(STREAM[start : start + 40])
    assert [message.text for message in answer.reply.messages] == ["Grüße "]
    assert not answer.reply.complete
    assert answer.whole is not None
    assert answer.whole["choices"][0]["finish_reason"] is None
    assert caplog.text.count("only its beginning is kept") == 1
    assert ANSWERS_TOO_LARGE._value.get() == counted + 1


def test_a_packed_answer_is_not_unpacked_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 MB of one letter are 300 KB packed."""
    monkeypatch.setattr(answers, "MAX_ANSWER_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 50_000_000 + b"{}")
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            read_whole(bomb, b"gzip")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(AnswerTooLarge):
        read_whole(b" " * 1_000_001, b"")
