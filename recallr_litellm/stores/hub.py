"""Models that fastembed downloads once from the Hugging Face hub and then keeps on disk."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recallr_litellm.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from fastembed.common.model_description import BaseModelDescription

PROBE_SECONDS = 10.0
"""How long the hub may take to answer before it counts as out of reach."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of model, and what to say about one that cannot be had."""

    kind: str
    """In words: `an embedding model`."""
    setting: str
    """The variable that names one."""
    import_class: Callable[[], Any]
    """Imports the class of fastembed; it takes up to 2 s."""
    unavailable: type[Unavailable]
    """Raised for a model that cannot be had now."""
    otherwise: str
    """The way to do without."""
    besides: str = ""
    """What else the setting takes."""

    def check(self, name: str) -> None:
        """Raises ConfigurationError if fastembed knows no such model. Imports fastembed."""
        self._describe(name, self.import_class())

    def load(self, name: str, cache: Path) -> Any:
        """An object of the class, from disk if the model is there, else from the hub. Blocking; may take minutes.

        fastembed retries for 40 s when there is no network, so the hub is asked first whether it is there at all.

        Args:
            name: as fastembed spells it.
            cache: folder for downloads; `FASTEMBED_CACHE_PATH` wins where it is set.

        Raises:
            ConfigurationError: fastembed knows no such model; the message says how to list them.
            Unavailable: it is not on disk and the hub is out of reach or `HF_HUB_OFFLINE` is set.
        """
        model_class = self.import_class()
        description = self._describe(name, model_class)
        # Not fastembed's default, a folder in /tmp: gone after a restart, and others may write there.
        folder = os.environ.get("FASTEMBED_CACHE_PATH") or str(cache)
        on_disk = _on_disk(description, folder)
        if not on_disk:
            self._probe(name, str(description.sources.hf), folder)
        return model_class(name, cache_dir=folder, threads=1, cuda=False, local_files_only=on_disk)

    def _describe(self, name: str, model_class: Any) -> BaseModelDescription:
        known = {description.model: description for description in model_class._list_supported_models()}
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            how_to_list = (
                f'python -c "from {model_class.__module__} import {model_class.__name__} as T; '
                "print(*(m['model'] for m in T.list_supported_models()), sep='\\n')\""
            )
            raise ConfigurationError(
                f"{self.setting}={name} is not {self.kind} of fastembed. "
                + (f"Close to it: {', '.join(close)}. " if close else "")
                + f"All of them: {how_to_list}{self.besides}."
            )
        description: BaseModelDescription = known[name]
        return description

    def _probe(self, name: str, repository: str, folder: str) -> None:
        from huggingface_hub import HfApi, is_offline_mode

        if is_offline_mode():
            raise self.unavailable(f"the model {name} is not in {folder}, and HF_HUB_OFFLINE forbids a download")
        try:
            HfApi().model_info(repository, timeout=PROBE_SECONDS)
        except Exception as error:
            raise self.unavailable(
                f"the model {name} is not in {folder}, and the Hugging Face hub did not offer {repository} "
                f"({type(error).__name__}). {self.otherwise}"
            ) from error


def _on_disk(description: BaseModelDescription, folder: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    files = ("tokenizer.json", description.model_file, *description.additional_files)
    return all(
        isinstance(try_to_load_from_cache(str(description.sources.hf), file, cache_dir=folder), str) for file in files
    )
