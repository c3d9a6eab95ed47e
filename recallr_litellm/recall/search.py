"""The search itself: question in, what is remembered out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

import numpy as np

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled, by_kind, ranked
from recallr_litellm.core.records import Hits, PassageHit, Session, Span, SparseVector, Vector
from recallr_litellm.recall.calibration import OTHER_SCRIPTS, REFERENCE_MODEL, calibration_of, to_reference
from recallr_litellm.recall.connections import led_to, with_connected
from recallr_litellm.recall.dates import settled
from recallr_litellm.recall.history import with_history
from recallr_litellm.recall.likeness import Likeness
from recallr_litellm.recall.memories import of_time, rank_memories, score_memories, support
from recallr_litellm.recall.names import LOOKED_UP, Known, NameBook, without
from recallr_litellm.recall.neighbours import with_neighbours
from recallr_litellm.recall.question import Question, read
from recallr_litellm.recall.ranking import rank_summaries, recalled, score_and_fold
from recallr_litellm.recall.recipes import RECIPES, Recipe, Weights
from recallr_litellm.recall.scoring import (
    Asked,
    are_lines,
    bm25_scale,
    by_content,
    session_scores,
)
from recallr_litellm.recall.selection import Place, top_memories, top_summaries
from recallr_litellm.recall.trace import SearchTrace, Trace
from recallr_litellm.recall.updates import Statement, replaced
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.vectors import VectorStore

_HEAD_START_SECONDS = 0.001
_MOST_REPEATS = 16
"""Times as many candidates as usual, at most, where they say the same again and again."""
_LEAST_COMPARED, _COMPARED = 10, 30
"""Of the best statements: at least and at most so many for which something newer is sought."""


class Recall:
    """Searches the memory of one owner at a time; keeps nothing between calls but which names an owner's memory knows.

    Args:
        vectors: where the memory is.
        embedder: the model that the memory was embedded with.
        sparse: its companion for BM25.
    """

    def __init__(self, vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse
        self._names = NameBook()

    async def __call__(
        self,
        owner: Owner,
        question: str,
        options: RecallOptions,
        *,
        exclude_sessions: frozenset[str],
        within: Span | None = None,
        previous: str = "",
        now: datetime | None = None,
        trace: Trace | None = None,
    ) -> Recalled:
        """What the owner's memory holds for a question.

        Args:
            question: the user's own words, of any length. Without a letter or digit nothing is
                searched for, and only the recent things come back that `options` asks for.
            exclude_sessions: ids of sessions that the model sees anyway.
            within: search only what was said in this time, and the summaries of sessions that went on in it.
            previous: the user's message before it, which a question such as "And when?" leans on.
            now: when it is asked, aware; without it the clock of this machine. The times that a question
                names are understood in the timezone of `options`.
            trace: takes down what is done, to be explained afterwards.

        Raises:
            VectorsUnavailable: the store did not answer.
            EmbeddingUnavailable: the question could not be embedded.
        """
        understood = read(question, previous=previous, now=(now or datetime.now(UTC)).astimezone(options.timezone))
        searched: set[str] = set()
        search = self._search(owner, understood, options, exclude_sessions, within, trace, searched)
        if not (options.last_n_user_messages or options.last_n_summaries):
            found = await search
            return replace(found, searched=frozenset(searched))
        found, last_messages, last_summaries = await asyncio.gather(
            search,
            self._last_messages(owner, options.last_n_user_messages, exclude_sessions),
            self._last_summaries(owner, options.last_n_summaries, exclude_sessions),
        )
        searched.update(id for id, _ in last_messages)
        searched.update(session.id for session in last_summaries)
        return replace(
            found,
            last_messages=tuple(last_messages),
            last_summaries=tuple(last_summaries),
            searched=frozenset(searched),
        )

    async def _search(
        self,
        owner: Owner,
        question: Question,
        options: RecallOptions,
        exclude_sessions: frozenset[str],
        within: Span | None,
        trace: Trace | None,
        searched: set[str],
    ) -> Recalled:
        """Args: searched: gets the ids of the sessions that anything came from which was looked at."""
        if not question.text:
            return Recalled()
        recipe = RECIPES[options.strategy]
        model = self._embedder.name
        if question.other_script and model == REFERENCE_MODEL:
            model = OTHER_SCRIPTS
        known = await self._names.look_up(owner, question.names, partial(self._holding, owner))
        speakers, frequent = known[Known.SPEAKER], known[Known.FREQUENT]
        terms = self._sparse.query(question.text)
        telling = without(question.text, speakers | frequent)
        telling_terms = terms if telling == question.text else self._sparse.query(telling)
        if trace is not None:
            trace.lap("question")
        embedding = asyncio.ensure_future(self._embedder.query(telling, owner.project))
        if trace is not None:
            embedding.add_done_callback(partial(_embedded, trace, perf_counter()))
        try:
            # The thread of the model needs the interpreter for the first half millisecond; once it computes,
            # the search by words can have it.
            await asyncio.wait([embedding], timeout=_HEAD_START_SECONDS)
            asked_terms = np.array(telling_terms.indices, np.uint32)
            asked = Asked(
                question,
                speakers,
                bm25_scale(len(terms.indices), recipe.weights_of_lines),
                asked_terms,
                Likeness(asked_terms, self._sparse.words),
            )
            passages, summaries, memories, changes, all_words = await self._different(
                recipe,
                partial(
                    self._vectors.search,
                    owner,
                    embedding,
                    terms,
                    exclude_sessions=exclude_sessions,
                    within=within,
                    times=[period.searched for period in question.periods],
                    past=question.asks_for_the_past,
                    names_times=question.asks_when,
                ),
            )
            if question.periods:
                of_texts = settled(question.periods, [hit.text for hit in passages])
                asked = replace(asked, question=replace(question, periods=of_texts))
            lines = are_lines(passages)
            weights = recipe.weights(lines=lines)
            if recipe.sessions_read:
                passages, _, further, *_ = await self._with_best_sessions(
                    owner,
                    await embedding,
                    None if all_words else terms,
                    passages,
                    model,
                    recipe,
                    weights,
                    asked,
                    within,
                    exclude_sessions,
                    led_to(memories, recipe.memory_weights.bm25) if recipe.connected else (),
                )
                memories = [*memories, *further]
        finally:
            embedding.cancel()
        searched.update(hit.session for hits in (passages, summaries, memories) for hit in hits)
        relevance = calibration_of(model).lines if lines else calibration_of(model).chats
        memories = [hit for hit in memories if within is None or of_time(hit, within)]
        noted = None
        if trace is not None:
            trace.lap("search")
            noted = SearchTrace(asked, telling, recipe, lines, options, passages, memories, summaries)
            trace.search = trace.search or noted
        of_memory = recipe.memory_weights
        scores = score_memories(
            memories,
            to_reference(model, [hit.dense for hit in memories]),
            of_memory,
            asked,
            noted=noted.memory_signs if noted else None,
        )
        ranked_memories = rank_memories(memories, scores, relevance.memories)
        told = support(memories, scores, of_memory)
        scored = score_and_fold(passages, model, weights, asked, told, noted=noted.passage_signs if noted else None)
        newest = await self._newest(owner, scored, changes, options.max_top_k, asked)
        best = recalled(
            scored,
            newest,
            relevance.passages,
            at_least=options.min_top_k,
            at_most=2 * options.max_top_k,
            threshold=options.memories_threshold,
        )
        related = rank_summaries(summaries, model, weights, asked, noted=noted.summary_signs if noted else None)
        of_passages, of_memories = by_kind(
            top_memories(ranked(ranked_memories, best), options, questions_too=question.asks_what_was_asked)
        )
        if of_memories:
            of_memories = await with_history(
                of_memories,
                {hit.id: hit for hit in memories},
                partial(self._vectors.versions, owner),
                partial(self._vectors.conflicts, owner),
            )
        if memories and recipe.connected:
            of_memories = with_connected(
                of_memories,
                ranked_memories,
                {hit.id: hit for hit in memories},
                at_most=recipe.connected,
                said=frozenset(passage.message for passage in of_passages),
                told=frozenset(passage.message for passage in of_passages if passage.parts == 1),
            )
        if noted is not None:
            noted.passage_scores, noted.relevance, noted.newest = scored, relevance.passages, newest
            noted.ranked_passages, noted.ranked_memories, noted.ranked_summaries = best, ranked_memories, related
        return Recalled(
            tuple(with_neighbours(of_passages, passages)),
            of_memories,
            top_summaries(related, options, at_most=recipe.max_summaries),
        )

    async def _different(self, recipe: Recipe, search: Callable[..., Awaitable[Hits]]) -> Hits:
        """The candidates; more of them where most say the same, as long as there are more."""
        factor = 1
        while True:
            turns, summaries = factor * recipe.turn_candidates, factor * recipe.summary_candidates
            found = await search(
                turn_candidates=turns,
                summary_candidates=summaries,
                memory_candidates=recipe.memory_candidates,
            )
            stating = [hit for hit in found.passages if not hit.states_nothing]
            few = len(stating) >= turns and len({hit.traits.gist for hit in stating}) < turns // factor // 2
            few |= len(found.summaries) >= summaries and (
                len({hit.summary for hit in found.summaries}) < summaries // factor // 2
            )
            if not few or factor >= _MOST_REPEATS:
                return found
            factor *= 4

    async def _newest(
        self,
        owner: Owner,
        scored: Sequence[tuple[float, PassageHit]],
        changes: Collection[object],
        shown: int,
        asked: Asked,
    ) -> dict[Place, PassageHit]:
        """Message and part of what is out of date among the best → what was said last in its place."""
        stating = [(score, hit) for score, hit in scored if not hit.states_nothing]
        best = min(max(shown, _LEAST_COMPARED), _COMPARED)
        older = [Statement(hit, score, hit.id in changes) for score, hit in stating[:best]]
        further = [Statement(hit, score, True) for score, hit in stating[best:] if hit.id in changes] if changes else []
        compared = [one for one in (*older, *further) if one.comparable]
        if len(compared) < 2:
            return {}
        vectors = await self._vectors.vectors_of(owner, [one.hit for one in compared])
        newest = replaced(older, compared, vectors, self._sparse.words, asked.terms.tolist())
        by_id = {one.hit.id: one.hit for one in compared}
        # Who asks for a time wants to know what was so then.
        return {
            (by_id[old].message, by_id[old].part): by_id[new]
            for old, new in newest.items()
            if not any(p.start <= by_id[old].at < p.end <= by_id[new].at for p in asked.question.periods)
        }

    async def _holding(self, owner: Owner, words: Sequence[str]) -> list[list[str]]:
        return await self._vectors.holding(owner, [self._sparse.query(word) for word in words], limit=LOOKED_UP)

    async def _with_best_sessions(
        self,
        owner: Owner,
        dense: Vector,
        terms: SparseVector | None,
        passages: list[PassageHit],
        model: str,
        recipe: Recipe,
        weights: Weights,
        asked: Asked,
        within: Span | None,
        exclude_sessions: frozenset[str],
        memories: Sequence[str],
    ) -> Hits:
        """The candidates, what else was said in the sessions of the best of them, and memories by their ids."""
        on_reference = to_reference(model, [hit.dense for hit in passages])
        of_session = session_scores(passages, by_content(passages, on_reference, weights, asked).tolist())
        best = sorted(of_session, key=lambda session: -of_session[session])[: recipe.sessions_read]
        return await self._vectors.search_sessions(
            owner,
            dense,
            terms,
            sessions=best,
            limit=recipe.passages_read,
            known=passages,
            within=within,
            names_times=asked.question.asks_when or bool(asked.question.periods),
            memories=memories,
            exclude_sessions=exclude_sessions,
        )

    async def _last_messages(
        self, owner: Owner, n: int | None, exclude_sessions: frozenset[str]
    ) -> list[tuple[str, StoredMessage]]:
        return await self._vectors.last_user_messages(owner, n, exclude_sessions=exclude_sessions) if n else []

    async def _last_summaries(self, owner: Owner, n: int | None, exclude_sessions: frozenset[str]) -> list[Session]:
        return await self._vectors.last_summaries(owner, n, exclude_sessions=exclude_sessions) if n else []


def _embedded(trace: Trace, begun: float, _: asyncio.Future[Vector]) -> None:
    trace.beside("embedding", begun)
