"""What a request asks of memory, validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo


class Strategy(StrEnum):
    """How memory is searched (`X-Recallr-Recall-Strategy`)."""

    LOW_LATENCY = "low_latency"
    BALANCED = "balanced"
    AGENTIC = "agentic"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class RecallOptions:
    """The recall part of the `X-Recallr-*` headers, with the defaults of the contract."""

    strategy: Strategy = Strategy.BALANCED
    min_top_k: int = 10
    max_top_k: int = 50
    memories_threshold: float = 0.7
    summaries_threshold: float = 0.6
    last_n_user_messages: int | None = None
    last_n_summaries: int | None = None
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    include_system_prompt: bool = True
