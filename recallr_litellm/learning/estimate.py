"""What learning sessions will cost in tokens, about."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil
from typing import NamedTuple
from zoneinfo import ZoneInfo

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.passages import estimate_tokens
from recallr_litellm.learning.decisions import BATCH
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.prompts import extract, reconcile
from recallr_litellm.learning.windows import readable, windows

_TOKENS_PER_FACT = 50
"""Of what is said: LoCoMo's annotators note a fact for about so many."""
_FACT_TOKENS = 120
"""Of a fact as a model writes it, in JSON."""
_COMPARED_TOKENS = 150
"""Of a fact with the memories that it is compared with, as a model reads them."""
_DECISION_TOKENS = 40
"""Of a decision as a model writes it."""


class Price(NamedTuple):
    """Of a model, US dollars a token."""

    input: float
    output: float


class Estimate(NamedTuple):
    """Tokens of the memory model's calls."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def estimate(
    messages: Sequence[StoredMessage], timezone: ZoneInfo, rules: Rules, *, known: Collection[str] = ()
) -> Estimate:
    """What learning a session will cost. The prompts are counted as they will be sent; what the model makes of them is
    assumed.

    Args:
        messages: all of it, by position.
        known: ids of those that were extracted already.
    """
    calls = read = written = 0
    deciding = sum(estimate_tokens(str(one["content"])) for one in reconcile.messages([], [], timezone))
    for window in windows(messages, known=known):
        asked = extract.messages(
            window, timezone, categories=rules.categories, include=rules.include, exclude=rules.exclude
        )
        said = sum(estimate_tokens(readable(stored)) for stored in window.targets)
        facts = ceil(said / _TOKENS_PER_FACT)
        batches = ceil(facts / BATCH)
        calls += 1 + batches
        read += sum(estimate_tokens(str(one["content"])) for one in asked)
        read += batches * deciding + facts * _COMPARED_TOKENS
        written += facts * (_FACT_TOKENS + _DECISION_TOKENS)
    return Estimate(calls, read, written)
