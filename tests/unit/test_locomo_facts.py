"""The benchmark reads LoCoMo's recorded facts as an extraction: on a small sample of its shape, written for this."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.core.records import Memory
from tests.benchmarks.conversations import Question, load_locomo
from tests.benchmarks.evidence import ALL, Tally

SAMPLE: dict[str, Any] = {
    "sample_id": "conv-0",
    "conversation": {
        "speaker_a": "Ida",
        "speaker_b": "Leo",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ida", "dia_id": "D1:1", "text": "Hi Leo!"},
            {"speaker": "Leo", "dia_id": "D1:2", "text": "I sold my boat.", "blip_caption": "a photo of a boat"},
            {"speaker": "Ida", "dia_id": "D1:3", "text": "Oh no! I bought a canoe."},
            {"speaker": "Leo", "dia_id": "D1:4", "text": "Well done."},
            {"speaker": "Ida", "dia_id": "D1:5", "text": "My cat is called Momo."},
        ],
        "session_2_date_time": "10:00 am on 1 June, 2023",
        "session_2": [{"speaker": "Leo", "dia_id": "D2:1", "text": "I moved to Riga."}],
        "session_3": [],
    },
    "observation": {
        "session_1_observation": {
            "Leo": [["Leo sold his boat.", "D1:2"]],
            "Ida": [
                ["Ida bought a canoe.", ["D1:3"]],
                ["Ida has a cat called Momo.", "D1:5, D1:99"],
                ["Ida and Leo talked of boats.", ["D1:2", "D1:3"]],
                ["Nobody knows where this is from.", ""],
                ["Nor this.", "D7:1"],
            ],
        },
        "session_2_observation": {"Leo": [["Leo lives in Riga.", "(D2:1)"]]},
    },
    "session_summary": {"session_1_summary": "They talked of boats and a cat."},
    "qa": [
        {"question": "What did Leo sell?", "answer": "his boat", "evidence": ["D1:2"], "category": 4},
        {"question": "How old is Ida?", "adversarial_answer": "9", "evidence": ["D1:1"], "category": 5},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conv-0.json").write_text(json.dumps(SAMPLE))
    return tmp_path


def by_content(memories: tuple[Memory, ...]) -> dict[str, Memory]:
    return {memory.content: memory for memory in memories}


def test_facts_rest_on_messages_of_their_session_however_their_ids_are_written(folder: Path) -> None:
    [conversation] = load_locomo(folder, facts=True)
    facts = by_content(conversation.memories)
    assert {content: memory.sources for content, memory in facts.items()} == {
        "Leo sold his boat.": ("D1:2",),
        "Ida bought a canoe.": ("D1:3",),
        "Ida has a cat called Momo.": ("D1:5",),
        "Ida and Leo talked of boats.": ("D1:2", "D1:3"),
        "Leo lives in Riga.": ("D2:1",),
    }, "what rests on nothing that was said is left out"
    assert facts["Leo lives in Riga."].session == "D2"
    [first, _] = conversation.sessions
    assert facts["Ida has a cat called Momo."].created_at == first.at["D1:5"]
    assert facts["Ida and Leo talked of boats."].created_at == first.at["D1:3"], "told with its last message"
    assert load_locomo(folder, facts=True) == [conversation], "the same ids each time"


def test_each_fact_takes_a_place_and_counts_for_all_that_it_rests_on() -> None:
    question = Question("?", {"D1:1": (), "D1:2": (), "D2:1": ()}, "c")
    others = [(f"D3:{n}", (f"D3:{n}",)) for n in range(4)]
    tally = Tally()
    tally.ranking(
        question, [("D9:9", ("D9:9",)), ("D9:9", ("D9:9",)), ("f", ("D1:1", "D1:2")), *others, ("g", ("D2:1",))]
    )
    figures = tally.means()[ALL]
    assert figures["MRR"] == pytest.approx(50), "the second place: the same message again takes none"
    assert figures["R@5"] == pytest.approx(100 * 2 / 3)
    assert figures["R@10"] == 100
