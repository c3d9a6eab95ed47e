"""What a request has place for, in each API's own words."""

from __future__ import annotations

from typing import Any

import pytest

from recallr_litellm.core.room import Model
from recallr_litellm.formats import FORMATS
from recallr_litellm.gateway.placement import Placement, place
from recallr_litellm.litellm_host.models import count_tokens

INSTRUCTIONS = "How to read memory. " * 20
QUESTION = "What is my cat called?"


def placed(call_type: str, body: dict[str, Any], **model: Any) -> Placement:
    conversation = FORMATS[call_type].read(body)
    assert conversation is not None
    return place(
        Model(**model),
        conversation,
        body,
        size=None,
        instructions=INSTRUCTIONS,
        context_tokens=2_000,
        count_tokens=count_tokens,
    )


CHAT = {"messages": [{"role": "user", "content": QUESTION}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
LIMITED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("acompletion", {**CHAT, "max_tokens": 3_400}),
    "chat, newer name": ("acompletion", {**CHAT, "max_completion_tokens": 3_400}),
    "completions": ("atext_completion", {"prompt": QUESTION, "max_tokens": 3_400}),
    "responses": ("aresponses", {"input": QUESTION, "max_output_tokens": 3_400}),
    "messages": ("anthropic_messages", {**CHAT, "max_tokens": 3_400}),
    "gemini": ("agenerate_content", {**GEMINI, "generationConfig": {"maxOutputTokens": 3_400}}),
    "gemini, snake case": ("agenerate_content", {**GEMINI, "generation_config": {"max_output_tokens": 3_400}}),
}


@pytest.mark.parametrize(("call_type", "body"), LIMITED.values(), ids=LIMITED)
def test_the_longest_answer_is_read_in_each_apis_words(call_type: str, body: dict[str, Any]) -> None:
    found = placed(call_type, body, windows=(4_096,))
    assert found.room is not None
    assert 600 < found.room + count_tokens(found.instructions) <= 632
    tight = placed(call_type, body, windows=(3_450,))
    assert (tight.instructions, tight.room) == ("", pytest.approx(30, abs=15))


@pytest.mark.parametrize(("call_type", "body"), LIMITED.values(), ids=LIMITED)
def test_instructions_give_way_first(call_type: str, body: dict[str, Any]) -> None:
    cost = count_tokens(INSTRUCTIONS)
    assert placed(call_type, body, windows=(3_450 + 3 * cost,)).instructions == INSTRUCTIONS
    assert placed(call_type, body, windows=(3_450 + cost,)).instructions == ""


@pytest.mark.parametrize(
    ("config", "has_place"),
    [
        ({"responseModalities": ["AUDIO"]}, False),
        ({"responseModalities": "AUDIO"}, False),
        ({"response_modalities": ["image", "VIDEO"]}, False),
        ({"responseModalities": ["TEXT", "IMAGE"]}, True),
        ({"responseModalities": []}, True),
        ({"responseModalities": [None, {}]}, True),
        ({}, True),
    ],
)
def test_what_gemini_is_to_answer_with(config: dict[str, Any], has_place: bool) -> None:
    assert bool(placed("agenerate_content", {**GEMINI, "generationConfig": config}).refused) is not has_place
