"""Server-sent events out of a byte stream cut anywhere, by httpx-sse's decoders.

The two decoders are not part of httpx-sse's documented interface, so its version is pinned.
Protocol: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from recallr_litellm.formats import Reply, StreamReader
from recallr_litellm.metrics import FAULTS

_log = logging.getLogger(__name__)


class EventReader:
    """Feeds the events of a byte stream to a format's reader.

    Args:
        listen: takes the `data` of each event too, whatever the reader makes of it. Must not raise.
    """

    def __init__(self, reader: StreamReader, listen: Callable[[str], None] | None = None) -> None:
        self._reader = reader
        self._listen = listen
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()
        self._broken = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Never raises: what cannot be read is logged, and the reply stays as it was."""
        if self._broken and self._listen is None:
            return
        try:
            text = self._text.decode(chunk)
            for line in self._lines.decode(text) if text else ():
                event = self._events.decode(line)
                if event is not None:
                    if self._listen is not None:
                        self._listen(event.data)
                    self._read(event.data)
        except Exception:  # noqa: BLE001 - the client's stream goes on whatever we can make of it
            self._listen = None
            self._give_up()

    def _read(self, data: str) -> None:
        if not self._broken:
            try:
                self._reader.feed(data)
            except Exception:  # noqa: BLE001 - who listens may make more of it
                self._give_up()

    def _give_up(self) -> None:
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
