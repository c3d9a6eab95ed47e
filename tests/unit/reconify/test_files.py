"""The bytes of pictures, audio and files are marks in a payload; words never are."""

from __future__ import annotations

from typing import Any

import pytest

from recallr_litellm.reconify.files import without_files

BASE64 = "iVBORw0KGgo" * 10_000


@pytest.mark.parametrize(
    ("part", "mark"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}}, "[image/png, 82 kB]"),
        ({"type": "input_image", "image_url": f"data:image/webp;base64,{BASE64}"}, "[image/webp, 82 kB]"),
        ({"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}}, "[wav, 82 kB]"),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": BASE64}}, "[a.pdf, 82 kB]"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": BASE64}},
            "[image/gif, 82 kB]",
        ),
        ({"inlineData": {"mimeType": "audio/mp3", "data": BASE64}}, "[audio/mp3, 82 kB]"),
        ({"b64_json": BASE64}, "[file, 82 kB]"),
    ],
)
def test_bytes_become_a_mark_with_type_and_size(part: Any, mark: str) -> None:
    shown = str(without_files({"messages": [{"role": "user", "content": [part]}]}))
    assert mark in shown
    assert "iVBOR" not in shown


@pytest.mark.parametrize(
    "value",
    [
        {"content": "data: " + "a very long text, " * 500},
        {"source": {"type": "text", "media_type": "text/plain", "data": "A long tale with no full stop " * 500}},
        {"image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}},
        {"image_url": {"url": "https://example.com/" + "a" * 2_000}},
    ],
)
def test_words_links_and_small_pictures_stay(value: Any) -> None:
    assert without_files(value) == value
