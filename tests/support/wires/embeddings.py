"""OpenAI's embeddings."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import numpy as np

EMBEDDING_DIMENSION = 256


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """Embeddings of the input texts: the same text the same vector, texts that share words near each other."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    dimension = body.get("dimensions") or EMBEDDING_DIMENSION
    as_base64 = body.get("encoding_format") == "base64"
    vectors = [_embed(str(text), dimension) for text in texts]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(len(str(text).split()) for text in texts)
    counts = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": counts}


def _embed(text: str, dimension: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Hashed bag of words, shape (dimension,), unit length."""
    vector = np.zeros(dimension, dtype=np.float32)
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        vector[digest % dimension] += 1.0 if digest >> 63 else -1.0
    length = float(np.linalg.norm(vector))
    # two words may cancel each other out; a vector of length 0 is no embedding
    return (vector / length if length else np.eye(1, dimension, dtype=np.float32)[0]).astype(np.float32)
