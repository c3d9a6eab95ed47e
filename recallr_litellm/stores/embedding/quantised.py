"""Puts the bundled model together: the published file's weights, in a graph that computes with integers.

`tests/support/integer_model.py` makes that graph and writes the recipes `data/*.npz`. A recipe holds the bytes that are
new and says where in the published file the others are, so the plugin needs neither `onnx` nor a second 23 MB file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

_DATA = Path(__file__).parent / "data"
_SIGN = 0x80
"""This bit of a byte is flipped to turn a signed weight w into the unsigned w + 128."""
_CPU = Path("/proc/cpuinfo")


def signed_products_are_exact() -> bool:
    """Whether this processor multiplies unsigned activations with signed weights without overflow.

    x86 with VNNI does; with AVX2 alone, sums of two products are cut off at 16 bits, and the vectors
    would differ from machine to machine. False where it cannot be told.
    """
    try:
        return "vnni" in _CPU.read_text()
    except OSError:
        return False


def recipe_file(*, signed: bool) -> Path:
    """Recipe of the model with signed weights, which is faster, or with unsigned ones. The vectors are the same.

    Arrays of the file: `new`, the new bytes; `steps`, rows of (how many new bytes, then how many bytes of the published
    file, from which offset, 1 if their sign bit is flipped).
    """
    return _DATA / f"{'signed' if signed else 'unsigned'}.npz"


def quantised(published: bytes, *, signed: bool) -> Iterator[bytes]:
    """The model in ONNX's serialised form, piece by piece.

    Args:
        published: content of the published file, already verified.
        signed: see `recipe_file`.
    """
    with np.load(recipe_file(signed=signed)) as recipe:
        new, steps = recipe["new"].tobytes(), recipe["steps"].tolist()
    position = 0
    for added, copied, offset, flip in steps:
        yield new[position : position + added]
        position += added
        piece = published[offset : offset + copied]
        yield (np.frombuffer(piece, np.uint8) ^ _SIGN).tobytes() if flip else piece
