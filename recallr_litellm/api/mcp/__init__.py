"""MCP at `/recallr/mcp`: the memory of one user as tools of a model. https://modelcontextprotocol.io"""

from __future__ import annotations

from typing import Final

PATH: Final = "/recallr/mcp"
