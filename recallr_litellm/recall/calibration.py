"""Scores to relevance: 0–1, meaning the same whatever the embedding model.

Relevance is the probability that a memory answers the question, when one that does and any other of the
(at most 200) candidates are equally likely: at 0.5 a score tells nothing, at 0.7 it is found 2.3 times as
often among the evidence as elsewhere.

The slopes are fitted by `python -m tests.benchmarks.calibrate --data FOLDER --users FILE`: that of lines of named
speakers on five LoCoMo conversations ("Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024,
categories 1–4), that of chats on first-person questions. The intercepts are raised from the fits, so that at 0.7 the
default headers fill the block with what is worth showing: 89 % of the evidence of the one and 96 % of the other, in
1,750 and 1,270 of 2,000 tokens. Memories have only LoCoMo's recorded facts to be fitted on, and keep their place
among the passages. What thresholds let through: `tests/benchmarks/README.md`, "Weights".
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

FEWEST_TO_STANDARDISE = 10
"""Below this many candidates their mean and spread say nothing about the model."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Relevance as 1 / (1 + exp(−(slope · score + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, score: float) -> float:
        """Relevance of a score, 0–1, growing with it."""
        # Past ±30 it is 0 or 1 to twelve places, and `exp` would overflow.
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, self.slope * score + self.intercept))))


class Relevance(NamedTuple):
    """That of what competes for the places of the top-k."""

    passages: Logistic
    memories: Logistic


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of an embedding model."""

    mean: float
    """Of the cosine similarities of a question's candidates."""
    spread: float
    """Their standard deviation."""
    lines: Relevance
    """Where most of what is remembered are lines of named speakers."""
    chats: Relevance
    """Where it is chats with an assistant."""
    summaries: Logistic


REFERENCE_MODEL = "all-MiniLM-L6-v2-dynamic-int8"
"""The bundled one, with which the weights of `recipes.py` were measured."""

OTHER_SCRIPTS = f"{REFERENCE_MODEL}, other scripts than Latin"
"""The bundled model for a question in another script, of which it knows little: two texts that have nothing but their
script in common are at .54 (Japanese) to .72 (Hindi), and at 1 where it knows no letter of it (Thai)."""

_RELEVANCE = (
    Relevance(Logistic(5.18, -1.6), Logistic(5.36, -1.77)),
    Relevance(Logistic(7.09, -1.95), Logistic(5.36, -1.39)),
    Logistic(5.26, -1.11),
)
CALIBRATIONS: Mapping[str, Calibration] = MappingProxyType(
    {
        REFERENCE_MODEL: Calibration(0.213, 0.132, *_RELEVANCE),
        OTHER_SCRIPTS: Calibration(0.63, 0.07, *_RELEVANCE),
    }
)
"""`Embedder.name` → constants."""

REFERENCE = CALIBRATIONS[REFERENCE_MODEL]


def calibration_of(model: str) -> Calibration:
    """The constants that turn scores of this model into relevance; those of the reference for an unknown one."""
    return CALIBRATIONS.get(model, REFERENCE)


def to_reference(model: str, dense: Sequence[float]) -> list[float]:
    """Cosine similarities of one question's candidates, as the reference model would spread them.

    Models differ in what their cosines mean: unrelated texts are at 0.1 for MiniLM and above 0.7 for E5.
    A known model is mapped by its constants; an unknown one, and other scripts, by the candidates themselves, which is
    right for a user who has said enough. Fewer than `FEWEST_TO_STANDARDISE` stay as they are, or take the constants.
    """
    known = CALIBRATIONS.get(model)
    if model == REFERENCE_MODEL:
        return list(dense)
    if len(dense) >= FEWEST_TO_STANDARDISE and (known is None or model == OTHER_SCRIPTS):
        mean, spread = statistics.fmean(dense), statistics.pstdev(dense)
    elif known is not None:
        mean, spread = known.mean, known.spread
    else:
        return list(dense)
    if model == OTHER_SCRIPTS and min(dense, default=0.0) > _ALL_ALIKE:
        return [REFERENCE.mean] * len(dense)
    if spread <= 0:
        return list(dense)
    return [REFERENCE.mean + (value - mean) / spread * REFERENCE.spread for value in dense]


_ALL_ALIKE = 0.98
"""Cosine of everything to a question of which the model knows no letter."""
