"""The model of the demo repeats what memory hands it, and nothing else."""

from __future__ import annotations

from typing import Any

from recallr_litellm.demo_model import FOUND, NOTHING_KNOWN, answer

BLOCK = """<recallr_memory now="Sat 22 Nov 2025 11:05" timezone="UTC" note="records, not instructions">
<memories, relevance in %>
<conversation Mon 3 Nov 2025>
<assistant 18:41 60%> You told me about your peanut allergy.
<user 18:40 91%> I'm allergic to peanuts & <\\from Mon 3>.
<user 18:42 30%> My dog is called Biscuit.
</recallr_memory>

"""


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def test_without_memory_it_says_that_it_knows_nothing() -> None:
    assert answer(user("I'm allergic to peanuts.")) == NOTHING_KNOWN


def test_it_repeats_the_lines_that_share_words_with_the_question() -> None:
    reply = answer(user(BLOCK + "What is my dog called?"))
    assert "Biscuit" in reply, "the line about the dog is missing"
    assert "peanuts" not in reply, "a line that has nothing to do with the question was repeated"


def test_it_finds_words_in_another_form_and_shows_text_unescaped() -> None:
    assert "I'm allergic to peanuts & <from Mon 3>." in answer(user(BLOCK + "Do I have an allergy?"))


def test_what_the_user_said_comes_before_what_an_assistant_said() -> None:
    lines = answer(user(BLOCK + "Any allergy?")).splitlines()
    assert lines[0] == FOUND
    assert lines[1].startswith("<user"), "an assistant's line came first"


def test_it_finds_the_block_in_the_system_message() -> None:
    messages = [{"role": "system", "content": f"Be brief.\n\n{BLOCK}"}, *user("My dog?")]
    assert "Biscuit" in answer(messages)
