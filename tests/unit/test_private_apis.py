"""What the plugin does with a LiteLLM that lacks something it uses."""

from __future__ import annotations

import logging

import pytest

from recallr_litellm.litellm_host.private_apis import PrivateApi, report

RENAMED = PrivateApi("json", ("_loads", "loads"), "nothing is read")
METHOD = PrivateApi("json", ("JSONEncoder.encode",), "nothing is written")
EMPTY = PrivateApi("json", ("decoder.NaN",), "no number")
LACKING = [
    PrivateApi("json", ("of_tomorrow",), "a feature is off"),
    PrivateApi("json", ("JSONEncoder.of_tomorrow",), "a feature is off"),
    PrivateApi("json.of_tomorrow", ("x",), "a feature is off"),
]


def test_a_part_is_found_under_any_of_its_names() -> None:
    assert RENAMED.found("[1]") == [1]
    assert METHOD.found([1]) == "[1]"
    assert not EMPTY.missing


@pytest.mark.parametrize("api", LACKING)
def test_what_is_lacking_is_named_once_with_what_is_off(api: PrivateApi, caplog: pytest.LogCaptureFixture) -> None:
    assert api.missing
    with pytest.raises(LookupError):
        _ = api.found
    with caplog.at_level(logging.WARNING):
        report([RENAMED, api])
    [record] = caplog.records
    assert f"lacks {api.module}.{api.names[0]}: a feature is off" in record.getMessage()
