"""What is accepted of metadata can be read again wherever it is kept."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from recallr_litellm.core.metadata import DEEPEST, check_metadata
from recallr_litellm.core.records import User


def nested(levels: int, *, lists: bool = False) -> dict[str, JsonValue]:
    value: JsonValue = 1
    for _ in range(levels - 1):
        value = [value] if lists else {"a": value}
    return {"a": value}


@pytest.mark.parametrize("lists", [False, True])
def test_what_is_nested_too_deep_to_be_read_again_is_refused(lists: bool) -> None:
    accepted = check_metadata(nested(DEEPEST, lists=lists))
    user = User(project="acme", user="ana", created_at=1, metadata=accepted)
    assert User.model_validate_json(user.model_dump_json()) == user
    for levels in (DEEPEST + 1, 250, 5_000):
        with pytest.raises(ValueError, match="not nested too deep"):
            check_metadata(nested(levels, lists=lists))
