"""Persistent memory for every user of a LiteLLM gateway.

A gateway turns it on with one line of its config: `callbacks: recallr_litellm.hooks.recallr`.
"""

__version__ = "0.5.0"
