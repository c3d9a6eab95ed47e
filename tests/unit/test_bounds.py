"""How much is kept of what was said, and that the history of it is recognised all the same."""

from __future__ import annotations

import pytest

from recallr_litellm.core import bounds
from recallr_litellm.core.bounds import bounded, cut, for_showing, newest, overflow
from recallr_litellm.core.messages import Message, MessageEntry, ToolCall

SAID = Message(role="user", text="word " * 50_000)
RETURNED = Message(role="tool", text="begin " + "x" * 900_000 + " end", tool_call_id="c1")
CALLED = Message(role="assistant", tool_calls=(ToolCall(id="c1", name="write", arguments="begin" + "x" * 90_000),))


def test_of_a_long_text_the_beginning_and_the_end_are_kept_and_the_mark_counts_what_is_not() -> None:
    once = cut("begin " + "x" * 10_000 + " end", 1000)
    assert (once[:7], once[-5:], len(once) <= 1000) == ("begin x", "x end", True)
    assert "9060 characters left out" in once
    twice = cut(once, 200)
    assert len(twice) <= 200
    assert "98" in twice.partition("… ")[2][:5], f"what was left out before counts too: {twice}"
    assert cut("short", 5) == "short"
    quoted = cut(f"[… {'9' * 5000} characters left out …]" * 2, 1000)
    assert len(quoted) <= 1000, "what looks like a mark and counts too much is none"


def test_tool_results_and_arguments_are_cut_and_words_are_not() -> None:
    said, called, returned = bounded([SAID, CALLED, RETURNED])
    assert said == SAID
    assert len(returned.text) <= bounds.TOOL_RESULT_CHARACTERS
    assert len(called.tool_calls[0].arguments) <= bounds.TOOL_RESULT_CHARACTERS
    for kept, whole in ((called, CALLED), (returned, RETURNED)):
        assert kept.fingerprint == whole.fingerprint == kept.model_copy(deep=True).fingerprint
        assert Message.model_validate(kept.model_dump()).fingerprint == whole.fingerprint, "also when it is read back"


def test_an_exchange_past_its_bound_cuts_its_longest_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "EXCHANGE_CHARACTERS", 10_000)
    texts = ["short", "a" * 4_000, "b" * 90_000, "c" * 80_000]
    kept = bounded([Message(role="user", text=text) for text in texts])
    assert [message.text for message in kept[:1]] == texts[:1]
    assert sum(len(message.text) for message in kept) <= 10_000
    assert min(len(message.text) for message in kept[1:]) > 3_000
    assert [message.fingerprint for message in kept] == [Message(role="user", text=text).fingerprint for text in texts]


def test_what_a_request_reads_of_a_message_does_not_grow_with_it() -> None:
    sizes = [len(for_showing(message).model_dump_json()) for message in (SAID, CALLED, RETURNED)]
    assert sizes < [17_000, 400, 900]


@pytest.mark.parametrize("text", ["a " * 40_000, "a" * 80_000], ids=["words", "one word"])
def test_long_words_that_differ_anywhere_are_different_messages(text: str) -> None:
    edited = text[:39_000] + "b" + text[39_001:]
    assert Message(role="user", text=text).fingerprint != Message(role="user", text=edited).fingerprint
    assert Message(role="user", text=text).fingerprint == Message(role="user", text=f" {text}\n").fingerprint


def entry(position: int, size: int) -> MessageEntry:
    return MessageEntry(str(position), position, "x", None, "user", partial=False, fingerprint="", size=size)


@pytest.mark.parametrize(
    ("sizes", "moved"),
    [
        ([100] * 10, 0),
        ([400] * 4, 3),
        ([100] * 30, 25),
        ([1] * 101, 51),
        ([9000, 10], 1),
        ([9000], 1),
        ([1900, 1900, 1900], 1),
    ],
    ids=["small", "half", "many", "many tiny", "one huge", "only huge", "in steps"],
)
def test_the_oldest_half_of_a_session_past_its_bound_is_moved(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], moved: int
) -> None:
    monkeypatch.setattr(bounds, "SESSION_BYTES", 1000)
    monkeypatch.setattr(bounds, "SESSION_MESSAGES", 100)
    monkeypatch.setattr(bounds, "PART_BYTES", 3000)
    entries = [entry(position, size) for position, size in enumerate(sizes)]
    assert overflow(entries) == tuple(entries[:moved])


def test_of_an_immense_history_the_end_is_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [Message(role="user", text=f"{n} " + "x" * 998) for n in range(100)]
    assert newest(history) == tuple(history)
    monkeypatch.setattr(bounds, "MATCHED_CHARACTERS", 5500)
    assert newest(history) == tuple(history[-5:])
    assert newest([SAID]) == (SAID,), "the newest message in any case"
    monkeypatch.setattr(bounds, "MATCHED_MESSAGES", 3)
    assert newest(history) == tuple(history[-3:])
