"""The agentic strategy: a model searches one user's memory with tools, and reports what it found.

>>> agent = Agent(complete, count_tokens=count_tokens)
>>> async for progress in agent(OwnedMemory(...), ResearchQuestion(...), balanced, options, until=loop.time() + 18):
...     recalled = progress.recalled

The model is an injected function (`model.Complete`): nothing here knows where it comes from.
"""

from recallr_litellm.recall.agentic.loop import Agent, Progress
from recallr_litellm.recall.agentic.memory import OwnedMemory
from recallr_litellm.recall.agentic.model import Complete, Completion, ToolRequest
from recallr_litellm.recall.agentic.prompt import ResearchQuestion

__all__ = [
    "Agent",
    "Complete",
    "Completion",
    "OwnedMemory",
    "Progress",
    "ResearchQuestion",
    "ToolRequest",
]
