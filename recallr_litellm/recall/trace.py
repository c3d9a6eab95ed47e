"""What was done for a request, noted as it happens: references to what there is anyway, put into words afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import OngoingSession, Recalled, RecalledMemory, RecalledPassage, RecalledSummary
from recallr_litellm.core.records import MemoryHit, PassageHit, SummaryHit
from recallr_litellm.recall.calibration import Logistic
from recallr_litellm.recall.recipes import Recipe
from recallr_litellm.recall.scoring import Asked, Signs
from recallr_litellm.recall.selection import Place


class Part(NamedTuple):
    """A part of the work; times in seconds, by `perf_counter`."""

    name: str
    begun: float
    ended: float


@dataclass(slots=True)
class SearchTrace:
    """One search of memory."""

    asked: Asked
    """The question, and what scoring made of it."""
    embedded: str
    """What of the question was embedded: names that tell nothing are left out."""
    recipe: Recipe
    lines: bool
    """Memory was taken for lines of named speakers, not for chats with an assistant."""
    options: RecallOptions
    passages: Sequence[PassageHit]
    """The candidates."""
    memories: Sequence[MemoryHit]
    summaries: Sequence[SummaryHit]
    passage_scores: Sequence[tuple[float, PassageHit]] = ()
    """Best first, the same words once."""
    relevance: Logistic | None = None
    """Of these scores."""
    passage_signs: Signs = field(default_factory=dict)
    """Of `passages`, in their order; so the next two."""
    memory_signs: Signs = field(default_factory=dict)
    summary_signs: Signs = field(default_factory=dict)
    newest: Mapping[Place, PassageHit] = field(default_factory=dict)
    """Message and part of what is out of date → what was said last in its place."""
    ranked_passages: Sequence[RecalledPassage] = ()
    """Most relevant first, as far as they may be chosen; so the next two, all of them."""
    ranked_memories: Sequence[RecalledMemory] = ()
    ranked_summaries: Sequence[RecalledSummary] = ()


class Trace:
    """What was done for one request.

        trace = Trace()
        …
        trace.lap("session")        # what was done since the lap before

    Nothing in it is formatted or copied while the request is served.

    Args:
        api: which API the request is of.
        model: that it asks for.
    """

    __slots__ = (
        "_last",
        "api",
        "began",
        "fault",
        "instructions",
        "into_system",
        "laid",
        "model",
        "ongoing",
        "parts",
        "recalled",
        "room",
        "search",
        "shown_already",
        "unseen",
    )

    def __init__(self, api: str | None = None, model: str | None = None) -> None:
        self.api, self.model = api, model
        self.fault: str | None = None
        """Why the request was refused, as its client was told."""
        self.began = self._last = perf_counter()
        self.parts: list[Part] = []
        """In the order in which they ended; some go on beside others."""
        self.search: SearchTrace | None = None
        """The first search, where there were several."""
        self.recalled = Recalled()
        """What was chosen."""
        self.ongoing: Sequence[OngoingSession] = ()
        self.unseen: Sequence[StoredMessage] = ()
        """Messages of the session that the client did not send."""
        self.laid: Mapping[int, LaidBlock] = {}
        """The blocks of the request: number of user messages behind theirs → block."""
        self.room: int | None = None
        """Most tokens of all blocks by the model's window; None where that is no bound."""
        self.instructions = False
        """The instructions for using memory go along."""
        self.into_system = False
        """Blocks go into the system message."""
        self.shown_already = False
        """The provider itself shows the model the turn's block again."""

    def lap(self, name: str) -> None:
        """A part is done that began when the one before was done."""
        now = perf_counter()
        self.parts.append(Part(name, self._last, now))
        self._last = now

    def adopt(self, other: Trace) -> None:
        """Take over what another trace noted of a search that went on beside this request's other parts."""
        self.parts += other.parts
        self.search = self.search or other.search
        self._last = perf_counter()

    def beside(self, name: str, begun: float) -> None:
        """A part is done that went on beside others."""
        self.parts.append(Part(name, begun, perf_counter()))
