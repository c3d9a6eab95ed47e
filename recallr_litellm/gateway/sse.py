"""Server-sent events out of a byte stream cut anywhere, by httpx-sse's decoders.

The two decoders are not part of httpx-sse's documented interface, so its version is pinned.
Protocol: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import codecs
import logging

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from recallr_litellm.gateway.formats import Reply, StreamReader
from recallr_litellm.metrics import FAULTS

_log = logging.getLogger(__name__)


class EventReader:
    """Feeds the events of a byte stream to a format's reader."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()
        self._broken = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Never raises: what cannot be read is logged, and the reply stays as it was."""
        if self._broken:
            return
        try:
            text = self._text.decode(chunk)
            if not text:
                return
            for line in self._lines.decode(text):
                event = self._events.decode(line)
                if event is not None:
                    self._reader.feed(event.data)
        except Exception:  # noqa: BLE001 - the client's stream goes on whatever we can make of it
            self._broken = True
            FAULTS.labels("stream").inc()
            _log.exception("A streamed answer cannot be read to its end")

    @property
    def complete(self) -> bool:
        """See `StreamReader.complete`."""
        return self._reader.complete

    @property
    def reply(self) -> Reply:
        """See `StreamReader.reply`."""
        return self._reader.reply
