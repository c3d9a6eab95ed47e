"""What of a request is kept to explain it: references become columns and words, as cheaply as that can be done, since
it is done for every request. `services/candidates.py` makes candidates of the columns, when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import compress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.laid import memory_key, passage_key
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import RecalledMemory, RecalledPassage, RecalledSummary, ranked
from recallr_litellm.core.records import PassageHit
from recallr_litellm.core.traits import gist
from recallr_litellm.recall.scoring import Points, Signs
from recallr_litellm.recall.selection import without_retold
from recallr_litellm.recall.trace import SearchTrace
from recallr_litellm.request_headers import RecallrHeaders
from recallr_litellm.services.explanation import (
    Block,
    Conversation,
    ConversationKind,
    Explanation,
    Finding,
    Kind,
    Option,
    Outcome,
    Part,
    Period,
    Question,
    Request,
    Summary,
)

MOST: Mapping[Kind, int] = {"passage": 60, "memory": 50, "summary": 20}
"""Candidates of each kind that are listed: the best, and all that became anything."""
EXCERPT = 240
"""Characters of a candidate's text that are kept."""
_MOST_BLOCK = 64_000
"""Characters of a block's text that are kept."""
_NOT_OPTIONS = {"api_key", "project_id", "user_id", "session_id", "conversation_id"}

_Hit = TypeVar("_Hit")
Numbers = NDArray[np.float32] | Sequence[float]


@dataclass(slots=True)
class Columns:
    """The candidates of one kind."""

    keys: list[str] = field(default_factory=list)
    """Name each among all that blocks show."""
    ids: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    cosine: Numbers = ()
    bm25: Numbers = ()
    parts: list[int] = field(default_factory=list)
    """Of passages, as the next."""
    roles: list[str] = field(default_factory=list)
    signs: Mapping[str, Numbers] = field(default_factory=dict)
    """Sign → points of each; none where time ran out before they were scored."""
    scores: dict[str, float] = field(default_factory=dict)
    """Key → score, where it is not the sum of the points."""
    relevance: dict[str, float] = field(default_factory=dict)
    """Key → calibrated score of those that were ranked."""
    same_as: dict[str, str] = field(default_factory=dict)
    """Key → id of what says the same words and stands for it."""
    told: list[str] = field(default_factory=list)
    """Keys of what was left out because a memory tells it, or the message that it rests on."""
    replaced_by: dict[str, str] = field(default_factory=dict)
    """Key → id of what was said last in its place."""
    threshold: float = 0.0
    """Relevance below which few are chosen."""


@dataclass(slots=True)
class Kept:
    """What is kept of a request."""

    explanation: Explanation
    """Without candidates."""
    passages: Columns = field(default_factory=Columns)
    memories: Columns = field(default_factory=Columns)
    summaries: Columns = field(default_factory=Columns)
    chosen: list[str] = field(default_factory=list)
    """Keys of what was to be shown."""
    shown: list[str] = field(default_factory=list)
    """Keys of what the new block shows."""
    shown_before: list[str] = field(default_factory=list)
    """Keys of what the other blocks of the request show."""
    left_out: int = 0
    """Candidates of which nothing is kept: too many were better, and nothing became of them."""


def keep(request: Request) -> Kept:
    """Take of a request what explains it."""
    if request.owner is None:
        return Kept(_explanation(request, shown=0))
    trace = request.trace
    recalled, search = trace.recalled, trace.search
    memories = [*_with_connected(recalled.memories)]
    chosen = [
        *map(passage_key, recalled.passages),
        *(memory.id for memory in memories),
        *(summary.session for summary in recalled.summaries),
    ]
    blocks = trace.laid.values()
    shown = {key for block in blocks if block.id == request.id for key in block.shown}
    before = {key for block in blocks if block.id != request.id for key in block.shown}
    for keys in (shown, before):
        keys.update([memory.id for memory in memories if memory_key(memory) in keys])
    explanation = _explanation(request, shown=sum(key in shown for key in chosen))
    explanation.conversations = [*_conversations(request, shown | before)]
    explanation.findings = [
        Finding(one.text[:EXCERPT], [*one.messages], [*one.memories], _outcome(one.text, shown, before))
        for one in recalled.findings
    ]
    explanation.blocks = _blocks(request)
    kept = Kept(explanation, chosen=chosen, shown=[*shown], shown_before=[*before])
    if search is not None:
        explanation.question = _question(search)
        became = {*chosen, *shown, *before}
        kept.passages, kept.memories, kept.summaries = _passages(search, became), _memories(search), _summaries(search)
        kept.left_out = len(search.passages) - len(kept.passages.keys)
    _add(kept.passages, recalled.passages, passage_key, lambda passage: passage.message)
    _add(kept.memories, memories, lambda memory: memory.id, lambda memory: memory.id)
    return kept


def _explanation(request: Request, *, shown: int) -> Explanation:
    trace = request.trace
    summary = Summary(
        request_id=request.id,
        at=moment(request.at),
        kind=request.kind,
        user_id=request.owner.user if request.owner else None,
        session_id=request.session_id,
        model=trace.model,
        strategy=request.strategy,
        status=request.status,
        reason=request.reason,
        http_status=request.http_status,
        shown=shown,
        tokens=sum(block.tokens for block in trace.laid.values()) if request.injected else 0,
        added_ms=_ms(request.spent),
    )
    return Explanation(
        request=summary,
        api=trace.api,
        found_by=request.found_by,
        options=_options(request),
        room=trace.room,
        instructions=trace.instructions and request.injected,
        injected=request.injected,
        parts=[Part(part.name, _ms(part.begun - trace.began), _ms(part.ended - part.begun)) for part in trace.parts],
    )


def _passages(search: SearchTrace, became: set[str]) -> Columns:
    """Args: became: keys, or ids of messages, of what is kept however many were better."""
    signs = _numbers(search.passage_signs)
    best = np.argsort(-np.sum([*signs.values()], axis=0), kind="stable")[: MOST["passage"]] if signs else ()
    rows = np.zeros(len(search.passages), bool)
    rows[best if signs else slice(MOST["passage"])] = True
    keys = [*map(_place, search.passages)]
    rows |= np.array([key in became or key.partition("#")[0] in became for key in keys], bool)
    hits, keys = [*compress(search.passages, rows.tolist())], [*compress(keys, rows.tolist())]
    standing = {_place(hit): score for score, hit in search.passage_scores}
    scores = {key: round(standing[key], 6) for key in keys if key in standing}
    relevance = search.relevance
    likely = {passage_key(passage): round(passage.relevance, 6) for passage in search.ranked_passages}
    return Columns(
        keys=keys,
        ids=[hit.message for hit in hits],
        sessions=[hit.session for hit in hits],
        at=[hit.at for hit in hits],
        texts=[hit.text[:EXCERPT] for hit in hits],
        cosine=_rounded([hit.dense for hit in hits]),
        bm25=_rounded([hit.bm25 for hit in hits]),
        parts=[hit.part for hit in hits],
        roles=[hit.role for hit in hits],
        signs={name: points[rows] for name, points in signs.items()},
        scores=scores,
        relevance={key: round(relevance(score), 6) for key, score in scores.items()} | likely if relevance else {},
        same_as=_same(
            search.passages,
            standing,
            _place,
            lambda hit: (hit.role, hit.traits.gist or hit.id),
            lambda hit: hit.message,
        ),
        told=_told(search, likely),
        replaced_by={f"{message}#{part}": hit.message for (message, part), hit in search.newest.items()},
        threshold=search.options.memories_threshold,
    )


def _memories(search: SearchTrace) -> Columns:
    hits = search.memories
    relevance = {memory.id: memory.relevance for memory in search.ranked_memories}
    ids = [hit.id for hit in hits]
    return Columns(
        keys=ids,
        ids=ids,
        sessions=[hit.session for hit in hits],
        at=[hit.created_at for hit in hits],
        texts=[hit.content[:EXCERPT] for hit in hits],
        cosine=_rounded([hit.dense for hit in hits]),
        bm25=_rounded([hit.bm25 for hit in hits]),
        signs=_numbers(search.memory_signs),
        relevance=relevance,
        same_as=_same(
            hits, relevance, lambda hit: hit.id, lambda hit: (hit.event_start, gist(hit.content)), lambda hit: hit.id
        ),
        told=_told(search, relevance),
        threshold=search.options.memories_threshold,
    )


def _summaries(search: SearchTrace) -> Columns:
    hits = search.summaries
    relevance = {summary.session: summary.relevance for summary in search.ranked_summaries}
    sessions = [hit.session for hit in hits]
    return Columns(
        keys=sessions,
        ids=sessions,
        sessions=sessions,
        at=[hit.created_at for hit in hits],
        texts=[hit.summary[:EXCERPT] for hit in hits],
        cosine=_rounded([hit.dense for hit in hits]),
        bm25=_rounded([hit.bm25 for hit in hits]),
        signs=_numbers(search.summary_signs),
        relevance=relevance,
        same_as=_same(hits, relevance, lambda hit: hit.session, lambda hit: gist(hit.summary), lambda hit: hit.session),
        threshold=search.options.summaries_threshold,
    )


_Found = TypeVar("_Found", RecalledPassage, RecalledMemory)


def _add(columns: Columns, found: Sequence[_Found], key: Callable[[_Found], str], id: Callable[[_Found], str]) -> None:
    """Add what was not among the candidates of the search: what a model has found, or what is connected with it."""
    known = {*columns.keys}
    for one in found:
        if key(one) not in known:
            columns.keys = [*columns.keys, key(one)]
            columns.ids = [*columns.ids, id(one)]
            columns.sessions = [*columns.sessions, one.session]
            columns.at.append(one.at)
            columns.texts.append(one.text[:EXCERPT])
            columns.relevance[key(one)] = one.relevance
            if isinstance(one, RecalledPassage):
                columns.parts.append(one.part)
                columns.roles.append(one.role)


def _same(
    hits: Sequence[_Hit],
    standing: Mapping[str, float],
    key: Callable[[_Hit], str],
    words: Callable[[_Hit], Hashable],
    id: Callable[[_Hit], str],
) -> dict[str, str]:
    """Key of a candidate → id of the one that stands for all with its words.

    Args:
        standing: keys of those that stand for themselves and others.
    """
    if not standing or len(standing) == len(hits):
        return {}
    stands = {words(hit): id(hit) for hit in hits if key(hit) in standing}
    folded = ((hit, stands.get(words(hit))) for hit in hits if key(hit) not in standing)
    return {key(hit): same for hit, same in folded if same is not None}


def _told(search: SearchTrace, relevance: Iterable[str]) -> list[str]:
    if not search.ranked_memories:
        return []
    kept = {_key(one) for one in without_retold(ranked(search.ranked_memories, search.ranked_passages))}
    return [key for key in relevance if key not in kept]


def _numbers(signs: Signs) -> dict[str, NDArray[np.float32]]:
    return {name: _rounded(points) for name, points in signs.items() if points.any()}


def _rounded(numbers: Sequence[float] | Points) -> NDArray[np.float32]:
    """Numbers that take little room in JSON."""
    return np.round(np.asarray(numbers), 4).astype(np.float32)


def _conversations(request: Request, shown: set[str]) -> Iterator[Conversation]:
    trace, recalled = request.trace, request.trace.recalled

    def conversation(kind: ConversationKind, session: str | None, ids: Iterable[str]) -> Conversation:
        ids = list(ids)
        return Conversation(kind, session, len(ids), sum(id in shown for id in ids))

    if trace.unseen:
        yield conversation("this session", request.session_id, (stored.id for stored in trace.unseen))
    for session in trace.ongoing:
        yield conversation("open session", session.id, (stored.id for stored in session.messages))
    if recalled.profile:
        yield conversation("profile", None, map(memory_key, recalled.profile))
    if recalled.last_messages:
        yield conversation("recent messages", None, (stored.id for _, stored in recalled.last_messages))
    if recalled.last_summaries:
        yield conversation("recent summaries", None, (one.id for one in recalled.last_summaries))


def _outcome(key: str, shown: set[str], before: set[str]) -> Outcome:
    return "shown" if key in shown else "shown_before" if key in before else "no_room"


def _with_connected(memories: Sequence[RecalledMemory]) -> Iterator[RecalledMemory]:
    for memory in memories:
        yield memory
        yield from _with_connected(memory.connected)


def _place(hit: PassageHit) -> str:
    return f"{hit.message}#{hit.part}"


def _key(one: RecalledPassage | RecalledMemory | RecalledSummary) -> str:
    return passage_key(one) if isinstance(one, RecalledPassage) else str(getattr(one, "id", one.session))


def _question(search: SearchTrace) -> Question:
    question = search.asked.question
    asks = {
        "when": question.asks_when,
        "now": question.asks_for_now,
        "what_assistant_said": question.asks_what_assistant_said,
        "what_was_asked": question.asks_what_was_asked,
    }
    return Question(
        text=question.text,
        embedded=search.embedded,
        names=sorted(search.asked.speakers),
        periods=[Period(moment(period.start), moment(period.end)) for period in question.periods],
        asks=[name for name, asked in asks.items() if asked],
    )


def _options(request: Request) -> dict[str, Option]:
    options = request.options
    if options is None:
        return {}
    names = RecallOptions.__slots__ if isinstance(options, RecallOptions) else RecallrHeaders.model_fields
    return {
        name: Option(value if isinstance(value, str | int | float | None) else str(value), _source(request, name))
        for name in names
        if name not in _NOT_OPTIONS
        for value in (getattr(options, name),)
    }


def _source(request: Request, name: str) -> str:
    if name in request.sent:
        return "header" if request.kind == "chat" else "query"
    return next((source for source, fields in request.defaults.items() if name in fields), "default")


def _blocks(request: Request) -> list[Block]:
    laid = request.trace.laid
    return [
        Block(
            text=laid[behind].text[:_MOST_BLOCK],
            tokens=laid[behind].tokens,
            laid_by=laid[behind].id,
            new=laid[behind].id == request.id,
            place=_described(request, behind, laid[behind].position),
            exchange="" if request.trace.into_system else laid[behind].exchange,
            position=laid[behind].position,
        )
        for behind in sorted(laid)
        if laid[behind].text
    ]


_PLACES = {"front": "in front of", "end": "at the end of", "behind": "behind"}


def _described(request: Request, behind: int, position: str) -> str:
    if request.kind == "context":
        return "in the answer"
    if request.trace.into_system:
        return "in the system message"
    message = f"the user's message {behind} before the last" if behind else "the user's last message"
    return f"{_PLACES[position]} {message}"


def moment(milliseconds: int) -> datetime:
    """A time of the stores."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
