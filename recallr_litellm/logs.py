"""Log lines of the plugin, visible from the start."""

from __future__ import annotations

import logging

ROOT = "recallr_litellm"
_FORMAT = "%(asctime)s - recallr:%(levelname)s: %(name)s - %(message)s"


def show_logs() -> None:
    """Show the plugin's log from INFO up on standard error, unless the process has set up logging of its own.

    LiteLLM sets up its own loggers only: without this, ours would be heard from WARNING up.
    """
    logger = logging.getLogger(ROOT)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        logger.propagate = False
