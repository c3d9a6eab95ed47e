"""Sentences that are compared again and again are embedded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Vector
from recallr_litellm.errors import EmbeddingRefused
from recallr_litellm.learning.sentences import Sentences
from recallr_litellm.stores.embedding import Embedder
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER


class Counting:
    """An embedder whose vector of a text is its length."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self.embedded: list[str] = []
        self._embedder = embedder

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        if "refused" in texts:
            raise EmbeddingRefused("no")
        self.embedded += texts
        if self._embedder is not None:
            return await self._embedder.passages(texts)
        return [np.array([len(text)], np.float32) for text in texts]

    async def probe(self) -> None:
        """It works."""


async def test_each_sentence_of_an_owner_is_embedded_once_and_a_refused_one_has_no_vector() -> None:
    embedder = Counting()
    sentences = Sentences(embedder)  # type: ignore[arg-type]
    first = await sentences.vectors(OWNER, ["a", "bb", "a", "refused"])
    assert [None if one is None else one[0] for one in first] == [1, 2, 1, None]
    assert await sentences.vectors(OWNER, ["refused", "bb"]) == [None, first[1]]
    assert embedder.embedded == ["a", "bb"]
    await sentences.vectors(Owner("p", "another"), ["a"])
    assert embedder.embedded == ["a", "bb", "a"]


async def test_what_is_known_is_not_embedded_again_for_each_new_fact(world: World) -> None:
    knowing = world.learner._knowing
    counting = Counting(knowing.embedder)
    knowing.sentences._embedder = counting  # type: ignore[assignment]
    said = {f"number {n}.": [{"text": f"User likes the number {n}.", "attribute": "taste"}] for n in range(6)}
    world.model.says(said)
    for number in range(6):
        await world.learned(f"s{number}", f"user: I like the number {number}.", day=f"2025-05-0{number + 1}")
    assert len(await world.current()) == 6
    assert sorted(counting.embedded) == [f"User likes the number {n}." for n in range(6)]
