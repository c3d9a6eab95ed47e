"""Answers as they come over the wire, whole or streamed, read within a bound.

Events come out of a byte stream cut anywhere by httpx-sse's decoders. The two are not part of its documented interface,
so its version is pinned. Protocol: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import codecs
import logging
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from recallr_litellm.formats.base import Format, Reply
from recallr_litellm.formats.deltas import Json
from recallr_litellm.json_text import parsed
from recallr_litellm.metrics import ANSWERS_TOO_LARGE, FAULTS

_log = logging.getLogger(__name__)

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""Bytes of an answer that are read: of a whole one unpacked, of a stream with its envelopes. 128,000 tokens in chat
chunks are about 22 MB. A larger answer reaches the client all the same: of a stream the beginning is kept, a whole one
is not."""


class AnswerTooLarge(ValueError):
    """An answer exceeds `MAX_ANSWER_BYTES`."""


def read_whole(body: bytes, encoding: bytes) -> Json | None:
    """The object of an answer that is not streamed; None where it is something else.

    Args:
        encoding: `Content-Encoding`. LiteLLM compresses answers for clients that accept gzip, and knows no other.

    Raises:
        AnswerTooLarge: packed or unpacked. It is unpacked only as far as the bound.
        ValueError, RecursionError, zlib.error: it cannot be read.
    """
    if encoding == b"gzip" and len(body) <= MAX_ANSWER_BYTES:
        body = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(body, MAX_ANSWER_BYTES + 1)
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerTooLarge(f"it has more than {MAX_ANSWER_BYTES} bytes")
    answer = parsed(body.decode())
    return answer if isinstance(answer, dict) else None


class StreamedAnswer:
    """Puts a streamed answer together from its bytes.

    Args:
        request: the body of the request.
    """

    def __init__(self, format: Format, request: Mapping[str, Any]) -> None:
        self._format = format
        self._reader = format.stream_reader(request)
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()
        self._bytes = 0
        self._given_up = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Never raises: past the bound, or where a fault occurs, the answer stays as it was."""
        if self._given_up:
            return
        self._bytes += len(chunk)
        if self._bytes > MAX_ANSWER_BYTES:
            self._given_up = True
            ANSWERS_TOO_LARGE.inc()
            _log.warning("A streamed answer has more than %d bytes: only its beginning is kept", MAX_ANSWER_BYTES)
            return
        try:
            text = self._text.decode(chunk)
            for line in self._lines.decode(text) if text else ():
                event = self._events.decode(line)
                if event is not None:
                    self._reader.feed(event.data)
        except Exception:  # noqa: BLE001 - the client's stream goes on whatever we can make of it
            self._fault()

    @property
    def complete(self) -> bool:
        return not self._given_up and self._reader.complete

    @property
    def ended(self) -> bool:
        return self._reader.ended

    @property
    def whole(self) -> Json | None:
        """Never raises."""
        try:
            return self._reader.whole
        except Exception:  # noqa: BLE001 - for example a RecursionError
            self._fault()
            return None

    @property
    def reply(self) -> Reply:
        """What has been said so far. Never raises."""
        try:
            whole = self._reader.whole
            read = self._format.read_reply(whole) if whole is not None else Reply()
        except Exception:  # noqa: BLE001 - as above
            self._fault()
            return Reply()
        complete = not self._given_up and (self._reader.complete or read.complete)  # Gemini's readers never say so
        return replace(read, complete=complete)

    def _fault(self) -> None:
        self._given_up = True
        FAULTS.labels("stream").inc()
        _log.exception("A streamed answer cannot be read to its end")
