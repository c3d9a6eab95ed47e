"""Answers as they come over the wire, whole or streamed, read within a bound.

The answer's own shape says which format it has: some endpoints of LiteLLM are asked in one and answer in another.

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

from recallr_litellm.formats import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from recallr_litellm.formats.base import Format, Reply, event_of, items
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


_BY_OBJECT: Final[Mapping[str, Format]] = {
    "chat.completion": CHAT,
    "chat.completion.chunk": CHAT,
    "text_completion": COMPLETIONS,
    "response": RESPONSES,
}
_ANTHROPIC_TYPES: Final = frozenset(
    {"message", "message_start", "content_block_start", "content_block_delta", "message_delta"}
)
_GEMINI_FIELDS: Final = frozenset({"candidates", "promptFeedback", "usageMetadata"})


def format_of(answer: Mapping[str, Any]) -> Format | None:
    """The format of a whole answer, or of an event of a streamed one; None where it could be any or is none."""
    named, kind = answer.get("object"), answer.get("type")
    if isinstance(named, str) and named in _BY_OBJECT:
        return _BY_OBJECT[named]
    if isinstance(kind, str) and kind in _ANTHROPIC_TYPES:
        return ANTHROPIC
    if isinstance(kind, str) and kind.startswith("response."):
        return RESPONSES
    if (choice := next(items(answer.get("choices")), None)) is not None:
        return CHAT if "text" not in choice else COMPLETIONS
    if isinstance(answer.get("output"), list):
        return RESPONSES
    return GEMINI if answer.keys() & _GEMINI_FIELDS else None


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
        format: of the request; the answer has it until its events say otherwise.
        request: the body of the request.
    """

    def __init__(self, format: Format, request: Mapping[str, Any]) -> None:
        self.format = format
        self.recognised = False
        """Events of a known format have come."""
        self.failed = False
        """An error has come, after what came of the answer, or in its place."""
        self.ended = False
        """The stream says that it has ended. Many only end: a finish reason, or the last event of a format, may be
        followed by more where the gateway runs the model's tool calls itself."""
        self._request = request
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
                    self._take(event.data)
        except Exception:  # noqa: BLE001 - the client's stream goes on whatever we can make of it
            self._fault()

    def _take(self, data: str) -> None:
        self.ended = self.ended or data.strip() == "[DONE]"
        if not self.recognised and (found := format_of(event_of(data))) is not None:
            self.recognised = True
            if found is not self.format:
                self.format, self._reader = found, found.stream_reader(self._request)
        if '"error"' in data or '"response.failed"' in data:
            event = event_of(data)
            self.failed = self.failed or bool(event.get("error")) or event.get("type") in ("error", "response.failed")
        self._reader.feed(data)

    @property
    def complete(self) -> bool:
        """The provider said that every choice is finished. Cheap: asked after each chunk."""
        return not self._given_up and self._reader.complete

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
            read = self.format.read_reply(whole) if whole is not None else Reply()
        except Exception:  # noqa: BLE001 - as above
            self._fault()
            return Reply()
        complete = not self._given_up and (self._reader.complete or read.complete)  # Gemini's readers never say so
        return replace(read, complete=complete)

    def _fault(self) -> None:
        self._given_up = True
        FAULTS.labels("stream").inc()
        _log.exception("A streamed answer cannot be read to its end")
