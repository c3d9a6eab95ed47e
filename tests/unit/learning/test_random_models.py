"""Lives that are learned by a model that decides at random, from sessions in any order, while people correct.

Whatever it decides: no fact is lost, no memory doubled, nothing by hand overwritten, versions are in order, and
learning all of it again changes nothing.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any, cast

import pytest

from recallr_litellm.core.facts import Outcome
from recallr_litellm.core.owner import Owner
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.services.memories import Memories
from recallr_litellm.services.sessions import SessionService
from tests.unit.learning.conftest import World

TOLD = [
    *({"text": f"User lives in {place}.", "attribute": "home"} for place in ("Rome", "Porto", "Oslo", "Bern")),
    *({"text": f"User has a dog named {name}.", "attribute": "pet"} for name in ("Rex", "Bello", "Fido")),
    {"text": "User has two dogs.", "attribute": "pet"},
    {"text": "User is vegan.", "attribute": "diet"},
    {"text": "User eats meat.", "attribute": "diet"},
    {"text": "User no longer eats meat.", "attribute": "diet", "negated": True},
    {"text": "User never lived in Oslo.", "attribute": "home", "negated": True},
    {"text": "User takes 10 mg.", "attribute": "medication"},
    {"text": "User takes 20 mg.", "attribute": "medication"},
    {"text": "User's sister Mia lives in Rome.", "attribute": "home", "subject": "Mia"},
]
SESSIONS = 12


def decide(chance: random.Random, text: str) -> str:
    """Anything that a model may answer."""
    decisions = [
        {"fact": number, "outcome": str(chance.choice([*Outcome])), "memory": chance.randint(0, 4), "text": "Ok."}
        for number in range(1, text.count("FACT ") + 1)
        if chance.random() < 0.9
    ]
    chance.shuffle(decisions)
    return json.dumps({"decisions": decisions}) if chance.random() < 0.95 else "As a model I cannot."


async def corrected(memories: Memories, owner: Owner, id: str, chance: random.Random, by_hand: dict[str, str]) -> None:
    """Have a person change a memory."""
    match chance.choice(["edit", "invalidate", "pin"]):
        case "edit":
            by_hand[id] = f"By hand {len(by_hand)}."
            await memories.edit(owner, id, by_hand[id])
        case "invalidate":
            by_hand.pop(id, None)
            await memories.invalidate(owner, id)
        case "pin":
            await memories.pin(owner, id, pinned=True)


@pytest.mark.parametrize("seed", range(3))
async def test_no_decision_loses_doubles_or_overwrites_anything(world: World, seed: int) -> None:
    chance, owner = random.Random(seed), Owner("p", f"user {seed}")
    memories = Memories(
        cast(SessionService, None), world.learner._knowing, forget_explained=world.state.forget_explained
    )
    world.rules = Rules(conflicts=seed % 2 == 0)
    world.model.decisions = lambda _name, text: decide(chance, text)
    by_hand: dict[str, str] = {}
    for number in range(SESSIONS):
        told: list[dict[str, Any]] = [
            {**one, "evidence": [line]} for line, one in enumerate(chance.sample(TOLD, chance.randint(1, 3)), 1)
        ]
        world.model.facts = lambda _name, _text, told=told: json.dumps({"facts": told})  # type: ignore[misc]
        day = f"2025-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
        lines = [f"user: {one['text'].replace('User', 'Ben')}" for one in told]
        await world.learned(f"{seed}-{number}", *lines, day=day, owner=owner)
        current = [one.id for one in await world.memories(owner) if one.expired_at is None]
        if chance.random() < 0.3:
            await corrected(memories, owner, chance.choice(current), chance, by_hand)

    known = await world.memories(owner)
    texts = Counter(one.content for one in known if one.expired_at is None and one.content not in by_hand.values())
    assert not [text for text, times in texts.items() if times > 1], "a memory is doubled"
    there = {one.id: one for one in known}
    assert {id: there[id].content for id in by_hand} == by_hand
    assert not [id for id in by_hand if there[id].expired_at is not None], "what a person wrote was ended"
    conflicts = await world.vectors.conflicts(owner)
    for extraction in await world.vectors.extractions(owner):
        for fact in extraction.facts:
            of_it = [one for one in known if one.fact == fact.id or set(fact.sources) <= set(one.sources)]
            asked = [one for one in conflicts if one.proposed == fact.id]
            assert of_it or asked, f"lost: {fact.text}"
    for one in known:
        earlier = (await world.vectors.versions(owner, [one.id]))[one.id]
        assert all(version.expired_at is not None for version in earlier), "two versions are current"
        assert [*earlier, one] == sorted([*earlier, one], key=lambda version: version.created_at)
        assert not one.chain or one.chain in there, "a version without its memory"
    for number in range(SESSIONS):
        await world.learner.learn(owner, f"{seed}-{number}")
    assert await world.memories(owner) == known
