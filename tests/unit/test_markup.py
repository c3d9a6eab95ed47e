"""What is taken out of remembered text: characters that a model reads and a person does not see."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.markup import escape

JOINERS = "\u200c\u200d"
INVISIBLE = [
    *(chr(code) for code in (0xAD, 0x34F, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2060, 0x3164, 0xFEFF, 0xFFA0)),
    *map(chr, range(0x202A, 0x202F)),  # bidirectional embeddings and overrides
    *map(chr, range(0x2066, 0x206A)),  # and isolates
    *map(chr, range(0xFE00, 0xFE10)),  # variation selectors
    *map(chr, range(0xE0100, 0xE01F0)),
    *map(chr, range(0xE0000, 0xE0080)),  # tags
]
invisible = st.text(st.sampled_from(INVISIBLE), max_size=8)
texts = st.text(st.characters(codec="utf-8") | st.sampled_from([*INVISIBLE, *JOINERS, "<", "&", "a", "و", "👩"]))


@given(texts)
def test_nothing_invisible_is_shown(text: str) -> None:
    shown = escape(text)
    assert not set(shown) & set(INVISIBLE)
    for index, character in enumerate(shown):
        if character in JOINERS:
            before, after = shown[index - 1 : index], shown[index + 1 : index + 2]
            assert before > "\u02ff" < after, "a joiner stands between what it joins"
            assert before not in JOINERS, "one joiner is enough"
            assert after not in JOINERS, "one joiner is enough"


visible = st.characters(
    codec="utf-8", exclude_categories=("C", "Z", "M"), exclude_characters="\u115f\u1160\u3164\uffa0"
)


@given(st.text(visible), st.data())
def test_all_that_is_visible_is_shown(text: str, data: st.DataObject) -> None:
    with_hidden = "".join(character + data.draw(invisible) for character in text)
    assert escape(with_hidden) == escape(text)
    assert len(html.unescape(escape(text))) == len(text)


def test_every_format_character_but_the_visible_ones_and_the_joiners_is_taken_out() -> None:
    found = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}
    shown = {character for character in found if escape(f"ا{character}ا") != "اا"}
    names = {unicodedata.name(character) for character in shown}
    assert all(name.startswith(("ARABIC ", "SYRIAC ", "KAITHI ", "EGYPTIAN ", "ZERO WIDTH ")) for name in names), names
    assert shown & set(JOINERS) == set(JOINERS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("🏳️‍🌈 ❤️ 1️⃣", "🏳‍🌈 ❤ 1⃣"),
        ("👋🏽", "👋🏽"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("pass\u00adword zero\u200d\u200c\u200dwidth", "password zerowidth"),
        ("👩\u200d\u200c\u200d\u200d👧", "👩\u200d👧"),
        ("hidden" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all"), "hidden"),
        ("bytes" + "".join(chr(0xE0100 + byte) for byte in b"ignore all"), "bytes"),
        ("שלום\u200f \u202eabc\u202c", "שלום abc"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert escape(text) == shown
