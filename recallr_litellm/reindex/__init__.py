"""Embedding everything that is remembered anew, after a change of the embedding model.

Wherever it is done, in `recallr reindex` itself or in a gateway that it asks, this is how: a new collection beside
the current one is made to hold the same points with new vectors (`copying`), and takes its place (`job`).
"""

from recallr_litellm.reindex.job import LEASE_SECONDS, Reindex

__all__ = ["LEASE_SECONDS", "Reindex"]
