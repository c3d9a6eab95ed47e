"""Memory blocks over the requests of a session: those of earlier requests stay, a new one adds what is new."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from recallr_litellm.core.history import Plan
from recallr_litellm.core.laid import LaidBlock, anchored
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import RecallrError
from recallr_litellm.gateway.call import Call
from recallr_litellm.gateway.placement import position_of
from recallr_litellm.gateway.stage import Stage
from recallr_litellm.settings import InjectInto, Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore

_log = logging.getLogger(__name__)

_KEEPING_SECONDS = 0.25
"""Longest time that the end of an answer waits until the request's new block is kept."""
_KEPT_BYTES_PER_TOKEN = 16
"""Bytes of a session's blocks that are kept for each token that the blocks of a request may take."""


class LaidBlocks:
    """Keeps the blocks of each session, and puts them where they were.

    Args:
        count_tokens: tokens of a text.
    """

    def __init__(
        self, settings: Settings, state: StateStore, breaker: CircuitBreaker, *, count_tokens: Callable[[str], int]
    ) -> None:
        self._settings = settings
        self._state = state
        self._breaker = breaker
        self._count_tokens = count_tokens
        self._keeping: set[asyncio.Task[None]] = set()
        """So that none is lost whose request has ended."""

    @property
    def into_system(self) -> bool:
        """Blocks go into the system message, where they last for one turn only."""
        return self._settings.inject is InjectInto.SYSTEM

    @staticmethod
    def wanted(stage: Stage) -> bool:
        """Whether the blocks kept with the session are needed: not by a request that brings no history."""
        conversation = stage.admitted.conversation
        return len(conversation.messages) != 1 or conversation.history_elsewhere or stage.call.retried

    def settle_turn(self, stage: Stage, kept: Sequence[LaidBlock]) -> bool:
        """Give a request that goes on with its turn the block of this turn, where no other can be in the request.

        Returns:
            Whether the turn has its block.
        """
        conversation = stage.admitted.conversation
        if not conversation.continues_turn:
            return False
        if conversation.history_elsewhere:
            own = _of_turn(kept, _elsewhere(stage.turn))
            if own is None and (own := _of_turn(kept, stage.turn)) is not None and own.text and not self.into_system:
                # The turn began with a message of its own, before which the provider has kept the block.
                own, stage.shown_already = own._replace(text="", tokens=0), True
        else:
            own = _of_turn(kept, stage.turn)
            if not self.into_system and any(block.text for block in kept if block is not own):
                return False
        return stage.settle(own)

    def put_back(self, stage: Stage, kept: Sequence[LaidBlock], todo: Plan) -> bool:
        """Put the blocks of earlier requests where they were. Returns whether that of the turn is among them."""
        if self.into_system:
            return False
        conversation = stage.admitted.conversation
        here = conversation.words_behind
        users_behind = conversation.behind
        held = {users_behind[index]: entry for index, entry in todo.known}
        placed = anchored(kept, held)
        if here in held:
            stage.exchange = held[here].exchange
        own = placed.pop(here, None)
        if own is None and conversation.continues_turn:
            own = _of_turn(kept, stage.turn)
        stage.laid = {behind: block for behind, block in placed.items() if block.text}
        return stage.settle(own if conversation.continues_turn or (own and own.text) else None)

    async def lay(self, stage: Stage) -> None:
        """Add a block of what is new to those of the request, and begin to keep it for the requests to come: the model
        need not wait for that, but the end of the answer does (`Call.kept`)."""
        admitted, conversation = stage.admitted, stage.admitted.conversation
        most = self._settings
        block = stage.render(
            most.context_tokens, most.context_tokens_later, most.most_context_tokens, self._count_tokens
        )
        added: LaidBlock | None = None
        if not stage.settled:
            added = stage.call.laid = stage.laid[conversation.words_behind] = LaidBlock(
                id=stage.call.request_id,
                exchange=stage.exchange,
                turn=_elsewhere(stage.turn) if conversation.history_elsewhere else stage.turn,
                text=block.text,
                tokens=block.tokens,
                position=position_of(admitted.body, conversation.words_behind),
                shown=tuple(sorted(block.shown)),
            )
            only_in_turn = self.into_system or conversation.history_elsewhere or not block.text
            if only_in_turn and not conversation.uses_tools:
                added = None
        if admitted.session is not None and (added is not None or stage.gone):
            keeping = self._keep(admitted.request.owner, admitted.session.id, added, stage.gone)
            stage.call.keeping = task = asyncio.create_task(keeping)
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)

    async def take_back(self, call: Call) -> None:
        """Forget the new block of a request, which a guardrail has refused."""
        if call.laid is not None and call.admitted is not None and call.admitted.session is not None:
            await call.kept()
            await self._keep(call.admitted.request.owner, call.admitted.session.id, None, (call.laid,))

    async def _keep(self, owner: Owner, session_id: str, block: LaidBlock | None, gone: Sequence[LaidBlock]) -> None:
        if not self._breaker.allows_requests:
            return
        most_bytes = _KEPT_BYTES_PER_TOKEN * self._settings.most_context_tokens
        try:
            async with asyncio.timeout(_KEEPING_SECONDS):
                await self._state.lay_block(owner, session_id, block, gone=gone, most_bytes=most_bytes)
        except (TimeoutError, RecallrError) as error:
            self._breaker.suspect()
            _log.warning("A memory block could not be kept for later requests: %s", error or "timeout")


def _of_turn(kept: Sequence[LaidBlock], turn: str) -> LaidBlock | None:
    return next((block for block in kept if block.turn == turn), None)


def _elsewhere(turn: str) -> str:
    """Names the turn of a block that the provider does not keep with the messages."""
    return f"{turn}:elsewhere"
