"""Facts in are versions, duplicates, conflicts and rejections out, and every memory leads to its messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from recallr_litellm.core.owner import Owner
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.stores.embedding import SparseEncoder
from tests.benchmarks.conversations import Conversation, Said, Spoken, remember
from tests.benchmarks.facts import Account, Observed, account, names
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER


def lives(place: str, **more: object) -> dict[str, object]:
    return {"text": f"User lives in {place}.", "attribute": "home", **more}


async def test_facts_in_are_versions_duplicates_conflicts_and_rejections_out(world: World) -> None:
    world.rules = Rules(conflicts=True)
    world.model.says(
        {
            "in Porto": [lives("Porto"), lives("Faro", modality="hypothetical")],
            "Porto it is": [lives("Porto")],
            "moved": [lives("Rome")],
            "Rex": [{"text": "User has a dog named Rex.", "attribute": "pet"}],
            "10 mg": [{"text": "User takes 10 mg of the drug.", "attribute": "medication"}],
            "20 mg": [{"text": "User takes 20 mg of the drug.", "attribute": "medication"}],
            "nobody": [{"text": "Somebody likes tea.", "evidence": [99]}],
        }
    )
    world.model.decides({"Rome": ("change", "Porto"), "20 mg": ("contradiction", "10 mg")})
    told, script = 0, world.model.facts

    def counting(name: str, text: str) -> str:
        nonlocal told
        answer = script(name, text)
        told += len(json.loads(str(answer))["facts"])
        return str(answer)

    world.model.facts = counting
    await world.learned("s1", "user: I live in Porto.", "user: I take 10 mg.", "user: nobody there", day="2025-05-01")
    await world.learned("s2", "user: Yes, Porto it is.", "user: My dog is Rex.", day="2025-05-02")
    await world.learned("s3", "user: I moved to Rome.", "user: I take 20 mg of the drug.", day="2025-06-01")
    found = await account(world.vectors, OWNER, ["s1", "s2", "s3"], told)
    assert found == Account(told=8, versions=4, duplicates=1, conflicts=1, rejected=2, untraceable=())
    assert found.balanced


async def test_recorded_facts_of_a_conversation_are_learned_and_accounted_for(world: World) -> None:
    def spoken(id: str, day: int, *told: tuple[str, str], observed: tuple[Observed, ...]) -> Spoken:
        said = tuple(Said(f"{id}:{n}", "user" if who == "Ana" else "assistant", f"{who}: {text}")
                     for n, (who, text) in enumerate(told, 1))  # fmt: skip
        return Spoken(id, datetime(2025, 5, day, tzinfo=UTC), said, observed=observed)

    bees = Observed("Ben", False, "Ben keeps bees.", ("D1:2",))
    swims = "Ana swims in Lake Como with her sister Mia every single Sunday morning."
    conversation = Conversation(
        "made up",
        (
            spoken(
                "D1",
                1,
                ("Ana", "Every Sunday morning I swim in Lake Como with Mia, my sister."),
                ("Ben", "I keep bees in Bergamo."),
                observed=(
                    Observed("Ana", True, swims, ("D1:1",)),
                    bees,
                ),
            ),
            spoken(
                "D2",
                8,
                ("Ana", "It was cold in Lake Como with my sister Mia."),
                ("Ben", "How far did you swim?"),
                observed=(
                    Observed("Ana", True, f"{swims[:-1]} again.", ("D2:1",)),
                    Observed("Ana", True, "Ana found Lake Como cold.", ("D2:1",)),
                ),
            ),
        ),
        (),
    )
    found = await remember(conversation, world.vectors, world.learner._knowing.embedder, SparseEncoder())
    assert found == Account(told=4, versions=3, duplicates=1, conflicts=0, rejected=0, untraceable=())
    memories = {one.content: one for one in await world.memories(Owner("benchmark", "made up"))}
    assert memories[swims].sources == ("D1:1", "D2:1")
    assert [one.name for one in memories[swims].entities] == ["Lake Como", "Mia", "Sunday"]
    assert memories["Ana found Lake Como cold."].id in memories[swims].connected


def test_names_are_found_plainly() -> None:
    text = "Ben's trip to the House of Music in New York was fun; Ben met Mia's friends."
    assert names(text, but="Ben") == ["House of Music", "New York", "Mia"]
