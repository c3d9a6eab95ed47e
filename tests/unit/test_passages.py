"""A message becomes passages: exact pieces, whole sentences, about 100–150 tokens."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recallr_litellm.core.passages import (
    MAX_INDEXED_CHARACTERS,
    MAX_PASSAGE_TOKENS,
    estimate_tokens,
    split,
)

SENTENCE = "On Tuesday we walked from the old harbour to the lighthouse and had lunch with my cousin. "

# Markdown, several scripts, controls, lone surrogates, joiners: what splitters stumble on.
_MARKDOWN = ["\n", "\n\n", " ", "```", "```py\n", "~~~", "# ", "- ", "1. ", "| a | b |\n", "**x**", "`y`", ":", "..."]
_SCRIPTS = [".", "?!", "。", "，", "我们去了", "مرحبا", "\u200f", "e\u0301", "👩\u200d👧", "Dr. Who", "3.5", "x" * 200]
_CONTROLS = ["\x00", "\x1c", "\u2028", "\r\n", "\ud83d"]
_AWKWARD = st.sampled_from(_MARKDOWN + _SCRIPTS + _CONTROLS)
TEXTS = st.lists(st.one_of(_AWKWARD, st.text(max_size=20), st.just(SENTENCE)), max_size=60).map("".join)


def compact(text: str) -> str:
    return "".join(text.split())


@settings(deadline=None)
@given(TEXTS)
@example("```\n" + "a = 1\n" * 300)
@example("x" * 5000)
@example("。" * 400)
@example("- a\n\n  b\n" * 100)
def test_passages_are_exact_bounded_pieces_that_lose_nothing_but_white_space(text: str) -> None:
    passages = split(text)
    at = 0
    for passage in passages:
        found = text.find(passage, at)
        assert found >= 0, f"not a piece of the text in its order: {passage!r}"
        assert not text[at:found].strip(), f"text between passages is lost: {text[at:found]!r}"
        assert passage.strip() == passage != "", f"blank or with white space around it: {passage!r}"
        assert estimate_tokens(passage) <= MAX_PASSAGE_TOKENS, f"too long: {passage!r}"
        at = found + len(passage)
    assert not text[at:].strip(), f"the end of the text is lost: {text[at:]!r}"


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_the_estimate_of_a_whole_is_never_more_than_of_its_parts(left: str, right: str) -> None:
    assert estimate_tokens(left + right) <= estimate_tokens(left) + estimate_tokens(right), "packing would overflow"


def test_prose_is_cut_between_sentences_into_even_passages() -> None:
    passages = split(SENTENCE * 40)
    assert all(passage.endswith("cousin.") for passage in passages), "a sentence was cut although it fits"
    lengths = [estimate_tokens(passage) for passage in passages]
    assert min(lengths) >= 80, f"a passage is much shorter than a reader or the embedder can use: {lengths}"


@pytest.mark.parametrize("sentences", range(8, 30))
def test_the_last_passage_is_no_scrap(sentences: int) -> None:
    lengths = [estimate_tokens(passage) for passage in split(SENTENCE * sentences)]
    assert min(lengths) > max(lengths) / 2, f"passages of very uneven length: {lengths}"


def test_a_section_begins_a_passage() -> None:
    sections = [f"## {title}\n{SENTENCE * 2}".strip() for title in ("Monday", "Tuesday")]
    assert split("\n\n".join(sections)) == sections, "a passage mixes sections"


@pytest.mark.parametrize(
    "sentence",
    [
        "I saw Dr. Smith in the garden of the hospital near the river at noon.",
        "We met Prof. Lee in the garden of the hospital near the river at noon.",
        "Then J. Doe went to the garden of the hospital near the river at noon.",
        "I paid 3.50 euros in the garden of the hospital near the river at noon.",
        "I like cake, e.g. the one in the garden of the hospital by the river.",
    ],
)
def test_abbreviations_and_numbers_do_not_end_a_sentence(sentence: str) -> None:
    # Room for one sentence and a few words more: a cut after "Dr." would fill that room.
    passages = split(" ".join([sentence] * 12), max_tokens=estimate_tokens(sentence) + 12)
    assert set(passages) == {sentence}, f"a sentence was cut after an abbreviation: {passages}"


@pytest.mark.parametrize(
    "block",
    [
        "```python\ndef area(r):\n    # Not a sentence. Nor this.\n\n    return 3.14 * r * r\n```",
        "| City | Year |\n|---|---|\n| Porto | 2019 |\n| Gdańsk | 2021 |",
        "- Oats. Soak them overnight.\n- Milk\n  - or oat milk. It foams.\n\n- Salt",
        "1. Preheat the oven. Wait.\n2. Bake the bread. Wait again.",
    ],
    ids=["code", "table", "list", "numbered list"],
)
def test_a_block_that_fits_stays_in_one_passage(block: str) -> None:
    passages = split(f"{SENTENCE * 5}\n\n{block}\n\n{SENTENCE * 5}")
    assert any(block in passage for passage in passages), f"the block was cut: {passages}"


def test_a_long_code_block_is_cut_between_lines() -> None:
    lines = [f"total_{number} = compute(total_{number - 1}, rate, year)" for number in range(80)]
    passages = split("```python\n" + "\n".join(lines) + "\n```")
    cut = [line for passage in passages for line in passage.splitlines() if "```" not in line]
    assert len(passages) > 1, "the block should need several passages"
    assert cut == lines, "a line of code was cut"


@pytest.mark.parametrize("lead", ["## Where to eat", "**Where to eat**", "These are the places:"])
@pytest.mark.parametrize("before", range(1, 12))
def test_a_heading_stays_with_what_follows(lead: str, before: int) -> None:
    places = "\n".join(f"- Place number {number} by the river, with a view" for number in range(8))
    passages = split(f"{SENTENCE * before}\n\n{lead}\n\n{places}")
    [holder] = [passage for passage in passages if lead in passage]
    assert "Place number 0" in holder, f"the heading was parted from its list: {passages}"


@pytest.mark.parametrize("words", range(120, 130))
def test_a_crumb_joins_the_passage_before_it(words: int) -> None:
    text = "word " * words + "\n\nEnjoy it!"
    assert split(text) == [text], "a crumb is a passage of its own"


@pytest.mark.parametrize(
    "sentence", ["我去年三月搬到了上海，现在在一家小公司做设计师。", "昨日は友達と映画を見に行きました。"]
)
def test_scripts_without_spaces_are_cut_between_sentences(sentence: str) -> None:
    passages = split(sentence * 40)
    assert len(passages) > 5, "the text should need several passages"
    assert all(passage.endswith("。") for passage in passages), "a sentence was cut although it fits"


def test_only_the_beginning_of_an_enormous_text_is_indexed() -> None:
    text = SENTENCE * 12_000
    passages = split(text)
    assert len(text) > 1_000_000, "the text should be enormous"
    assert compact("".join(passages)) == compact(text[:MAX_INDEXED_CHARACTERS]), "not the beginning was indexed"


@pytest.mark.parametrize("unit", [".", "- x\n", "...a", "\n "])
def test_adversarial_texts_take_linear_time(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Linear work on this length takes about a second, quadratic work many minutes: the timeout is the assertion.
    monkeypatch.setattr("recallr_litellm.core.passages.MAX_INDEXED_CHARACTERS", 500_000)
    text = unit * (500_000 // len(unit))
    assert compact("".join(split(text))) == compact(text), "text was lost"
