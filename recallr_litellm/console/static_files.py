"""Styles and scripts: ours, and the one of plotly, which its package carries."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from recallr_litellm.console.headers import SECURITY_HEADERS
from recallr_litellm.console.paths import PREFIX

router = APIRouter()

_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_OURS: Final = ("console.css", "console.js", "graph.css", "graph.js")
PLOTLY: Final = "plotly.min.js"
_KEPT: Final = "public, max-age=31536000, immutable"
"""The address of a file changes with its content."""


def static_address(name: str) -> str:
    """Where a page finds a file."""
    return f"{PREFIX}/static/{name}?v={_version(name)}"


@router.get("/static/{name}")
def static_file(name: str, request: Request, v: str = "") -> Response:  # in a thread: it reads and packs megabytes once
    """One of the files. It is kept for good where it was asked for by its version, else asked for again each time."""
    if name not in (*_OURS, PLOTLY):
        return Response(status_code=404)
    tag = f'"{_version(name)}"'
    kept = _KEPT if v == _version(name) else "no-cache"
    headers = {**SECURITY_HEADERS, "ETag": tag, "Cache-Control": kept, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    packed = _packed(name)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        packed = gzip.decompress(packed)
    return Response(packed, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


@cache
def _packed(name: str) -> bytes:
    return gzip.compress(_plotly().read_bytes() if name == PLOTLY else _content(name), 6)


@cache
def _version(name: str) -> str:
    return metadata.version("plotly") if name == PLOTLY else hashlib.sha256(_content(name)).hexdigest()[:16]


def _content(name: str) -> bytes:
    return (files(__package__) / "static" / name).read_bytes()


def _plotly() -> Path:
    # not imported, which takes a second: only its folder is wanted
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.origin:
        raise FileNotFoundError("the package plotly is not installed")
    return Path(spec.origin).parent / "package_data" / PLOTLY
