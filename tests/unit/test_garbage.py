"""What a gateway is made of is not gone through again and again in search of garbage."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from recallr_litellm import plugin

plugin._spare_garbage_collection()
at_start = gc.get_freeze_count()
lazily_made = [[] for _ in range(10_000)]
gc.collect()
first = gc.get_freeze_count()
later = [[] for _ in range(10_000)]
gc.collect()
print(at_start > 10_000, first - at_start >= 10_000, gc.get_freeze_count() == first)
"""


def test_neither_is_what_the_first_requests_have_made() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3, (
        "frozen at the start, once more after a full collection, and never again"
    )
