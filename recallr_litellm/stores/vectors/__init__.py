"""What is remembered: one `VectorStore` on the embedded Qdrant or on a server."""

from __future__ import annotations

from functools import partial

from recallr_litellm.errors import PlatformUnsupported
from recallr_litellm.settings import Settings
from recallr_litellm.stores.vectors.collections import Collections
from recallr_litellm.stores.vectors.engine import Engine
from recallr_litellm.stores.vectors.store import VectorStore

__all__ = ["Collections", "Engine", "VectorStore", "open_collections"]


def open_collections(settings: Settings) -> Collections:
    """The collections of these settings, none opened yet: on a server if a URL is set, else embedded.

    Raises:
        ConfigurationError: RECALLR_QDRANT_URL is not the URL of a server.
        PlatformUnsupported: the embedded engine has no build for this platform.
    """
    # Imported late: of the two, a process loads the one that it uses.
    if settings.qdrant_url:
        from recallr_litellm.stores.vectors.server import connect
        from recallr_litellm.stores.vectors.server_collections import ServerCollections

        return ServerCollections(partial(connect, settings.qdrant_url, settings.qdrant_api_key), settings.collection)
    try:
        from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
    except ImportError as error:
        raise PlatformUnsupported(
            "The embedded Qdrant (qdrant-edge-py) has no build for this platform. "
            "Set RECALLR_QDRANT_URL to use a Qdrant server."
        ) from error
    return EdgeCollections(settings.qdrant_dir)
