"""What the recall benchmarks remember and ask: conversations with dates, questions, and where the answers stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.passages import indexed, split
from recallr_litellm.core.records import Memory, Passage, Session, Turn
from recallr_litellm.memory.summarise import summarise
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.vectors import VectorStore
from tests.benchmarks.facts import Account, Memo, Observed, RecordedModel, account, learner, message_ids, recorded

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}
"""Of LoCoMo; its category 5 (adversarial) has no answer to be found."""
_MINUTE = timedelta(minutes=1)
FIRST_PERSON = Path(__file__).with_name("first_person.json")
"""Written for this project: four users of an assistant that answers at length."""


@dataclass(frozen=True)
class Said:
    """A message; `id` is unique within its conversation."""

    id: str
    role: Role
    text: str


@dataclass(frozen=True)
class Spoken:
    """A session, its messages a minute apart."""

    id: str
    begun: datetime
    said: tuple[Said, ...]
    observed: tuple[Observed, ...] = ()
    """Facts that somebody recorded of it."""
    summary: str = ""
    """Written by somebody; without it, it is summarised as the processing of sessions does without a model."""

    @property
    def at(self) -> dict[str, int]:
        """Id of each message → when it was said, milliseconds since the epoch, UTC."""
        return {one.id: _milliseconds(self.begun + place * _MINUTE) for place, one in enumerate(self.said)}


@dataclass(frozen=True)
class Question:
    """What is asked, and where the answer stands."""

    text: str
    evidence: Mapping[str, tuple[str, ...]]
    """Id of a message → the words of it that answer, each standing within one passage."""
    category: str
    previous: str = ""
    """The user's message before it, in the conversation that is going on."""


@dataclass(frozen=True)
class Conversation:
    """All that one owner said, and is asked."""

    name: str
    sessions: tuple[Spoken, ...]
    questions: tuple[Question, ...]
    memories: tuple[Memory, ...] = ()
    """What is known besides, as it is."""

    @property
    def owner(self) -> Owner:
        """Whose memory it is."""
        return Owner("benchmark", self.name)

    @property
    def has_facts(self) -> bool:
        """Whether facts were recorded of it."""
        return any(session.observed for session in self.sessions)

    @property
    def asked_at(self) -> datetime:
        """When the questions are asked: a day after the last session."""
        return max(session.begun for session in self.sessions) + timedelta(days=1)


def load_locomo(folder: Path, *, facts: bool = False) -> list[Conversation]:
    """The conversations of LoCoMo's `conv-*.json`.

    Speaker a is the user, speaker b the assistant; texts are `Name: text`, as a chat export has them; photos are
    left out. Questions of categories 1–4 that have evidence.

    Args:
        facts: with what LLMs wrote of each session: the facts of `observation` to be learned, `session_summary` as
            the summaries.
    """
    files = sorted(folder.glob("conv-*.json"))
    if not files:
        raise SystemExit(f"no conv-*.json in {folder}")
    return [locomo(json.loads(file.read_text()), facts=facts) for file in files]


def locomo(sample: dict[str, Any], *, facts: bool = False) -> Conversation:
    """One of them, from its JSON. Arguments as above."""
    said = sample["conversation"]
    numbers = sorted(int(found[1]) for key in said if (found := re.fullmatch(r"session_(\d+)", key)) and said[key])

    def message(turn: dict[str, str]) -> Said:
        role: Role = "user" if turn["speaker"] == said["speaker_a"] else "assistant"
        return Said(turn["dia_id"], role, f"{turn['speaker']}: {turn['text']}")

    def session(number: int) -> Spoken:
        turns = tuple(map(message, said[f"session_{number}"]))
        observation = sample["observation"].get(f"session_{number}_observation", {}) if facts else {}
        return Spoken(
            f"D{number}",
            datetime.strptime(said[f"session_{number}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC),
            turns,
            tuple(recorded(observation, said["speaker_a"], [one.id for one in turns])),
            sample["session_summary"].get(f"session_{number}_summary", "") if facts else "",
        )

    sessions = tuple(map(session, numbers))
    known = {one.id: tuple(split(one.text)) for session in sessions for one in session.said}
    questions = tuple(
        Question(item["question"], {id: known[id] for id in evidence}, CATEGORIES[item["category"]])
        for item in sample["qa"]
        if item["category"] in CATEGORIES and (evidence := known.keys() & message_ids(item["evidence"]))
    )
    return Conversation(sample["sample_id"], sessions, questions)


def load_first_person(file: Path = FIRST_PERSON) -> list[Conversation]:
    """Chats of single users with an assistant: the set that lies beside this module, or another of its form."""
    return [
        Conversation(
            user["name"],
            tuple(
                Spoken(
                    session["id"],
                    datetime.fromisoformat(session["begun"]),
                    tuple(
                        Said(f"{session['id']}:{number}", "assistant" if number % 2 else "user", text)
                        for number, text in enumerate(session["said"])
                    ),
                )
                for session in user["sessions"]
            ),
            tuple(
                Question(
                    q["question"],
                    {id: (words,) for id, words in q["evidence"].items()},
                    q["category"],
                    q.get("previous", ""),
                )
                for q in user["questions"]
            ),
        )
        for user in json.loads(file.read_text())
    ]


async def remember(
    conversation: Conversation,
    vectors: VectorStore,
    embedder: Embedder,
    sparse: SparseEncoder,
    owner: Owner | None = None,
) -> Account | None:
    """Store a conversation as the processing of sessions does, for its own owner, or another one; and learn what was
    recorded of it. Returns what became of that, if anything was."""
    for session in conversation.sessions:
        await _remember(owner or conversation.owner, session, vectors, embedder, sparse)
    contents = [memory.content for memory in conversation.memories]
    if contents:
        indexed = map(Passage, contents, await embedder.passages(contents), sparse.passages(contents))
        memories = list(zip(conversation.memories, indexed, strict=True))
        await vectors.save_memories(owner or conversation.owner, memories)
    if not conversation.has_facts:
        return None
    return await learn(conversation, vectors, embedder, sparse, owner or conversation.owner)


async def learn(
    conversation: Conversation, vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder, owner: Owner
) -> Account:
    """Learn the recorded facts of a conversation that was remembered."""
    model = RecordedModel()
    async with learner(vectors, Memo(embedder), sparse, model) as learning:
        for session in conversation.sessions:
            texts = {one.id: one.text for one in session.said}
            model.reads(session.observed, texts, (one.id for one in session.said if one.role == "user"))
            await learning.learn(owner, session.id)
    return await account(vectors, owner, (session.id for session in conversation.sessions), model.told)


async def _remember(
    owner: Owner, session: Spoken, vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder
) -> None:
    texts = [split(indexed(one.text)) for one in session.said]
    flat = [text for of_message in texts for text in of_message]
    dense = await embedder.passages(flat)
    passages = iter(map(Passage, flat, dense, sparse.passages(flat)))
    turns = [
        Turn(_stored(one, position, session.at[one.id]), tuple(next(passages) for _ in of_message))
        for position, (one, of_message) in enumerate(zip(session.said, texts, strict=True))
    ]
    roles = [one.role for one, of_message in zip(session.said, texts, strict=True) for _ in of_message]
    text = session.summary or summarise(list(zip(roles, flat, strict=True)), np.stack(dense))
    [vector] = await embedder.passages([text])
    record = Session(
        id=session.id,
        created_at=_milliseconds(session.begun),
        last_at=turns[-1].stored.at,
        timeout_seconds=600,
        message_count=len(turns),
        summary=text,
    )
    await vectors.save_session(owner, record, turns, Passage(text, vector, sparse.passages([text])[0]))


def _stored(one: Said, position: int, at: int) -> StoredMessage:
    return StoredMessage(
        id=one.id,
        exchange=one.id,
        position=position,
        at=at,
        message=Message(role=one.role, text=one.text),
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def session_of(message: str) -> str:
    """Id of the session of a message, both as made above."""
    return message.partition(":")[0]


def evidence_sessions(evidence: Iterable[str]) -> frozenset[str]:
    """Ids of the sessions that hold the evidence."""
    return frozenset(map(session_of, evidence))
