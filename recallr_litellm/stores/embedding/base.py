"""What an embedder is, and the two things that all of them do to texts and vectors."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from recallr_litellm.core.records import Vector
from recallr_litellm.errors import EmbeddingRefused

GatewayEmbed = Callable[[str, list[str]], Awaitable[list[list[float]]]]
"""(model of the gateway, texts) → one vector a text, in order, of any length. May raise anything."""

MAX_CHARACTERS = 2_000
"""What is embedded of a text: about 450 English tokens, where MiniLM reads 256 and a passage has 150.
A text of a megabyte costs no more than one of this length."""


class Embedder(Protocol):
    """Turns texts into unit vectors of one length. Belongs to one event loop."""

    @property
    def name(self) -> str:
        """Stored with the collection; another name means vectors that cannot be compared."""
        ...

    @property
    def dimension(self) -> int:
        """Length of the vectors.

        Raises:
            EmbeddingUnavailable: only the model knows, and it is not open.
        """
        ...

    async def open(self) -> None:
        """Loads the model and uses it once, so that no request pays for that. Again after a failure, not after `close`.

        Raises:
            ConfigurationError: there is no such model, or its files are not what they should be.
            EmbeddingUnavailable: it could not be loaded now.
        """
        ...

    async def probe(self) -> None:
        """Return if the model, which is open, answers. An endpoint is called, and may charge for it.

        Raises:
            EmbeddingUnavailable: it does not; `EmbeddingMisconfigured` where somebody has to correct something.
        """
        ...

    async def query(self, text: str, project: str) -> Vector:
        """Vector of what is searched for, shape (dimension,), read-only. Cached for the project.

        Raises:
            EmbeddingUnavailable: the model is not open, or failed.
            EmbeddingRefused: the model does not take this text.
        """
        ...

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of what is to be found, each shape (dimension,), in the order of `texts`. Never delays a query.

        Raises:
            EmbeddingUnavailable: the model is not open, or failed; then none is returned.
            EmbeddingRefused: the model does not take one of the texts; then none is returned.
        """
        ...

    async def close(self) -> None:
        """Frees the model. What is being embedded is finished first; later calls raise EmbeddingUnavailable."""
        ...


class TextModel(Protocol):
    """What is used of `fastembed.TextEmbedding`; both put the prefix before a text that the model was trained with."""

    def query_embed(self, query: str) -> Iterable[ArrayLike]: ...

    def passage_embed(self, texts: list[str]) -> Iterable[ArrayLike]: ...


def bounded(text: str) -> str:
    """The first `MAX_CHARACTERS`; lone surrogates, which JSON may hold and tokenizers refuse, become `?`."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def unit(values: ArrayLike) -> Vector:
    """`values` as a read-only float32 vector of length 1.

    Raises:
        EmbeddingRefused: not one row of finite numbers, or all of them zero.
    """
    vector = np.asarray(values, dtype=np.float64)
    norm = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not math.isfinite(norm) or norm == 0:
        raise EmbeddingRefused(f"the embedding model returned no usable vector (shape {vector.shape}, norm {norm})")
    unit_vector = (vector / norm).astype(np.float32)
    unit_vector.flags.writeable = False  # it may be in a cache and shared by requests
    return unit_vector
