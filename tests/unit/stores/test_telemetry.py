"""onnxruntime, which runs the embedding models, tells nobody that it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_onnxruntime_makes_no_device_id(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "from recallr_litellm.stores.embedding import bundled; import onnxruntime; print(onnxruntime.__version__)"
    subprocess.run([sys.executable, "-c", code], env={**inherited, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir()), "it keeps an id and usage data in the home folder, and sends them"
