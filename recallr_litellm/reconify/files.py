"""Takes the bytes of pictures, audio and files out of a payload: analytics are about what was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from recallr_litellm.core.blobs import blob_mark

SMALLEST: Final = 1_000
"""Characters; what is shorter stays."""

_DATA_URI = re.compile(r"data:(?P<type>[\w.+/-]*)[^,]{0,100};base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_=\r\n-]+", re.ASCII)
_BYTES = frozenset({"data", "file_data", "b64_json", "bytes", "partial_image_b64"})
"""Fields that hold bytes as base64 in the providers' APIs."""
_TYPES = ("media_type", "mime_type", "mimeType", "format", "filename")
"""Fields beside them that say what the bytes are."""


def without_files(value: Any) -> Any:
    """A JSON value in which each run of bytes is a mark with its type and size: `[image/png, 81 kB]`.

    Bytes are data URIs, wherever they stand, and base64 in the fields that hold bytes in the providers' APIs.
    """
    if isinstance(value, str):
        found = _DATA_URI.match(value) if len(value) >= SMALLEST else None
        return blob_mark(found["type"] or "file", len(value) - found.end()) if found else value
    if isinstance(value, list):
        return [without_files(item) for item in value]
    if isinstance(value, dict):
        return {name: _field(name, item, value) for name, item in value.items()}
    return value


def _field(name: str, item: Any, beside: Mapping[str, Any]) -> Any:
    if name in _BYTES and isinstance(item, str) and len(item) >= SMALLEST and _BASE64.fullmatch(item):
        kind = next((beside[field] for field in _TYPES if isinstance(beside.get(field), str)), "file")
        return blob_mark(kind, len(item))
    return without_files(item)
