"""What `recallr reindex` copies, and which collection a gateway then uses."""

from __future__ import annotations

import pytest

from recallr_litellm.core.knowledge import ConflictStatus
from recallr_litellm.core.owner import Project
from recallr_litellm.errors import ConfigurationError, EmbeddingMisconfigured, EmbeddingMismatch, EmbeddingUnavailable
from recallr_litellm.reindex import Reindex
from recallr_litellm.stores.vectors.collections import current_of, name_of
from recallr_litellm.stores.vectors.points import Description, meta_point
from recallr_litellm.stores.vectors.schema import HIT
from tests.unit.reindex.kit import ADA, AT, BOB, EVE, NEW, NEW_NAME, OLD_NAME, OWNERS, Gateway, Hashing, Store


async def stocked(store: Store, model: Hashing, sessions: int = 2) -> Gateway:
    """A gateway of this model that remembers so many sessions of each owner, of 9 points and a user."""
    gateway = await store.gateway(model)
    for owner in OWNERS:
        for number in range(sessions):
            await gateway.session(owner, f"s{number}", f"{owner.user} of {owner.project} has {number} cats.", "Good.")
    return gateway


async def test_everything_is_embedded_anew_and_used_from_the_next_start(
    store: Store, old: Hashing, new: Hashing
) -> None:
    await stocked(store, old)
    with pytest.raises(EmbeddingMismatch, match="recallr reindex"):
        await store.gateway(new)

    outcome = await store.reindex(new)
    assert (outcome.collection, outcome.in_use, outcome.old) == (NEW_NAME, False, (OLD_NAME,))
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)
    await store.assert_embedded_with(new, NEW_NAME)
    assert (await store.gateway(old)).vectors.collection == OLD_NAME, "the old setting is refused before the change"

    gateway = await store.gateway(new)
    assert gateway.vectors.collection == NEW_NAME
    assert await gateway.said(ADA, "s1") == ["ada of acme has 1 cats.", "Good."]
    with pytest.raises(EmbeddingMismatch, match="recallr reindex"):
        await store.gateway(old)  # what the new gateway remembers would be missing


async def test_what_was_learned_moves_along(store: Store, old: Hashing, new: Hashing) -> None:
    gateway = await stocked(store, old, sessions=1)
    await gateway.knows(ADA)
    await store.reindex(new)
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)
    await store.assert_embedded_with(new, NEW_NAME)

    vectors = (await store.gateway(new)).vectors
    [current] = await vectors.get_memories(ADA, ["a" * 32])
    versions = await vectors.versions(ADA, [current.id])
    assert [one.content for one in (*versions[current.id], current)] == ["Lived in Porto.", "Lives in Rome."]
    assert "Lives in Rome.\nWhere do I live?" in new.embedded
    assert [one.content for one in await vectors.conflicts(ADA)] == ["In Paris."]
    [extraction] = await vectors.extractions(ADA, "s0")
    assert [fact.text for fact in extraction.facts] == ["Lives in Rome."]
    assert (await vectors.audit(Project(ADA.project), 5))[1] == 1


async def test_the_way_back_takes_along_what_came_since(store: Store, old: Hashing, new: Hashing) -> None:
    await stocked(store, old)
    await store.reindex(new)
    gateway = await store.gateway(new)
    await gateway.session(BOB, "s9", "Bob moved to Graz.")
    old.embedded.clear()

    await store.reindex(old)
    assert set(old.embedded) == {
        "Bob moved to Graz.",
        "Bob moved to Graz. Second part.",
        "Summary of s9: Bob moved to Graz.",
    }
    assert await (await store.gateway(old)).said(BOB, "s9") == ["Bob moved to Graz."]
    with pytest.raises(EmbeddingMismatch):
        await store.gateway(new)  # it was a finished copy once, and would now be an outdated one


async def test_nothing_remembered_is_nothing_to_do(store: Store, new: Hashing) -> None:
    assert await Reindex(store.collections, new, store.sparse, on_progress=lambda *_: None).run() is None
    assert await store.collections.names() == [], "a collection was made"


async def test_it_goes_on_where_it_was_cut_off_and_an_unfinished_copy_is_refused(
    store: Store, old: Hashing, new: Hashing
) -> None:
    await stocked(store, old)
    new.fails_after = 20
    with pytest.raises(EmbeddingUnavailable):
        await store.reindex(new)
    with pytest.raises(EmbeddingMismatch, match="did not come to its end"):
        await store.gateway(new)

    new.fails_after = None
    await store.reindex(new)
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)
    assert len(new.embedded) == len([one for one in (await store.points(NEW_NAME)).values() if HIT in one]), (
        "texts were embedded again"
    )


async def test_a_text_that_the_model_refuses_is_kept_without_a_vector(store: Store, old: Hashing, new: Hashing) -> None:
    gateway = await stocked(store, old)
    await gateway.session(ADA, "s5", "Unspeakable.", "What Ada said next.")
    new.refuses = "Unspeakable"
    outcome = await store.reindex(new)
    assert outcome.refused == 3, "two passages and the summary"
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)
    assert await (await store.gateway(new)).said(ADA, "s5") == ["Unspeakable.", "What Ada said next."]
    assert "What Ada said next." in new.embedded


async def test_a_model_that_refuses_everything_is_not_taken_for_refused_texts(
    store: Store, old: Hashing, new: Hashing
) -> None:
    await stocked(store, old)

    async def break_down() -> None:
        new.refuses = "o" if new.embedded else ""  # which every text holds

    new.before_each = break_down
    with pytest.raises(EmbeddingMisconfigured):
        await store.reindex(new)


async def test_what_a_gateway_writes_and_deletes_meanwhile_is_followed(
    store: Store, old: Hashing, new: Hashing
) -> None:
    gateway = await stocked(store, old)

    async def write() -> None:
        new.before_each = None
        await gateway.session(ADA, "s0", "Ada has sold her cats.", at=AT + 1)  # the old messages go
        await gateway.session(EVE, "s7", "Eve has a dog.")

    new.before_each = write
    await store.reindex(new)
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)

    await gateway.session(BOB, "s0", "Bob has one cat less.", at=AT + 2)
    assert (await store.reindex(new)).changed == 4, "it does not know what has changed since"
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)
    await store.assert_embedded_with(new, NEW_NAME)


async def test_after_the_change_only_what_the_old_gateways_wrote_late_is_brought(
    store: Store, old: Hashing, new: Hashing
) -> None:
    before = await stocked(store, old)
    await store.reindex(new)
    after = await store.gateway(new)
    await after.session(ADA, "s0", "Ada has five cats now.", at=AT + 5)
    await after.session(ADA, "s3", "Ada likes tea.")
    await before.session(BOB, "s8", "Bob said this to an old gateway.")

    outcome = await store.reindex(new)
    assert outcome.in_use
    assert await after.said(BOB, "s8") == ["Bob said this to an old gateway."]
    assert await after.said(ADA, "s0") == ["Ada has five cats now."], "an older state has come back"
    session = await after.vectors.get_session(ADA, "s0")
    assert session is not None
    assert session.last_at == AT + 5, "the older record of the session has come back"
    assert await after.said(ADA, "s3") == ["Ada likes tea."]
    await store.assert_embedded_with(new, NEW_NAME)
    assert (await store.reindex(new)).changed == 0


async def test_after_the_change_what_an_old_gateway_ended_settled_or_learned_late_is_brought(
    store: Store, old: Hashing, new: Hashing
) -> None:
    before = await stocked(store, old, sessions=1)
    await before.knows(ADA)
    await store.reindex(new)
    after = (await store.gateway(new)).vectors
    [memory], [conflict] = await after.get_memories(ADA, ["a" * 32]), await after.conflicts(ADA)
    await before.vectors.update_memories(ADA, [memory.model_copy(update={"expired_at": AT + 9})])
    resolved = {"status": ConflictStatus.RESOLVED, "resolved_at": AT + 9}
    await before.vectors.put_conflict(ADA, conflict.model_copy(update=resolved))
    await before.vectors.mark_learned(ADA, "s0")

    await store.reindex(new)
    [memory], [conflict] = await after.get_memories(ADA, ["a" * 32]), await after.conflicts(ADA)
    assert (memory.expired_at, conflict.status) == (AT + 9, ConflictStatus.RESOLVED)
    assert await after.count_unlearned(ADA) == 0
    assert (await store.reindex(new)).changed == 0
    await after.update_memories(ADA, [memory.model_copy(update={"expired_at": AT + 8})])
    assert (await store.reindex(new)).changed == 0, "what is in use stays as it is"


async def test_a_deletion_reaches_every_collection(store: Store, old: Hashing, new: Hashing) -> None:
    await stocked(store, old)
    await store.reindex(new)
    after = await store.gateway(new)
    await after.session(ADA, "s0", "Nothing about cats.", at=AT + 1)
    left = [str(payload) for payload in (await store.points(OLD_NAME)).values()]
    assert not [one for one in left if "ada of acme has 0 cats" in one and '"summary"' not in one]
    assert [one for one in left if "ada of acme has 1 cats" in one], "another session was deleted too"
    assert [one for one in left if "ada of globex has 0 cats" in one], "another owner's session was deleted too"


async def test_of_two_at_once_the_later_one_ends_it(store: Store, old: Hashing, new: Hashing) -> None:
    await stocked(store, old)

    async def overtake() -> None:
        new.before_each = None
        await store.reindex(Hashing(*NEW))

    new.before_each = overtake
    with pytest.raises(ConfigurationError, match="Another `recallr reindex`"):
        await store.reindex(new)
    assert await store.points(NEW_NAME) == await store.points(OLD_NAME)
    await store.gateway(new)


async def test_a_run_stops_when_a_gateway_uses_its_copy(store: Store, old: Hashing, new: Hashing) -> None:
    await stocked(store, old)
    await store.reindex(new)

    async def start() -> None:  # of another run, which was quicker
        late.before_each = None
        description = Description(new.name, new.dimension, source=OLD_NAME, ready=True)
        await store.collections.engine(NEW_NAME).upsert([meta_point(description)])
        await (await store.gateway(new)).session(ADA, "s4", "Only the new gateway knows this.")

    late = Hashing(*NEW, before_each=start)
    await (await store.gateway(old)).session(BOB, "s5", "One more.")
    with pytest.raises(ConfigurationError, match="a gateway uses it"):
        await store.reindex(late)
    assert await (await store.gateway(new)).said(ADA, "s4") == ["Only the new gateway knows this."]


async def test_the_old_collections_are_deleted_on_demand_once_they_are_not_used(
    store: Store, old: Hashing, new: Hashing
) -> None:
    await stocked(store, old)
    await store.reindex(new)
    job = Reindex(store.collections, new, store.sparse, on_progress=lambda *_: None)
    with pytest.raises(ConfigurationError, match=f"still use {OLD_NAME}"):
        await job.drop_old()
    await store.gateway(new)
    assert await job.drop_old() == [OLD_NAME]
    assert await store.collections.names() == [NEW_NAME]


@pytest.mark.parametrize("names", [["recallr"], ["recallr", "recallr-reindexed-2"]])
async def test_the_collections_of_earlier_versions_are_used_as_they_are(
    store: Store, old: Hashing, new: Hashing, names: list[str]
) -> None:
    for name in names:  # the last is the current one; the first was kept
        engine = store.collections.engine(name)
        await engine.open(old.dimension)
        await engine.upsert([meta_point(Description(old.name, old.dimension))])
    if len(names) > 1:
        await store.collections.point_to(names[-1])
    gateway = await store.gateway(old)
    assert gateway.vectors.collection == names[-1]
    await gateway.session(ADA, "s0", "Ada has a cat.")
    with pytest.raises(EmbeddingMismatch, match=names[-1]):
        await store.gateway(new)

    assert (await store.reindex(new)).collection == NEW_NAME
    assert await (await store.gateway(new)).said(ADA, "s0") == ["Ada has a cat."]
    assert await store.points(NEW_NAME) == await store.points(names[-1])


async def test_without_a_pointer_what_is_remembered_is_still_found(store: Store, old: Hashing, new: Hashing) -> None:
    await stocked(store, old)  # as of a restored backup: no pointer was ever set
    current = await current_of(store.collections, new.name)
    assert current is not None
    assert current.name == OLD_NAME
    with pytest.raises(EmbeddingMismatch, match=OLD_NAME):
        await store.gateway(new)


async def test_a_store_whose_name_begins_alike_is_left_alone(store: Store, old: Hashing, new: Hashing) -> None:
    await stocked(store, old)
    other = name_of("recallr-staging", old.name)
    engine = store.collections.engine(other)
    await engine.open(old.dimension)
    await engine.upsert([meta_point(Description(old.name, old.dimension))])
    assert (await store.reindex(new)).old == (OLD_NAME,)
    await store.gateway(new)
    await Reindex(store.collections, new, store.sparse, on_progress=lambda *_: None).drop_old()
    assert sorted(await store.collections.names()) == sorted([NEW_NAME, other])
