"""Log lines of the plugin, visible from the start."""

from __future__ import annotations

import logging

ROOT = "recallr_litellm"
_FORMAT = "%(asctime)s - recallr:%(levelname)s: %(name)s - %(message)s"


_MAX_NAMES = 100


class Once:
    """Tells the first use of a name from later ones, so that each is logged once.

    Clients choose the names: after a hundred, every name counts as known.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()

    def first(self, name: str) -> bool:
        """True the first time that it is asked about this name."""
        if name in self._names or len(self._names) >= _MAX_NAMES:
            return False
        self._names.add(name)
        return True


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


def shorten_failed_start(message: str) -> None:
    """Have the server end a start that we refuse with this message, instead of 400 lines of traceback.

    The server (uvicorn, also under gunicorn) logs the traceback, and then that the start has failed.
    """

    def shorten(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text.startswith("Traceback") or record.exc_info:
            return False
        if "startup failed" in text:
            record.msg, record.args = message, ()
        return True

    logging.getLogger("uvicorn.error").addFilter(shorten)
