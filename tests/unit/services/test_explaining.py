"""What is kept of a request to explain it: no more than is listed, and whatever became anything."""

from collections.abc import Sequence

import numpy as np
import orjson

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.core.records import PassageHit
from recallr_litellm.core.traits import traits_of
from recallr_litellm.recall.neighbours import recalled_passage
from recallr_litellm.recall.recipes import Recipe
from recallr_litellm.recall.scoring import Asked
from recallr_litellm.recall.trace import SearchTrace, Trace
from recallr_litellm.services.candidates import with_candidates
from recallr_litellm.services.explaining import MOST, keep
from recallr_litellm.services.explanation import Request

FOUND = MOST["passage"] + 40


def test_the_best_are_kept_and_what_was_chosen_however_many_were_better() -> None:
    hits = [hit(number) for number in range(FOUND)]  # the later, the better
    trace = searched(hits)
    assert trace.search is not None
    trace.search.passage_signs = {"cosine": np.array([one.dense for one in hits])}
    trace.search.passage_scores = [(one.dense, one) for one in reversed(hits)]
    trace.recalled = Recalled(passages=(recalled_passage(hits[3]),))

    kept = keep(request(trace))

    best = [f"m{number}" for number in range(FOUND - MOST["passage"], FOUND)]
    assert kept.passages.ids == ["m3", *best]
    explained = with_candidates(orjson.loads(orjson.dumps(kept, option=orjson.OPT_SERIALIZE_NUMPY)))
    assert [one.id for one in explained["candidates"]] == [*reversed(best), "m3"], "best first"
    assert explained["candidates"][-1].outcome == "no_room"
    assert explained["left_out"] == FOUND - MOST["passage"] - 1


def test_a_search_that_found_nothing_is_explained() -> None:
    kept = keep(request(searched([])))

    assert with_candidates(orjson.loads(orjson.dumps(kept, option=orjson.OPT_SERIALIZE_NUMPY)))["candidates"] == []


def test_a_search_that_ran_out_of_time_before_it_scored_is_explained() -> None:
    kept = keep(request(searched([hit(number) for number in range(FOUND)])))

    assert len(kept.passages.ids) == MOST["passage"]
    assert kept.left_out == FOUND - MOST["passage"]


def searched(hits: Sequence[PassageHit]) -> Trace:
    trace = Trace()
    trace.search = SearchTrace(
        Asked(), "", Recipe(), lines=False, options=RecallOptions(), passages=hits, memories=(), summaries=()
    )
    return trace


def hit(number: int) -> PassageHit:
    text = f"Number {number} was said."
    return PassageHit(
        session="s",
        message=f"m{number}",
        position=number,
        part=0,
        parts=1,
        role="user",
        at=number,
        text=text,
        traits=traits_of(text, "user"),
        terms=np.zeros(0, np.uint32),
        dense=number / FOUND,
        bm25=0.0,
        id=number,
    )


def request(trace: Trace) -> Request:
    return Request(
        id="r",
        at=0,
        project="acme",
        trace=trace,
        owner=Owner("acme", "ana"),
        http_status=200,
        status="ok",
        reason=None,
        strategy="balanced",
        session_id="s9",
        found_by="new",
        options=None,
        sent=set(),
        defaults={},
        injected=True,
        spent=0.0,
    )
