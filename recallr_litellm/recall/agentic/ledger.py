"""What the tools have shown the model: the only things that it can read on in, or rest a finding on.

The model is given short names (`m1`, `s1`) and never an id of a store. A name that is not in the ledger
means nothing, so what a model makes up, or was talked into by a remembered text, leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from recallr_litellm.core.recalled import RecalledPassage


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session that the model has been shown something of."""

    id: str
    since: int
    """Milliseconds since the epoch, UTC, as is `until`: of what was shown of it."""
    until: int


class Ledger:
    """Short names and what they stand for, of one search."""

    def __init__(self) -> None:
        self._sessions: dict[str, KnownSession] = {}
        self._session_names: dict[str, str] = {}
        self._messages: dict[str, dict[int, RecalledPassage]] = {}
        self._message_names: dict[tuple[str, str], str] = {}

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

    def session(self, name: str) -> KnownSession | None:
        """The session of this name."""
        return self._sessions.get(name)

    def passages(self, name: str) -> list[RecalledPassage]:
        """What was shown of the message of this name, in the order of the text; nothing for an unknown one."""
        return [passage for _, passage in sorted(self._messages.get(name, {}).items())]

    @property
    def all_passages(self) -> list[RecalledPassage]:
        """Everything that was shown, most relevant first."""
        shown = [passage for parts in self._messages.values() for passage in parts.values()]
        return sorted(shown, key=lambda passage: -passage.relevance)
