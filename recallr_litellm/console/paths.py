"""Where the console's pages are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

PREFIX: Final = "/recallr/console"


def address(page: str, values: Mapping[str, object | None] | None = None) -> str:
    """The address of a page. Ids are in its query, since they may hold any character.

    >>> address("user", {"project": "p", "user": "a/b", "offset": None})
    '/recallr/console/user?project=p&user=a%2Fb'
    """
    query = urlencode({name: value for name, value in (values or {}).items() if value not in (None, "")})
    return f"{PREFIX}/{page}" + (f"?{query}" if query else "")
