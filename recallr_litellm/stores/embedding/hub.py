"""Embedding models that fastembed downloads once from the Hugging Face hub and then keeps on disk."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from recallr_litellm.errors import ConfigurationError, EmbeddingUnavailable
from recallr_litellm.stores.embedding.base import TextModel

if TYPE_CHECKING:
    from fastembed.common.model_description import BaseModelDescription

PROBE_SECONDS = 10.0
"""How long the hub may take to answer before it counts as out of reach."""


def load(name: str, cache: Path) -> TextModel:
    """The model, from disk if it is there, else from the hub. Blocking; may take minutes.

    fastembed retries for 40 s when there is no network, so the hub is asked first whether it is there at all.

    Args:
        name: as fastembed spells it.
        cache: folder for downloads; `FASTEMBED_CACHE_PATH` wins where it is set.

    Raises:
        ConfigurationError: fastembed knows no such model; the message says how to list them.
        EmbeddingUnavailable: it is not on disk and the hub is out of reach or `HF_HUB_OFFLINE` is set.
    """
    from fastembed import TextEmbedding

    description = describe(name)
    # Not fastembed's default, a folder in /tmp: gone after a restart, and others may write there.
    folder = os.environ.get("FASTEMBED_CACHE_PATH") or str(cache)
    on_disk = _on_disk(description, folder)
    if not on_disk:
        _probe(name, str(description.sources.hf), folder)
    model: TextModel = TextEmbedding(name, cache_dir=folder, threads=1, cuda=False, local_files_only=on_disk)
    return model


def describe(name: str) -> BaseModelDescription:
    """What fastembed knows of a model. Imports fastembed, which takes up to 2 s.

    Raises:
        ConfigurationError: nothing.
    """
    from fastembed import TextEmbedding

    known = {description.model: description for description in TextEmbedding._list_supported_models()}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise ConfigurationError(
            f"RECALLR_EMBEDDING_MODEL={name} is not an embedding model of fastembed. "
            + (f"Close to it: {', '.join(close)}. " if close else "")
            + 'All of them: python -c "from fastembed import TextEmbedding as T; '
            "print(*(m['model'] for m in T.list_supported_models()), sep='\\n')\". A model of this gateway is written "
            "litellm/<model>"
        )
    description: BaseModelDescription = known[name]
    return description


def _probe(name: str, repository: str, folder: str) -> None:
    from huggingface_hub import HfApi, is_offline_mode

    if is_offline_mode():
        raise EmbeddingUnavailable(f"the model {name} is not in {folder}, and HF_HUB_OFFLINE forbids a download")
    try:
        HfApi().model_info(repository, timeout=PROBE_SECONDS)
    except Exception as error:
        raise EmbeddingUnavailable(
            f"the model {name} is not in {folder}, and the Hugging Face hub did not offer {repository} "
            f"({type(error).__name__}). Unset RECALLR_EMBEDDING_MODEL for the bundled model, which needs no download."
        ) from error


def _on_disk(description: BaseModelDescription, folder: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    files = ("tokenizer.json", description.model_file, *description.additional_files)
    return all(
        isinstance(try_to_load_from_cache(str(description.sources.hf), file, cache_dir=folder), str) for file in files
    )
