"""How much of a model's window is left for memory, and what a request takes of it."""

from __future__ import annotations

import base64
from typing import Any, NoReturn

import pytest

from recallr_litellm.core.room import Model, request_tokens, room
from recallr_litellm.litellm_host.models import count_tokens


def nobody_counts() -> NoReturn:
    raise AssertionError("far from the limit nothing is counted")


def left(*windows: int, tokens: int, answer: int | None = None, wanted: int = 2_000, **model: Any) -> int | None:
    """The room beside a request of so many tokens, whose size is not known."""
    return room(Model(windows, **model), size=None, max_tokens=answer, wanted=wanted, count=lambda: tokens)


def test_what_is_far_from_the_limit_is_not_counted():
    for size, answer, windows in [(10_000, 4_000, (128_000,)), (10_000, None, (16_000, 128_000)), (9**9, 9**9, ())]:
        assert room(Model(windows), size=size, max_tokens=answer, wanted=2_000, count=nobody_counts) is None


@pytest.mark.parametrize("size", [4_096, 1_900, None])
def test_near_the_limit_it_is_counted(size: int | None):
    assert room(Model((4_096,)), size=size, max_tokens=None, wanted=2_000, count=lambda: 1_000) == 2_723


@pytest.mark.parametrize(
    ("tokens", "answer", "expected"),
    [
        (800, None, 290),
        (1_090, None, 0),
        (1_200, None, 0),
        (1_300, None, 0),
        (1_330, None, None),
        (300, 600, 245),
        (300, 900, 0),
        (300, 1_200, 790),
        (300, 32_000, 790),
    ],
    ids=[
        "some",
        "none",
        "full",
        "perhaps too long",
        "surely too long",
        "answer",
        "no room beside the answer",
        "answer of it all",
        "of more",
    ],
)
def test_request_answer_and_margin_come_first(tokens: int, answer: int | None, expected: int | None):
    assert left(1_200, tokens=tokens, answer=answer) == expected


def test_the_answer_that_the_deployment_sets_counts_where_the_request_says_nothing():
    assert left(1_200, tokens=300, max_tokens=600) == left(1_200, tokens=300, answer=600) == 245
    assert left(1_200, tokens=300, answer=100, max_tokens=600) == left(1_200, tokens=300, answer=100)


def test_of_several_deployments_the_smallest_that_takes_the_request_decides():
    assert left(1_200, 8_192, tokens=800) == 290
    assert left(1_200, 8_192, tokens=1_300) == 6_147


FRAME = {"role": "user", "content": ""}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "word " * 600}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "word " * 600}]}]},
        {"messages": [{"role": "system", "content": "word " * 600}, FRAME]},
        {"messages": [FRAME], "tools": [{"type": "function", "function": {"description": "word " * 600}}]},
        {"messages": [FRAME], "system": [{"type": "text", "text": "word " * 600}]},
        {"input": "word " * 600},
        {"input": [], "instructions": "word " * 600},
        {"contents": [{"parts": [{"text": "word " * 600}]}]},
        {"contents": [], "system_instruction": {"parts": [{"text": "word " * 600}]}},
        {"prompt": "word " * 600},
    ],
)
def test_all_that_the_model_reads_counts(body: dict[str, Any]):
    body |= {"model": "m", "metadata": {"a": "b " * 9_000}, "proxy_server_request": {"body": "c " * 9_000}}
    assert 600 <= request_tokens(body, count_tokens) <= 640


def test_of_a_long_text_samples_are_counted():
    counted = []

    def count(text: str) -> int:
        counted.append(text)
        return count_tokens(text)

    prose = "".join(
        f"On day {number} the 🦊 crossed the river again, at {number % 24}:30.\n" for number in range(20_000)
    )
    estimate = request_tokens({"prompt": prose}, count)
    assert estimate == pytest.approx(
        sum(count_tokens(prose[at : at + 1_000]) for at in range(0, len(prose), 1_000)), rel=0.05
    )
    assert sum(map(len, counted)) <= 24_000


@pytest.mark.parametrize(
    "encoded", [base64.b64encode(bytes(range(256)) * 4_000).decode(), "data:image/png," + "x" * 9**6]
)
def test_a_picture_counts_as_one_not_as_text(encoded: str):
    body = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": encoded}}]}]}
    assert 1_600 <= request_tokens(body, count_tokens) < 1_700


def test_a_request_nested_deep_is_counted():
    body: dict[str, Any] = {"messages": []}
    inner = body["messages"]
    for _ in range(100_000):
        inner.append([])
        inner = inner[0]
    inner.append("word")
    assert request_tokens(body, count_tokens) == 1
