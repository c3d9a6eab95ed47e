"""The memory work of one request under way: what has been found so far, and the block made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from recallr_litellm.core.context import MemoryBlock, render
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.recalled import OngoingSession, Recalled
from recallr_litellm.gateway.admission import Admission
from recallr_litellm.gateway.call import AdmittedRequest, Call

Count = Callable[[str], int]
"""Tokens of a text."""


class Stage:
    """How far the memory work of one request has come."""

    def __init__(self, call: Call, admitted: AdmittedRequest, admission: Admission) -> None:
        self.call = call
        self.admitted = admitted
        self.admission = admission
        self.strategy = admitted.strategy
        """How it is searched; `auto` until that is decided."""
        self.until = 0.0
        """When a search by a model has to be done, on the clock of the event loop, as below."""
        self.recalled = Recalled()
        self.ongoing: tuple[OngoingSession, ...] = ()
        self.unseen: tuple[StoredMessage, ...] = ()
        """Messages of the session that the client did not send."""
        self.block: str | None = None
        """The finished block, when it is that of the turn's first request or is kept for the turn's next."""
        self.shown_already = False
        """The provider itself shows the model the turn's block again."""
        self.searching = False
        """The vector store or the embedding is being waited for."""

    @property
    def options(self) -> RecallOptions:
        """What is asked of the search: a search by a model begins with a balanced one."""
        strategy = Strategy.BALANCED if self.strategy is Strategy.AGENTIC else self.strategy
        return replace(self.admission.headers.recall_options, strategy=strategy)

    @property
    def moment(self) -> datetime:
        """When the request came."""
        return datetime.fromtimestamp(self.call.received_at / 1000, UTC)

    def render(self, budget: int, count_tokens: Count) -> str:
        """A block of what has been found, of at most `budget` tokens and within the model's window."""
        block, room = self._block(budget, count_tokens), self.admitted.placement.room
        if room is not None and block.tokens > room:
            block = self._block(room, count_tokens)
            self._note_window()
        self.call.block_tokens = block.tokens
        return block.text

    def memory(self, budget: int, count_tokens: Count) -> str:
        """The finished block, or one of what has been found."""
        if self.block is None:
            return self.render(budget, count_tokens)
        room = self.admitted.placement.room
        if room is not None and count_tokens(self.block) > room:  # the turn has grown
            self._note_window()
            return ""
        return self.block

    def _block(self, budget: int, count_tokens: Count) -> MemoryBlock:
        return render(
            self.recalled,
            ongoing=self.ongoing,
            unseen=self.unseen,
            now=self.moment,
            timezone=self.admission.headers.timezone,
            budget=budget,
            count_tokens=count_tokens,
        )

    def _note_window(self) -> None:
        if not self.call.degraded:
            self.call.degrade("window")
            self.call.reason = "the model's window has no more room"
