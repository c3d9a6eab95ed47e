"""What is remembered: one `VectorStore` on the embedded Qdrant or on a server."""

from recallr_litellm.stores.vectors.collections import Collections
from recallr_litellm.stores.vectors.engine import Engine
from recallr_litellm.stores.vectors.opening import open_collections
from recallr_litellm.stores.vectors.store import VectorStore

__all__ = ["Collections", "Engine", "VectorStore", "open_collections"]
