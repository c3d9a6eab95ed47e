"""LoCoMo ("Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024): two people, over many sessions.

An item has `conversation`: `speaker_a`, `speaker_b`, and `session_<n>`, a list of turns, with `session_<n>_date_time`.
Speaker a becomes the user, speaker b the assistant, both with their names; photos are left out. A minute lies between
two turns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from recallr_litellm.errors import InvalidImport
from recallr_litellm.services.transfer.document import MessageItem, read_item
from recallr_litellm.services.transfer.readers.base import Conversation, a_list, an_object, session

_MINUTE: Final = 60_000
_SESSION = re.compile(r"session_(\d+)")


def is_one(value: Any) -> bool:
    """Whether it looks like a conversation of LoCoMo."""
    conversation = value.get("conversation") if isinstance(value, dict) else None
    return isinstance(conversation, dict) and "speaker_a" in conversation


def read(value: Any, place: str) -> Iterator[Conversation]:
    """Its sessions. The user is named by the sample, where nobody says otherwise."""
    sample = an_object(value, place)
    said = an_object(sample.get("conversation"), f"{place}.conversation")
    name = str(sample.get("sample_id") or said["speaker_a"])
    numbers = sorted(int(found[1]) for key in said if (found := _SESSION.fullmatch(key)))
    for number in numbers:
        of_session = f"{place}.conversation.session_{number}"
        begun = _date(said.get(f"session_{number}_date_time"), f"{of_session}_date_time")
        turns = a_list(said[f"session_{number}"], of_session)
        messages = [
            _message(turn, f"{of_session}, turn {place_in + 1}", said["speaker_a"], begun + place_in * _MINUTE)
            for place_in, turn in enumerate(turns)
        ]
        id, metadata = f"{name} {number}", {"source": "locomo"}
        yield Conversation(name, session(of_session, id=id, created_at=begun, messages=messages, metadata=metadata))


def _message(value: Any, place: str, user: Any, at: int) -> MessageItem:
    turn = an_object(value, place)
    role = "user" if turn.get("speaker") == user else "assistant"
    fields = {"id": turn.get("dia_id"), "role": role, "name": turn.get("speaker"), "text": turn.get("text"), "at": at}
    return read_item(MessageItem, fields, place)


def _date(value: Any, place: str) -> int:
    try:
        moment = datetime.strptime(f"{value} +0000", "%I:%M %p on %d %B, %Y %z")
    except ValueError:
        raise InvalidImport(f"{place}: must be a time like 1:56 pm on 8 May, 2023") from None
    return round(moment.timestamp() * 1000)
