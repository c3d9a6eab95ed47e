"""What becomes of a fact beside what is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from recallr_litellm.core.facts import Decision, Fact, Outcome
from recallr_litellm.core.knowledge import Attribute, EntityName, Origin, Reason
from recallr_litellm.core.records import Memory
from recallr_litellm.learning.decisions import decided
from recallr_litellm.learning.duplicates import Known, candidates, same_as
from recallr_litellm.learning.versions import Changes, changes, edited, new_memory, reverted, without_versions
from tests.unit.learning.kit import at, fact

S = "session"


def known(text: str, day: str = "2025-03-01", **fields: Any) -> Memory:
    return new_memory(fact(text, day, **fields), S)


def carried_out(outcome: Outcome, one: Fact, memory: Memory, *earlier: Memory, **options: Any) -> Changes:
    text = options.pop("text", "")
    decision = Decision(fact=one.id, outcome=outcome, memory=memory.id, text=text)
    found = changes(decision, one, S, memory, earlier, **{"conflicts": False, **options})
    assert found is not None
    return found


def chain(*facts: tuple[str, str]) -> list[Memory]:
    """The versions that come of facts (text, day) that each change the one before, in that order; the current last."""
    first, *later = (fact(text, day, attribute=Attribute.HOME) for text, day in facts)
    current, earlier = new_memory(first, S), {}
    for one in later:
        for written in carried_out(Outcome.CHANGE, one, current, *earlier.values()).memories:
            if written.id == current.id:
                current = written
            else:
                earlier[written.id] = written
    return [*sorted(earlier.values(), key=lambda version: version.created_at), current]


def test_changes_make_one_chain_whose_memory_keeps_its_id() -> None:
    versions = chain(("Porto", "2025-05-01"), ("Lisbon", "2025-06-01"), ("Rome", "2025-07-01"))
    assert [version.content for version in versions] == ["Porto", "Lisbon", "Rome"]
    assert [version.expired_at for version in versions] == [at("2025-06-01"), at("2025-07-01"), None]
    assert [version.expiration_reason for version in versions] == [Reason.CHANGE, Reason.CHANGE, None]
    assert {version.chain or version.id for version in versions} == {versions[-1].id}


def test_what_is_heard_late_becomes_a_past_version() -> None:
    in_order = chain(("Porto", "2025-01-01"), ("Lisbon", "2025-02-01"), ("Rome", "2025-03-01"))
    late = chain(("Porto", "2025-01-01"), ("Rome", "2025-03-01"), ("Lisbon", "2025-02-01"))
    assert [(v.content, v.expired_at) for v in late] == [(v.content, v.expired_at) for v in in_order]


def test_what_is_heard_late_and_known_of_that_time_is_evidence_of_it() -> None:
    porto, rome = chain(("Porto", "2025-01-01"), ("Rome", "2025-03-01"))
    late = fact("Porto", "2025-02-01", attribute=Attribute.HOME, sources=("late",))
    [again] = carried_out(Outcome.CHANGE, late, rome, porto).memories
    assert again == porto.model_copy(update={"sources": (*porto.sources, "late")})
    assert carried_out(Outcome.CHANGE, late, rome, again) == Changes((again,)), "the same once more"
    back = fact("Porto", "2025-05-01", attribute=Attribute.HOME)
    assert [one.content for one in carried_out(Outcome.CHANGE, back, rome, porto).memories] == ["Rome", "Porto"]


def test_a_former_job_does_not_end_the_present_one() -> None:
    now = known("User works at Siemens.", attribute=Attribute.JOB)
    then = fact("User was at Bosch in 2024.", "2025-05-01", start=at("2024-01-01"), end=at("2024-12-31"))
    assert then.end is not None
    [past] = carried_out(Outcome.CHANGE, then, now.model_copy(update={"event_start": at("2025-01-01")})).memories
    assert (past.chain, past.expired_at) == (now.id, then.end)


def test_an_addition_keeps_every_detail_of_both() -> None:
    memory = known("User has two children, Tom and Ana.")
    born = fact("Leo was born on 3 May.")
    answer = [{"fact": 1, "outcome": "addition", "memory": 1, "text": "User has three children."}]
    [decision], _ = decided(json.dumps({"decisions": answer}), [born], [[memory]]) or ([], [])
    before, after = carried_out(Outcome.ADDITION, born, memory, text=decision.text).memories
    assert before.expiration_reason is Reason.ADDITION
    assert all(name in after.content for name in ("Tom", "Ana", "Leo", "3 May"))
    assert set(after.sources) == {*memory.sources, *born.sources}


def test_the_same_once_more_is_evidence_and_changes_nothing_else() -> None:
    memory = known("User is vegan.")
    [after] = carried_out(Outcome.SAME, fact("Je suis végane"), memory).memories
    assert after == memory.model_copy(update={"sources": after.sources})
    assert len(after.sources) == 2


def test_a_contradiction_becomes_a_question_where_the_user_is_asked() -> None:
    memory, other = known("Dose 10 mg."), fact("Dose 20 mg.")
    answered = {"question": "Which dose?", "options": ["10 mg", "20 mg"]}
    answer = {"decisions": [{"fact": 1, "outcome": "contradiction", "memory": 1, "questions": [answered]}]}
    [decision], _ = decided(json.dumps(answer), [other], [[memory]]) or ([], [])
    asked = changes(decision, other, S, memory, (), conflicts=True)
    assert asked is not None
    assert asked.conflict is not None
    assert [question.options for question in asked.conflict.questions] == [("10 mg", "20 mg")]
    assert [(m.content, m.conflict, m.expired_at) for m in asked.memories] == [("Dose 10 mg.", asked.conflict.id, None)]
    stands = changes(decision, other, S, memory, (), conflicts=False)
    assert stands is not None
    assert stands.memories[-1].content == "Dose 20 mg."
    assert stands.memories[0].expiration_reason is Reason.CONTRADICTION


@pytest.mark.parametrize("outcome", [Outcome.CHANGE, Outcome.ADDITION, Outcome.CORRECTION])
def test_what_a_person_wrote_is_never_overwritten(outcome: Outcome) -> None:
    memory = edited(known("User lives in Porto."), "User lives in Faro.", at("2025-04-01")).memories[-1]
    result = carried_out(outcome, fact("User lives in Rome."), memory)
    assert result.conflict is not None
    assert [(m.content, m.expired_at) for m in result.memories] == [("User lives in Faro.", None)]


def test_carrying_a_decision_out_again_writes_nothing_new() -> None:
    memory, one = known("Porto"), fact("Rome")
    decision = Decision(fact=one.id, outcome=Outcome.CHANGE, memory=memory.id)
    before, after = carried_out(Outcome.CHANGE, one, memory).memories
    assert changes(decision, one, S, after, (before,), conflicts=False) == Changes()


def test_a_memory_that_is_gone_has_to_be_decided_anew() -> None:
    decision = Decision(fact=fact("Rome").id, outcome=Outcome.CHANGE, memory="0" * 32)
    assert changes(decision, fact("Rome"), S, None, (), conflicts=False) is None


def test_reverting_to_a_version() -> None:
    first, second = (edited(known("Porto"), "Rome", at("2025-06-01"))).memories
    again = reverted(second, first, at("2025-07-01")).memories
    assert [m.content for m in again] == ["Rome", "Porto"]
    assert again[-1].origin is Origin.BY_HAND
    assert again[-1].id == second.id


@pytest.mark.parametrize(
    ("deleted", "left"),
    [
        ("Porto", ["Lisbon until 2025-07-01", "Rome"]),
        ("Lisbon", ["Porto until 2025-07-01", "Rome"]),
        ("Rome", ["Porto until 2025-06-01", "Lisbon"]),
        ("Lisbon Rome", ["Porto"]),
        ("Porto Lisbon", ["Rome"]),
        ("Porto Lisbon Rome", []),
    ],
)
def test_what_is_left_of_a_chain_fits_together(deleted: str, left: list[str]) -> None:
    *earlier, memory = chain(("Porto", "2025-05-01"), ("Lisbon", "2025-06-01"), ("Rome", "2025-07-01"))
    goes = {one.id for one in (*earlier, memory) if one.content in deleted}
    found = without_versions(memory, earlier, goes)
    there = {one.id: one for one in (*earlier, memory) if one.id not in goes} | {one.id: one for one in found.memories}
    versions = sorted((one for id, one in there.items() if id not in found.deleted), key=lambda one: one.created_at)

    def told(one: Memory) -> str:
        if one.expired_at is None:
            return one.content
        return f"{one.content} until {datetime.fromtimestamp(one.expired_at / 1000, UTC):%Y-%m-%d}"

    assert [told(one) for one in versions] == left
    assert [one.reason for one in versions[:1]] == [Reason.INITIAL][: len(left)]
    assert all(one.expiration_reason is Reason.CHANGE for one in versions[:-1])
    assert [one.id for one in versions[-1:]] == [memory.id][: len(left)]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"fact": 1, "outcome": "change", "memory": 9}, Outcome.NEW),
        ({"fact": 1, "outcome": "change", "memory": 0}, Outcome.NEW),
        ({"fact": 1, "outcome": "delete", "memory": 1}, Outcome.NEW),
        ({"fact": 7, "outcome": "change", "memory": 1}, Outcome.NEW),
        ({"fact": "1", "outcome": "change", "memory": 1}, Outcome.NEW),
        ({"fact": 1, "outcome": "CHANGE", "memory": 1}, Outcome.CHANGE),
    ],
)
def test_nonsense_makes_a_fact_new(item: dict[str, Any], expected: Outcome) -> None:
    one, memory = fact("Rome", attribute=Attribute.HOME), known("Porto", attribute=Attribute.HOME)
    [decision], waiting = decided(json.dumps({"decisions": [item]}), [one], [[memory]]) or ([], [])
    assert decision.outcome is expected
    assert not waiting


def test_what_is_about_somebody_else_ends_nothing() -> None:
    memory = known("User is allergic to nuts.", attribute=Attribute.ALLERGY)
    hers = fact("User's sister Mia is not allergic.", subject="Mia", attribute=Attribute.ALLERGY, negated=True)
    answer = {"decisions": [{"fact": 1, "outcome": "change", "memory": 1}]}
    [decision], _ = decided(json.dumps(answer), [hers], [[memory]]) or ([], [])
    assert decision.outcome is Outcome.NEW


def test_no_longer_is_never_evidence_of_what_it_ends() -> None:
    memory, ended = known("User drinks coffee."), fact("User drinks no coffee anymore.", negated=True)
    answer = {"decisions": [{"fact": 1, "outcome": "same", "memory": 1}]}
    [decision], _ = decided(json.dumps(answer), [ended], [[memory]]) or ([], [])
    assert decision.outcome is Outcome.CHANGE


def test_only_one_fact_of_a_call_changes_a_memory() -> None:
    memory = known("Porto", attribute=Attribute.HOME)
    facts = [fact("Lisbon", attribute=Attribute.HOME), fact("Rome", attribute=Attribute.HOME)]
    answer = {"decisions": [{"fact": n, "outcome": "change", "memory": 1} for n in (1, 2)]}
    decisions, waiting = decided(json.dumps(answer), facts, [[memory], [memory]]) or ([], [])
    assert [decision.fact for decision in decisions] == [facts[0].id]
    assert waiting == [facts[1]]


def test_an_unreadable_decision_is_none() -> None:
    assert decided("No.", [fact("Rome")], [[]]) is None


@pytest.mark.parametrize(
    ("text", "cosine", "same"),
    [
        ("user weighs 80 kg!", 0.2, True),  # the same words
        ("User has a weight of 80 kg.", 0.98, True),
        ("User has a weight of 81 kg.", 0.99, False),
        ("User has a weight of 80 kg.", 0.90, False),
        ("Ana has a weight of 80 kg.", 0.99, False),
    ],
)
def test_near_duplicates_are_settled_without_a_model_where_no_detail_differs(
    text: str, cosine: float, same: bool
) -> None:
    memory = known("User weighs 80 kg.")
    assert (same_as(fact(text), [Known(memory, cosine)]) is memory) is same


def test_negation_is_never_folded() -> None:
    assert same_as(fact("User eats meat", negated=True), [Known(known("User eats meat"), 1.0)]) is None


def test_similarity_only_nominates_and_no_more_than_five() -> None:
    pet = known("User has a cat.", attribute=Attribute.PET)
    other = known("Mia has a cat.", subject="Mia", attribute=Attribute.PET)
    far = known("User likes tea.", attribute=Attribute.TASTE)
    near = known("User is fond of cats.", attribute=Attribute.TASTE)
    entity = known("Rex is ill.", entities=(EntityName(name="Rex"),), attribute=Attribute.HEALTH)
    one = fact("User has a dog, Rex.", attribute=Attribute.PET, entities=(EntityName(name="rex"),))
    asked = [Known(pet, 0.4), Known(other, 0.9), Known(far, 0.1), Known(near, 0.6), Known(entity, 0.2)]
    assert candidates(one, asked) == [near, pet, entity]
    assert len(candidates(one, [Known(pet, 0.5)] * 9)) == 5
