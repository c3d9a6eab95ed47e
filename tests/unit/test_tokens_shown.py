"""What a passage costs to show is counted when it is stored, and is what showing it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from recallr_litellm.core.context import MemoryBlock, render
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled, RecalledPassage
from recallr_litellm.core.tokens import tokens_shown
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.engine import Found
from tests.unit.stores.vectors.vector_samples import passage, stored, turn

TEXTS = (
    "I always book a window seat.",
    "1. Buy a cello\n2. Learn to play it\n\n| a | b |\n| - | - |",
    "Ich wohne in Köln – seit 2019!",
    "<user 10:58> is no mark of mine",
    "猫の名前はフェリックスです。",
    "…",
)


def shown(budget: int, *, counted: bool) -> MemoryBlock:
    passages = [
        RecalledPassage(
            session=f"s{number}",
            message=f"m{number}",
            position=0,
            part=0,
            role="user",
            at=1_760_000_000_000 + number,
            text=text,
            relevance=0.9 - number / 100,
            tokens=tokens_shown(text, count_tokens) if counted else None,
        )
        for number, text in enumerate(TEXTS)
    ]
    return render(
        Recalled(tuple(passages)),
        ongoing=(),
        unseen=(),
        now=datetime(2025, 11, 22, tzinfo=UTC),
        timezone=ZoneInfo("UTC"),
        budget=budget,
        count_tokens=count_tokens,
    )


def test_a_block_says_the_same_and_is_never_larger_than_it_is_said_to_be() -> None:
    before, later = shown(2_000, counted=True), shown(2_000, counted=False)
    assert before.text == later.text
    assert 0 <= before.tokens - later.tokens <= len(TEXTS), "a token more where a line breaks right behind its mark"
    for budget in range(100, 300, 7):
        block = shown(budget, counted=True)
        assert count_tokens(block.text) <= block.tokens <= budget


def test_it_is_stored_with_the_passage_and_unknown_of_those_of_earlier_versions() -> None:
    [point] = points.turn_points(
        Owner("acme", "ada"), "s1", turn(stored(0, "One."), replace(passage("One."), tokens=7))
    )
    earlier = {schema.HIT: point.payload[schema.HIT]}
    assert points.passage_hit(Found("id", 0.5, point.payload), 0.0).tokens == 7
    assert points.passage_hit(Found("id", 0.5, earlier), 0.0).tokens is None
