"""One search finds what is near in meaning and what shares words, and scores all of it both ways."""

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Hits, Span, SparseVector
from recallr_litellm.stores.vectors import VectorStore
from tests.unit.stores.vectors.vector_samples import (
    ADA,
    BOB,
    NO_TERMS,
    START,
    passage,
    session,
    stored,
    terms,
    towards,
    turn,
)

HALF_PRECISION = 2e-3


async def test_a_passage_comes_with_its_place_and_both_scores(store: VectorStore) -> None:
    message = stored(3, "first. second.", role="assistant", at=START + 9)
    first, second = passage("first.", 0, sparse=terms(1)), passage("second.", 1, sparse=terms(2))
    await store.save_session(ADA, session(), [turn(message, first, second)], None)

    hits, summaries, _, *_ = await store.search(ADA, towards(1), terms(2), exclude_sessions=())

    assert summaries == []
    hit = hits[0]
    assert (hit.session, hit.message, hit.position, hit.part, hit.parts) == ("s1", "m3", 3, 1, 2)
    assert (hit.role, hit.at, hit.text) == ("assistant", START + 9, "second.")
    assert hit.dense == pytest.approx(1.0, abs=HALF_PRECISION)
    assert hit.bm25 > 0
    assert (hits[1].text, hits[1].bm25) == ("first.", 0.0), "a passage without the word has no BM25 score"


async def test_what_only_words_find_has_its_exact_cosine(store: VectorStore) -> None:
    near = [turn(stored(n), passage(f"near {n}", 0, lean=n / 10)) for n in range(10)]
    far = turn(stored(10), passage("far", 0, lean=3.0, sparse=terms(7)))
    await store.save_session(ADA, session(), [*near, far], None)

    hits, *_ = await store.search(ADA, towards(0), terms(7), exclude_sessions=(), turn_candidates=3)

    assert [hit.text for hit in hits] == ["near 0", "near 1", "near 2", "far"], "the union of both, by cosine"
    assert hits[-1].dense == pytest.approx(float(towards(0) @ towards(0, 3.0)), abs=HALF_PRECISION)
    assert [hit.bm25 > 0 for hit in hits] == [False, False, False, True]


async def test_summaries_are_found_by_meaning_and_words(store: VectorStore) -> None:
    first = session("s1", summary="A trip to Lisbon.", last_at=START + 1)
    second = session("s2", summary="A new job.", last_at=START + 2)
    await store.save_session(ADA, first, [], passage(first.summary, 0, sparse=terms(1)))
    await store.save_session(ADA, second, [], passage(second.summary, 1, sparse=terms(2)))

    hits, summaries, _, *_ = await store.search(ADA, towards(0), terms(2), exclude_sessions=())

    assert hits == []
    assert [(hit.session, hit.summary, hit.created_at, hit.last_at) for hit in summaries] == [
        ("s1", first.summary, START, START + 1),
        ("s2", second.summary, START, START + 2),
    ]
    assert (summaries[0].bm25, summaries[1].bm25 > 0) == (0.0, True)


async def test_a_session_that_lost_its_summary_is_no_longer_found(store: VectorStore) -> None:
    await store.save_session(ADA, session(summary="old"), [], passage("old", sparse=terms(1)))
    await store.save_session(ADA, session(), [], None)
    assert await store.search(ADA, towards(0), terms(1), exclude_sessions=()) == Hits([], [], [], all_words=True)


async def test_excluded_sessions_are_not_found(store: VectorStore) -> None:
    for id in ("s1", "s2", "s3"):
        found = passage(f"in {id}", sparse=terms(1))
        await store.save_session(ADA, session(id, summary=f"of {id}"), [turn(stored(0), found)], found)

    hits, summaries, _, *_ = await store.search(ADA, towards(0), terms(1), exclude_sessions={"s1", "s3"})

    assert [hit.text for hit in hits] == ["in s2"]
    assert [hit.summary for hit in summaries] == ["of s2"]


async def test_a_search_of_a_time_finds_what_was_said_in_it_however_much_fits_better(store: VectorStore) -> None:
    better = [turn(stored(n, f"better {n}", at=START + n), passage("better", sparse=terms(1))) for n in range(20)]
    worse = turn(stored(20, "worse", at=START + 100), passage("worse", 1, sparse=terms(1, 2)))
    await store.save_session(ADA, session(last_at=START + 100), [*better, worse], None)

    async def found(since: int, until: int) -> tuple[list[str], list[str]]:
        within = Span(START + since, START + until)
        hits, _, _, *_ = await store.search(
            ADA, towards(0), terms(1), exclude_sessions=(), within=within, turn_candidates=1, summary_candidates=1
        )
        of_session = (
            await store.search_sessions(ADA, towards(0), terms(1), sessions=["s1"], limit=1, within=within)
        ).passages
        return [hit.text for hit in hits], [hit.text for hit in of_session]

    assert await found(100, 100) == (["worse"], ["worse"]), "both ends are included"
    assert await found(20, 99) == ([], [])
    assert [set(texts) for texts in await found(-9, 99)] == [{"better"}] * 2
    rarity = {}
    for within in (None, Span(START + 100, START + 100)):
        hits, _, _, *_ = await store.search(ADA, towards(1), terms(1, 2), exclude_sessions=(), within=within)
        rarity[within] = next(hit.bm25 for hit in hits if hit.text == "worse")
    assert len(set(rarity.values())) == 1, "a word is as rare as in all that the user said, not in that time"


async def test_what_is_known_of_a_session_is_not_fetched_again_but_gets_its_words(store: VectorStore) -> None:
    said = [passage(f"passage {n}", n, sparse=terms(1)) for n in range(6)]
    await store.save_session(ADA, session(), [turn(stored(n, "…"), one) for n, one in enumerate(said)], None)
    elsewhere = passage("elsewhere", sparse=terms(1))
    await store.save_session(ADA, session("s2"), [turn(stored(0, "…"), elsewhere)], None)

    known, _, _, *_ = await store.search(ADA, towards(2), terms(1), exclude_sessions=(), turn_candidates=1)
    assert "passage 2" in {hit.text for hit in known}
    known = [hit._replace(bm25=0.0) for hit in known if hit.text == "passage 2"]
    altered = [known[0]._replace(text="as it was known")]

    found = (await store.search_sessions(ADA, towards(2), terms(1), sessions=["s1"], limit=9, known=altered)).passages
    assert [hit.text for hit in found[:1]] == ["as it was known"]
    assert {hit.text for hit in found[1:]} == {f"passage {n}" for n in (0, 1, 3, 4, 5)}
    assert all(hit.bm25 > 0 for hit in found)

    few = (await store.search_sessions(ADA, towards(3), terms(1), sessions=["s1"], limit=2, known=known)).passages
    assert [hit.text for hit in few] == ["passage 2", "passage 3"], "the known ones are among the limit"
    none = (await store.search_sessions(ADA, towards(3), NO_TERMS, sessions=["s1"], limit=1, known=known)).passages
    assert none == known
    other = (await store.search_sessions(ADA, towards(3), NO_TERMS, sessions=["s2"], limit=1, known=known)).passages
    assert [hit.text for hit in other] == ["passage 2", "elsewhere"], "those of other sessions do not count"
    assert (await store.search_sessions(ADA, towards(3), NO_TERMS, sessions=[], limit=1, known=known)).passages == known


async def test_where_a_search_has_found_all_that_has_a_word_its_sessions_need_not_be_searched_for_words(
    store: VectorStore,
) -> None:
    said = [passage(f"passage {n}", n, sparse=terms(1) if n % 2 else terms(2)) for n in range(12)]
    await store.save_session(ADA, session(), [turn(stored(n, "…"), one) for n, one in enumerate(said)], None)

    async def of_session(words: SparseVector | None, candidates: int) -> tuple[bool, dict[str, float]]:
        found = await store.search(ADA, towards(0), terms(1), exclude_sessions=(), turn_candidates=candidates)
        read = await store.search_sessions(ADA, towards(0), words, sessions=["s1"], limit=20, known=found.passages)
        return found.all_words, {hit.text: hit.bm25 for hit in read.passages}

    every, by_words = await of_session(terms(1), 7)
    assert (every, len(by_words)) == (True, 12)
    assert await of_session(None, 7) == (True, by_words), "nothing is learned by searching again"
    assert await of_session(terms(1), 2) == (False, by_words), "six have the word"


async def test_a_search_of_a_time_finds_the_summaries_of_sessions_that_went_on_in_it(store: VectorStore) -> None:
    lasting = session("long", summary="long", last_at=START + 100)
    later = session("later", summary="later", last_at=START + 90).model_copy(update={"created_at": START + 80})
    for record in (lasting, later):
        await store.save_session(ADA, record, [], passage(record.summary))

    async def found(since: int, until: int) -> list[str]:
        within = Span(START + since, START + until)
        _, summaries, _, *_ = await store.search(ADA, towards(0), NO_TERMS, exclude_sessions=(), within=within)
        return sorted(hit.session for hit in summaries)

    assert await found(40, 50) == ["long"], "it began before and ended after"
    assert await found(85, 86) == ["later", "long"]
    assert await found(95, 200) == ["long"]
    assert await found(101, 200) == []
    assert await found(-9, -1) == []


async def test_a_word_is_as_rare_as_it_is_for_this_user(store: VectorStore) -> None:
    word = 5
    await _fill(store, BOB, of=20, with_word=1, word=word)
    alone = await _bm25(store, BOB, word)

    await _fill(store, ADA, of=20, with_word=20, word=word)

    assert await _bm25(store, BOB, word) == pytest.approx(alone), "another user's words changed this user's scores"
    assert await _bm25(store, ADA, word) < alone / 10, "a word that this user says all the time counts as rare"


async def _fill(store: VectorStore, owner: Owner, *, of: int, with_word: int, word: int) -> None:
    turns = [
        turn(stored(n), passage(f"passage {n}", sparse=terms(word) if n < with_word else terms(1000 + n)))
        for n in range(of)
    ]
    await store.save_session(owner, session(messages=of), turns, None)


async def _bm25(store: VectorStore, owner: Owner, word: int) -> float:
    hits, *_ = await store.search(owner, towards(0), terms(word), exclude_sessions=())
    return max(hit.bm25 for hit in hits)


async def test_what_names_or_was_said_in_a_time_is_found_beside_what_is_nearer(store: VectorStore) -> None:
    day = 24 * 3600 * 1000
    near = [turn(stored(n), passage(f"near {n}", 0, lean=n / 10)) for n in range(6)]
    later = turn(stored(7, at=START + 30 * day), passage("said then", 3))
    named = turn(stored(8), passage("It opens on 8 November 2025, the sale is on 2025-12-24.", 4))
    other = turn(stored(9), passage("It closed on 8 July 2025.", 5))
    await store.save_session(ADA, session(), [*near, later, named, other], None)
    await store.save_session(BOB, session("theirs"), [named], None)

    async def found(**times: list[Span]) -> dict[str, tuple[int, ...]]:
        hits, *_ = await store.search(ADA, towards(0), NO_TERMS, exclude_sessions=(), turn_candidates=2, **times)
        return {hit.text: hit.times for hit in hits}

    assert list(await found()) == ["near 0", "near 1"]
    november = await found(times=[Span(START + 20 * day, START + 40 * day)])
    assert november.keys() == {"near 0", "near 1", "said then", named.passages[0].text}
    assert len(november[named.passages[0].text]) == 2
    assert november["near 0"] == ()
