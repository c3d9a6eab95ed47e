"""What is remembered: one `VectorStore` on the embedded Qdrant or on a server."""

from recallr_litellm.stores.vectors.engine import Engine
from recallr_litellm.stores.vectors.opening import open_engine
from recallr_litellm.stores.vectors.store import VectorStore

__all__ = ["Engine", "VectorStore", "open_engine"]
