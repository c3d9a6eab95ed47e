"""LiteLLM's master key, which opens the admin API and, for all projects, the console."""

from __future__ import annotations

import hashlib
import hmac
import sys

from recallr_litellm.errors import AdminRefused
from recallr_litellm.litellm_host.private_apis import MASTER_KEY


def check_master_key(sent: str | None) -> None:
    """Return if this is LiteLLM's master key. Compares in constant time.

    Raises:
        AdminRefused: it is not, or LiteLLM has none.
    """
    known = master_key_digest()
    if known is None:
        raise AdminRefused(
            "LiteLLM has no master key, which this needs: set LITELLM_MASTER_KEY and restart the gateway",
            status=403,
        )
    if not hmac.compare_digest(_digest(sent or ""), known):
        raise AdminRefused("LiteLLM's master key is required, as `Authorization: Bearer …`")


def master_key_digest() -> str | None:
    """SHA-256 of the key, in hexadecimal; None where LiteLLM has none."""
    known = getattr(sys.modules.get(MASTER_KEY.module), MASTER_KEY.names[0], None)
    return _digest(known) if isinstance(known, str) and known else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
