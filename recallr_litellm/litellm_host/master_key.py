"""LiteLLM's master key, which opens the admin API."""

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
    known = getattr(sys.modules.get(MASTER_KEY.module), MASTER_KEY.names[0], None)
    if not isinstance(known, str) or not known:
        raise AdminRefused(
            "LiteLLM has no master key, which this needs: set LITELLM_MASTER_KEY and restart the gateway",
            status=403,
        )
    if not hmac.compare_digest(_digest(sent or ""), _digest(known)):
        raise AdminRefused("LiteLLM's master key is required, as `Authorization: Bearer …`")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
