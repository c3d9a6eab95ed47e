"""Finding what earlier sessions hold that matters now.

>>> recall = Recall(vectors, embedder, sparse)
>>> found = await recall(owner, "Where did I park?", RecallOptions(), exclude_sessions=frozenset({current}))
"""

from recallr_litellm.recall.search import Recall

__all__ = ["Recall"]
