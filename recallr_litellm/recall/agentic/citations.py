"""What the tools have shown the model: the only things that it can read on in, or rest a finding on.

The model is given short names (`m1`, `f1`, `s1`) and never an id of a store. A name that is not in the citations
means nothing, so what a model makes up, or was talked into by a remembered text, leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from recallr_litellm.core.recalled import RecalledMemory, RecalledPassage


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session that the model has been shown something of."""

    id: str
    since: int
    """Milliseconds since the epoch, UTC, as is `until`: of what was shown of it."""
    until: int


class CitationRegistry:
    """Short names and what they stand for, of one search."""

    def __init__(self) -> None:
        self._sessions: dict[str, KnownSession] = {}
        self._session_names: dict[str, str] = {}
        self._messages: dict[str, dict[int, RecalledPassage]] = {}
        self._message_names: dict[tuple[str, str], str] = {}
        self._memories: dict[str, RecalledMemory] = {}
        self._memory_names: dict[str, str] = {}

    def show_session(self, id: str, since: int, until: int) -> str:
        """The name of a session."""
        name = self._session_names.setdefault(id, f"s{len(self._session_names) + 1}")
        known = self._sessions.get(name, KnownSession(id, since, until))
        self._sessions[name] = KnownSession(id, min(known.since, since), max(known.until, until))
        return name

    def show_passage(self, passage: RecalledPassage) -> str:
        """The name of the message that a passage is from. Shown again, it keeps its greater relevance."""
        self.show_session(passage.session, passage.at, passage.at)
        key = (passage.session, passage.message)
        name = self._message_names.setdefault(key, f"m{len(self._message_names) + 1}")
        parts = self._messages.setdefault(name, {})
        earlier = parts.get(passage.part)
        if earlier is None or earlier.relevance < passage.relevance:
            parts[passage.part] = passage
        return name

    def show_memory(self, memory: RecalledMemory) -> str:
        """The name of a memory. Shown again, it keeps its greater relevance."""
        self.show_session(memory.session, memory.at, memory.at)
        name = self._memory_names.setdefault(memory.id, f"f{len(self._memory_names) + 1}")
        earlier = self._memories.get(name)
        if earlier is None or earlier.relevance < memory.relevance:
            self._memories[name] = memory
        return name

    def session(self, name: str) -> KnownSession | None:
        """The session of this name."""
        return self._sessions.get(name)

    def passages(self, name: str) -> list[RecalledPassage]:
        """What was shown of the message of this name, in the order of the text; nothing for an unknown one."""
        return [passage for _, passage in sorted(self._messages.get(name, {}).items())]

    def memory(self, name: str) -> RecalledMemory | None:
        """The memory of this name."""
        return self._memories.get(name)

    @property
    def all_memories(self) -> list[RecalledMemory]:
        """Those that were shown, most relevant first."""
        return sorted(self._memories.values(), key=lambda memory: -memory.relevance)

    @property
    def all_passages(self) -> list[RecalledPassage]:
        """The passages that were shown, most relevant first."""
        shown = [passage for parts in self._messages.values() for passage in parts.values()]
        return sorted(shown, key=lambda passage: -passage.relevance)
