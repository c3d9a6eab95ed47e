"""Payloads that queries found, kept by the embedded engine: to read one takes longer than to find its point."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from recallr_litellm.stores.vectors.engine import KeptPayload

MOST_KEPT: Final = 10_000
"""Payloads: some 20 MB. A question looks at about two hundred."""


class KeptPayloads:
    """The payloads of one folder, those that were looked at last.

    All that is written to the folder is written within `changing`, and nobody else writes to it: so what is kept is
    what is stored.
    """

    def __init__(self) -> None:
        self._newer: dict[int, KeptPayload] = {}
        self._older: dict[int, KeptPayload] = {}
        """Goes when `_newer` is half of what may be kept."""
        self._lock = threading.Lock()
        self.changes = 0
        """How often the folder has been written to."""

    def get(self, id: UUID) -> KeptPayload | None:
        """The payload of a point, None where it is not kept."""
        key = id.int  # a UUID computes its hash in Python
        return self._newer.get(key) or self._older.get(key)

    def keep(self, payloads: Mapping[UUID, KeptPayload], *, as_of: int) -> None:
        """Keep what was read, unless something was written meanwhile.

        Args:
            as_of: `changes` before it was read.
        """
        with self._lock:
            if as_of != self.changes:
                return
            if len(self._newer) + len(payloads) > MOST_KEPT // 2:
                self._older, self._newer = self._newer, {}
            self._newer.update((id.int, payload) for id, payload in payloads.items())

    @contextmanager
    def changing(self, ids: Iterable[UUID] | None = None) -> Iterator[None]:
        """While points are written or deleted.

        Args:
            ids: theirs; None: any.
        """
        try:
            yield
        finally:
            with self._lock:
                self.changes += 1
                for generation in (self._newer, self._older):
                    if ids is None:
                        generation.clear()
                    else:
                        for id in ids:
                            generation.pop(id.int, None)
