"""What the plugin does with a LiteLLM that lacks something it uses."""

from __future__ import annotations

import logging

import pytest

from recallr_litellm.litellm_host.insides import Inside, report

RENAMED = Inside("json", ("_loads", "loads"), "nothing is read")
METHOD = Inside("json", ("JSONEncoder.encode",), "nothing is written")
EMPTY = Inside("json", ("decoder.NaN",), "no number")
LACKING = [
    Inside("json", ("of_tomorrow",), "a feature is off"),
    Inside("json", ("JSONEncoder.of_tomorrow",), "a feature is off"),
    Inside("json.of_tomorrow", ("x",), "a feature is off"),
]


def test_a_part_is_found_under_any_of_its_names() -> None:
    assert RENAMED.found("[1]") == [1]
    assert METHOD.found([1]) == "[1]"
    assert not EMPTY.missing


@pytest.mark.parametrize("inside", LACKING)
def test_what_is_lacking_is_named_once_with_what_is_off(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    assert inside.missing
    with pytest.raises(LookupError):
        _ = inside.found
    with caplog.at_level(logging.WARNING):
        report([RENAMED, inside])
    [record] = caplog.records
    assert f"lacks {inside.module}.{inside.names[0]}: a feature is off" in record.getMessage()
