"""Gateways as the benchmarks start them."""

from __future__ import annotations

from typing import Any

SETTINGS = {"RECALLR_MIN_SESSION_TIMEOUT_SECONDS": "600", "RECALLR_PROCESS_INTERVAL_SECONDS": "1"}
"""As in production, where the tests' proxies are in more of a hurry."""
CONFIG: dict[str, Any] = {"general_settings": {"disable_spend_logs": True}}
