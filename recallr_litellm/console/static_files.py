"""Styles and scripts: ours, and the one of plotly, which its package carries."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from recallr_litellm.console.rendering import SECURITY_HEADERS

router = APIRouter()

_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_OURS: Final = ("console.css", "console.js", "graph.css", "graph.js")
PLOTLY: Final = "plotly.min.js"


@router.get("/static/{name}")
def static_file(name: str, request: Request) -> Response:  # in a thread: a first time reads and packs megabytes
    """One of the files. A browser asks again each time whether it is still the same."""
    if name not in (*_OURS, PLOTLY):
        return Response(status_code=404)
    packed, tag = _packed(name)
    headers = {**SECURITY_HEADERS, "ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        packed = gzip.decompress(packed)
    return Response(packed, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


@cache
def _packed(name: str) -> tuple[bytes, str]:
    content = _plotly().read_bytes() if name == PLOTLY else (files(__package__) / "static" / name).read_bytes()
    return gzip.compress(content, 6), f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _plotly() -> Path:
    # not imported, which takes a second: only its folder is wanted
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.origin:
        raise FileNotFoundError("the package plotly is not installed")
    return Path(spec.origin).parent / "package_data" / PLOTLY
