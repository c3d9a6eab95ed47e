"""A LiteLLM callback of `recallr demo` only: writes what goes out to the model into a file of the demo's own folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from recallr_litellm.cli.environment import RECORD_FILE


class Recorder(CustomLogger):  # type: ignore[misc]  # LiteLLM is not type-checked here
    """Appends the messages of each call, one JSON array a line, as they are when they leave for the provider."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> None:
        """Runs after every hook that may change a request, just before the provider is called."""
        line = json.dumps(kwargs.get("messages")) + "\n"
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
            file.write(line)


recorder = Recorder(Path(os.environ.get(RECORD_FILE, os.devnull)))
"""The instance that the demo's config names."""
