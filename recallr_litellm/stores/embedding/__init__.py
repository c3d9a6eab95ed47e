"""Texts to vectors: dense from a model, sparse from BM25. Nothing here runs on the event loop.

>>> embedder = open_embedder(settings, gateway_embed)
>>> await embedder.open()
>>> vector = await embedder.query("Where do I live?", project="acme")
"""

from __future__ import annotations

import os
from functools import partial

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import bundled, hub
from recallr_litellm.stores.embedding.base import MAX_CHARACTERS, Embedder, GatewayEmbed
from recallr_litellm.stores.embedding.gateway import GatewayEmbedder
from recallr_litellm.stores.embedding.local import LocalEmbedder
from recallr_litellm.stores.embedding.sparse import SparseEncoder

__all__ = [
    "GATEWAY_PREFIX",
    "MAX_CHARACTERS",
    "Embedder",
    "GatewayEmbed",
    "SparseEncoder",
    "check_name",
    "open_embedder",
]

# Read when fastembed imports onnxruntime: since 1.32 it makes a device id and sends usage data to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

GATEWAY_PREFIX = "litellm/"
"""Before the name of a model that the gateway itself calls."""


def check_name(settings: Settings) -> None:
    """Check that `RECALLR_EMBEDDING_MODEL` names a model, without loading it.

    Raises:
        ConfigurationError: fastembed knows no such model.
    """
    model = settings.embedding_model
    if model is not None and model != bundled.NAME and not model.startswith(GATEWAY_PREFIX):
        hub.describe(model)


def open_embedder(settings: Settings, gateway_embed: GatewayEmbed) -> Embedder:
    """The embedder that `RECALLR_EMBEDDING_MODEL` names, not loaded yet: `await embedder.open()` does that.

    Raises:
        ConfigurationError: `litellm/` without the name of a model.
    """
    model = settings.embedding_model
    if model is None or model == bundled.NAME:
        return LocalEmbedder(bundled.NAME, bundled.load, dimension=bundled.DIMENSION, batch=bundled.BATCH)
    if model.startswith(GATEWAY_PREFIX):
        if model == GATEWAY_PREFIX:
            raise ConfigurationError(
                "RECALLR_EMBEDDING_MODEL=litellm/ lacks a model: write litellm/<model_name of config.yaml>"
            )
        return GatewayEmbedder(model, model.removeprefix(GATEWAY_PREFIX), gateway_embed)
    return LocalEmbedder(model, partial(hub.load, model, settings.models_dir))
