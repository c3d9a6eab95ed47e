from __future__ import annotations

from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state.board import Board, Phase
from recallr_litellm.stores.vectors import Collections
from tests.unit.reindex.kit import ADA, BOB, EVE, NEW, Hashing, Remembering, assert_embedded_with, per_owner, reindex
from tests.unit.reindex.kit import remembered


async def test_everything_is_embedded_anew_and_nothing_else_changes(
    memory: Remembering, collections: Collections, board: Board, sparse: SparseEncoder
) -> None:
    for number in range(6):
        for owner in (ADA, BOB, EVE):
            await memory.session(owner, f"s{number}", f"I have {number} cats.", f"{owner.user} of {owner.project}.")
    before, counts = await remembered(collections), await per_owner(collections)
    new = Hashing(*NEW)

    ended = await reindex(collections, new, sparse, board)

    assert ended.phase is Phase.DONE
    assert await remembered(collections) == before
    assert await per_owner(collections) == counts
    await assert_embedded_with(new, sparse, collections)
    print(ended, await collections.all())
