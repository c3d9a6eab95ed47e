"""The agentic strategy: a model searches one user's memory with tools, and reports what it found.

>>> agent = Agent(complete, count_tokens=count_tokens)
>>> async for event in agent(OwnedMemory(...), ResearchQuestion(...), balanced, options, until=loop.time() + 18):
...     recalled = event.recalled

The model is an injected function (`model.Complete`): nothing here knows where it comes from.
"""

from recallr_litellm.recall.agentic.investigation import Investigation
from recallr_litellm.recall.agentic.loop import Agent, Event, Finished, Searched
from recallr_litellm.recall.agentic.memory import OwnedMemory
from recallr_litellm.recall.agentic.model import Complete, Completion, ToolRequest
from recallr_litellm.recall.agentic.prompt import ResearchQuestion

__all__ = [
    "Agent",
    "Complete",
    "Completion",
    "Event",
    "Finished",
    "Investigation",
    "OwnedMemory",
    "ResearchQuestion",
    "Searched",
    "ToolRequest",
]
