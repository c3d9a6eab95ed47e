"""What is searched for, from what the user wrote."""

from __future__ import annotations

MAX_CHARACTERS = 1_000
"""What the bundled model reads (256 word pieces) of English text."""

_HALF = MAX_CHARACTERS // 2


def searchable(question: str) -> str:
    """The text to search with: on one line, and of a long message its beginning and its end.

    A pasted page has the request before or after it, seldom within, and a model that reads only
    the first page would never see the latter.

    Returns:
        At most `MAX_CHARACTERS` and a space; "" when there is no letter or digit to search for.
    """
    text = question.strip()
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:_HALF]} {text[-_HALF:]}"
    return " ".join(text.split()) if any(map(str.isalnum, text)) else ""
