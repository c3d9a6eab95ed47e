"""The state of one Recallr request, from its first byte to its last.

Set by the middleware in a `ContextVar`, which LiteLLM's hooks inherit: never keyed by LiteLLM's call id,
which clients can choose.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from recallr_litellm.core.history import Plan
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import Message
from recallr_litellm.core.options import Strategy
from recallr_litellm.formats import Conversation, Format, Reply
from recallr_litellm.gateway.head_start import HeadStart
from recallr_litellm.gateway.placement import Placement
from recallr_litellm.gateway.witness import Witness
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.memory.sessions import OpenedSession, SessionRequest
from recallr_litellm.recall.trace import Trace
from recallr_litellm.request_headers import RawHeaders, RecallrHeaders

CURRENT: ContextVar[Call | None] = ContextVar("recallr_call", default=None)
"""The Recallr request being served; None for all other requests."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class AdmittedRequest:
    """A request that takes part in memory and whose answer is awaited."""

    format: Format
    body: dict[str, Any]
    """The request body; read for what shapes the answer (`n`)."""
    conversation: Conversation
    request: SessionRequest
    strategy: Strategy
    session: OpenedSession | None = None
    plan: Plan | None = None
    """What the request means for that session, once it is known."""
    placement: Placement = field(default_factory=Placement)

    def exchange(
        self,
        id: str,
        replies: tuple[Message, ...],
        *,
        partial: bool,
        retried: bool,
        answer_id: str | None = None,
    ) -> Exchange:
        """The exchange that this request and these replies make."""
        return Exchange(
            id=id,
            request=self.request,
            incoming=self.conversation.messages,
            replies=replies,
            answered_at=now_ms(),
            partial=partial,
            retried=retried,
            answer_id=answer_id,
            session=self.session,
            plan=self.plan,
        )


@dataclass(slots=True)
class ReportedRequest:
    """What is known of a request that is to be reported, before it is answered."""

    call_type: str
    request: dict[str, Any] = field(default_factory=dict, repr=False)
    """The body to report."""
    about_user: Any = field(default=None, repr=False)
    """`metadata.reconify_user`, as written."""
    person: Any = field(default=None, repr=False)
    """Who asks: `reconify.person.Person`."""


@dataclass(slots=True)
class Call:
    """One Recallr request."""

    raw: RawHeaders
    awake: bool = True
    """False while it is an ordinary request, which passes as if the plugin were not there: it has no header of ours,
    and its LiteLLM key, as far as is known, is bound to no project."""
    retried: bool = False
    """The client library says that it repeats a request (`x-stainless-retry-count` of the OpenAI SDK)."""
    client_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers by which clients mark calls that serve themselves (`core/helper_calls.py`) or name their chats
    (`core/chat_ids.py`), names in lower case."""
    size: int | None = None
    """Bytes of the request's body; None where the client does not say."""
    request_id: str = field(default_factory=lambda: secrets.token_hex(16))
    received_at: int = field(default_factory=now_ms)
    spent: float = 0.0
    """Seconds spent in the plugin so far."""
    status: str = "off"
    """`X-Recallr-Memory-Status`."""
    reason: str | None = None
    """For the log: why the request was refused, or why it continues without all of its memory."""
    strategy: str | None = None
    """How memory was searched, once that is known; `auto:balanced` where `auto` chose."""
    injected: bool = False
    """The request goes on with something of ours in it."""
    refused: bool = False
    """A guardrail has refused it with that, before anything was answered. The request is made again, without."""
    answering: bool = False
    """The answer has begun."""
    block: str = ""
    """The memory blocks that the model is shown."""
    block_tokens: int = 0
    """Tokens of the blocks."""
    laid: LaidBlock | None = field(default=None, repr=False)
    """The block that is new in this request."""
    keeping: asyncio.Task[None] | None = field(default=None, repr=False)
    """Keeps it for later requests."""
    project_id: str | None = None
    """Set once the request may use the project."""
    user_id: str | None = None
    session_id: str | None = None
    found_by: str | None = None
    """How the session was found: `header`, `client`, `history`, `current` or `new`."""
    forwarded: bool = False
    """It came by the forward URL: its body goes to the upstream as it is, so nothing of LiteLLM's may be in it."""
    about_user: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The `x-reconify-*` headers. They are personal data: they must not show in a traceback."""
    reported: ReportedRequest | None = None
    """Set for a request that is to be reported to Reconify."""
    admitted: AdmittedRequest | None = None
    """Set once the request is admitted; the stored exchange is made from it."""
    headers: RecallrHeaders | None = field(default=None, repr=False)
    """The `X-Recallr-*` headers in force, once they are known."""
    defaults: Mapping[str, Collection[str]] = field(default_factory=dict, repr=False)
    """Where those come from that the client did not send: `binding`, … → fields of `headers`. The first counts."""
    trace: Trace | None = field(default=None, repr=False)
    """What is done for the request, to be explained afterwards; None where that is off."""
    head_start: HeadStart | None = field(default=None, repr=False)
    """What was begun at the door (`gateway/door.py`)."""
    witness: Witness | None = field(default=None, repr=False)
    """What LiteLLM's callbacks say of the answer; None where it takes no part, as by the forward URL."""

    def exchange(self, reply: Reply) -> Exchange | None:
        """What is to be stored; None where the request was not admitted.

        Where memory has no place, a text is answered in a conversation; what is to be spoken or drawn is none.
        """
        if self.admitted is None:
            return None
        if self.admitted.placement.refused and not any(message.text for message in reply.messages):
            return None
        return self.admitted.exchange(
            self.request_id,
            reply.messages,
            partial=not reply.complete,
            retried=self.retried,
            answer_id=reply.id,
        )

    async def kept(self) -> None:
        """Return when the new block is kept, or could not be."""
        if self.keeping is not None:
            await asyncio.wait({self.keeping})

    def show(self, blocks: Collection[LaidBlock]) -> None:
        """Note the memory blocks that the model is shown."""
        self.block = "\n\n".join(block.text for block in blocks if block.text)
        self.block_tokens = sum(block.tokens for block in blocks)

    def take_back(self) -> None:
        """Take back what was injected, for a second attempt without it."""
        self.injected, self.block, self.block_tokens = False, "", 0
        self.degrade("guardrail")

    def lap(self, part: str) -> None:
        """A part of the work is done (`Trace.lap`)."""
        if self.trace is not None:
            self.trace.lap(part)

    @property
    def degraded(self) -> bool:
        """Whether memory was not, or not wholly, at work."""
        return self.status.startswith("degraded")

    def degrade(self, reason: str) -> None:
        """Say that memory was not, or not wholly, at work."""
        self.status = f"degraded; reason={reason}"
