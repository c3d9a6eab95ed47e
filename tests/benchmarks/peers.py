"""mem0 (https://github.com/mem0ai/mem0), measured beside this project where it is installed: `pip install mem0ai`.

Configured to its advantage, as far as that goes without a network: our embedding model, our copy of the BM25 encoder
that it would download, its store on disk (Qdrant's Python engine), messages stored as they are (`infer=False`), no
floor for the similarity. Without spaCy's model, which is no package, it does not lemmatise and knows no entities.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from recallr_litellm.stores.embedding import SparseEncoder, bundled
from tests.benchmarks.conversations import Conversation, Question


def mem0_installed() -> bool:
    """Whether it can be measured."""
    return importlib.util.find_spec("mem0") is not None


class Mem0:
    """Its memory in a folder, in this process. Blocking."""

    def __init__(self, folder: Path) -> None:
        # Read when it is imported.
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder)}
        from mem0 import Memory

        store = {"path": str(folder / "qdrant"), "on_disk": True, "embedding_model_dims": bundled.DIMENSION}
        config = {
            "vector_store": {"provider": "qdrant", "config": store},
            "llm": {"provider": "openai", "config": {"api_key": "none"}},  # made at the start, never called
            "history_db_path": str(folder / "history.db"),
        }
        with patch("mem0.memory.main.EmbedderFactory.create", lambda *_: _Embedding()):
            self._memory: Any = Memory.from_config(config)
        self._memory.vector_store._bm25_encoder = SparseEncoder()._model

    def remember(self, conversation: Conversation) -> None:
        """Store all that was said."""
        for session in conversation.sessions:
            for one in session.said:
                self._memory.add(
                    [{"role": one.role, "content": one.text}],
                    user_id=conversation.name,
                    metadata={"message": one.id},
                    infer=False,
                )

    def ask(self, conversation: Conversation, question: Question, k: int) -> list[str]:
        """Ids of up to `k` messages, best first."""
        found = self._memory.search(question.text, filters={"user_id": conversation.name}, top_k=k, threshold=0.0)
        return [item["metadata"]["message"] for item in found["results"]]

    def close(self) -> None:
        """Let go of the folder."""
        self._memory.vector_store.client.close()


class _Embedding:
    """The bundled model, in the shape of its `EmbeddingBase`."""

    def __init__(self) -> None:
        self._model = bundled.load()

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        [vector] = self._model.query_embed(text)
        return [float(value) for value in vector]  # type: ignore[union-attr]

    def embed_batch(self, texts: Sequence[str], memory_action: str | None = None) -> list[list[float]]:
        return [self.embed(text) for text in texts]
