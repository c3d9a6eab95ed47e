"""Bytes written as text are neither indexed nor shown; what people write is."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from recallr_litellm.core.blobs import without_blobs
from recallr_litellm.core.passages import indexed, split

BYTES = random.Random(7).randbytes(60_000)
BASE64 = base64.b64encode(BYTES).decode()
LINES = base64.encodebytes(BYTES[:3_000]).decode().strip()
HASHES = "\n".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(20))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"Our logo data:image/png;base64,{BASE64}. By the way", "Our logo [image/png, 60 kB]. By the way"),
        (f"token={BASE64[:400]} is ours", "token=[data, 1 kB] is ours"),
        (f"The key:\n{LINES}\nNow you know.", "The key:\n[data, 3 kB]\nNow you know."),
        (f"Sums:\n{HASHES}\nSigned, Ana", "Sums:\n[data, 1 kB]\nSigned, Ana"),
        (BYTES[:200].hex(), "[data, 1 kB]"),
    ],
    ids=["data URI", "one run", "lines of base64", "list of hashes", "hexadecimal"],
)
def test_a_run_of_bytes_is_a_mark(text: str, left: str) -> None:
    assert without_blobs(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "The report is at https://x.example/r/2026/the-long-way-home/chapter-one-in-which-nothing-happens/and-then-some"
        "/more-of-the-same-with-numbers-12345/end?id=42&ref=mail",
        f"Commit {hashlib.sha1(b'x', usedforsecurity=False).hexdigest()} broke it, the sum is {HASHES[:64]}.",
        "a_very_long_identifier_that_goes_on_and_on_and_is_made_of_words_in_snake_case_as_some_generated_code_has_them_v2"
        "_with_a_suffix_of_its_own",
        "我" * 300,
        "=" * 300 + "\n" + "-" * 300,
        "haha" * 60,
    ],
    ids=["address", "single hashes", "identifier", "script without spaces", "rulers", "laughter"],
)
def test_what_people_write_stays(text: str) -> None:
    assert without_blobs(text) == text


def test_a_long_paste_is_indexed_to_its_end_and_its_repeated_lines_once() -> None:
    footer = "Confidential, for internal use by Example Ltd only"
    pages = [f"Clause {n}: the tenant of flat {n} pays by the third of the month.\n{footer}\n" for n in range(900)]
    text = "".join(pages) + "Remember: my policy number is HX-7712."
    assert len(text) > 90_000
    passages = split(indexed(text))
    assert "HX-7712" in passages[-1]
    assert sum(footer in passage for passage in passages) == 1
    assert all(f"flat {n} pays" in " ".join(passages) for n in (0, 450, 899))
