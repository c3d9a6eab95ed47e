"""The memory work of one request under way: what has been found so far, and the block made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from recallr_litellm.core.context import MemoryBlock, render
from recallr_litellm.core.laid import LaidBlock, give_way, messages_not_shown, not_shown, ongoing_not_shown
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.options import RecallOptions
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
        self.turn = admitted.conversation.turn
        self.exchange = call.request_id
        """Id of the exchange that stores the message with the user's own words, or has stored it."""
        self.laid: dict[int, LaidBlock] = {}
        """The blocks that the request holds: number of user messages behind theirs → block."""
        self.gone: tuple[LaidBlock, ...] = ()
        """Blocks of earlier requests that give way."""
        self.settled = False
        """The turn has its block, or needs none."""
        self.shown_already = False
        """The provider itself shows the model the turn's block again."""
        self.searching = False
        """The vector store or the embedding is being waited for."""

    @property
    def options(self) -> RecallOptions:
        """What is asked of the search."""
        return replace(self.admission.headers.recall_options, strategy=self.strategy)

    def leave_trace(self, *, into_system: bool) -> None:
        """Note what was found and laid, where requests are explained."""
        if (trace := self.call.trace) is not None:
            trace.recalled, trace.ongoing, trace.unseen = self.recalled, self.ongoing, self.unseen
            trace.laid, trace.shown_already = self.laid, self.shown_already
            placement = self.admitted.placement
            trace.room, trace.instructions = placement.room, bool(placement.instructions)
            trace.into_system = into_system and placement.takes_system

    @property
    def moment(self) -> datetime:
        """When the request came."""
        return datetime.fromtimestamp(self.call.received_at / 1000, UTC)

    def settle(self, block: LaidBlock | None) -> bool:
        """Take the block that the turn has had from its first request on, which may be empty; None: it has had none."""
        self.settled = block is not None
        if block is not None and block.text:
            self.laid[self.admitted.conversation.words_behind] = block
        return self.settled

    def render(self, budget: int, later: int, total: int, count_tokens: Count) -> MemoryBlock:
        """What is new in this request: a block of what has been found and no earlier block shows.

        Earlier blocks give way where there is no room for all.

        Args:
            budget: most tokens of the new block.
            later: of one that has earlier blocks before it and holds nothing but what a search has chosen.
            total: most tokens of all blocks.
        """
        room = self.admitted.placement.room
        limit = total if room is None else min(total, room)
        block = MemoryBlock() if self.settled else self._block(budget, later, count_tokens)
        if self._tokens + block.tokens > limit:
            if limit < total:
                self._note_window()
            # Down to a quarter at once: whenever a block goes, the prompt cache is lost from its place on.
            self.laid, self.gone = give_way(self.laid, limit // 4, newest=limit if self.settled else 0)
            if not self.settled:
                block = self._block(min(budget, limit - self._tokens), later, count_tokens)
        return block

    @property
    def _tokens(self) -> int:
        return sum(block.tokens for block in self.laid.values())

    def _block(self, budget: int, later: int, count_tokens: Count) -> MemoryBlock:
        shown = frozenset(key for block in self.laid.values() for key in block.shown)
        recalled = not_shown(self.recalled, shown)
        ongoing = ongoing_not_shown(self.ongoing, shown)
        unseen = messages_not_shown(self.unseen, shown)
        if shown and not (unseen or recalled.asked_for or any(one.messages for one in ongoing)):
            budget = min(budget, later)
        return render(
            recalled,
            ongoing=ongoing,
            unseen=unseen,
            now=self.moment,
            timezone=self.admission.headers.timezone,
            budget=budget,
            count_tokens=count_tokens,
        )

    def _note_window(self) -> None:
        if not self.call.degraded:
            self.call.degrade("window")
            self.call.reason = "the model's window has no more room"
