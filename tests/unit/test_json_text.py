"""Faster JSON that reads and writes what the standard library does."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.json_text import parsed, written

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)
ODD = [
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "-0.0",
    r'"\ud83d"',
    r'{"a": "\udc00\ud800"}',
    "18446744073709551616",
    "1" * 500,
]


def same(one: Any, other: Any) -> bool:
    """Equal down to the types of numbers, and what is no number counts as equal to itself."""
    return repr(one) == repr(other)


@given(VALUES, st.booleans())
def test_every_value_is_read_as_the_standard_library_reads_it(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert same(parsed(text), json.loads(text))


@pytest.mark.parametrize("text", ODD)
def test_what_orjson_cannot_read_is_read_all_the_same(text: str) -> None:
    assert same(parsed(text), json.loads(text))


@pytest.mark.parametrize("text", ["", "[DONE]", "{", "nul", '{"a": 1,}', "\ufeff{}", '"\n"'])
def test_what_is_no_json_is_an_error_of_value(text: str) -> None:
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ValueError):
        parsed(text)


def test_what_is_nested_beyond_all_measure_is_an_error_of_recursion() -> None:
    with pytest.raises(RecursionError):
        parsed("[" * 100_000)


@given(VALUES)
def test_every_value_is_written_so_that_it_is_read_again(value: Any) -> None:
    again = json.loads(written(value))
    assert same(again, value) or any(math.isinf(number) for number in numbers(value)), "orjson has null for infinity"


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_no_number_is_written_that_json_does_not_know(number: float) -> None:
    for beside in (1, 2**70, "\ud83d"):  # the last two are written by the standard library
        again = json.loads(written({"a": [number, (number, beside)], "b": {"c": number}}), parse_constant=pytest.fail)
        assert again == {"a": [None, [None, beside]], "b": {"c": None}}


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []
