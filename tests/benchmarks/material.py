"""What the benchmarks remember and ask: texts, vectors and users in any number, from a few hundred real embeddings.

Embedding a million turns would take days, so it is done for `EMBEDDED` texts only. A turn is two of
them put together; its vector is the sum of theirs with noise added, its sparse vector is made of its
real words. Turns are gathered in a pool of sessions, and a user is some sessions of the pool, under
session ids of their own.

Texts and questions are LoCoMo's ("Evaluating Very Long-Term Conversational Memory of LLM Agents",
ACL 2024, CC BY-NC 4.0, not part of this project) where its folder is given, else made from templates.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from uuid import UUID

import numpy as np

from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Passage, Session, Turn, User, Vector
from recallr_litellm.core.tokens import tokens_shown
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.memory.summarise import summarise
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import Embedder, SparseEncoder, open_embedder
from recallr_litellm.stores.vectors import VectorStore, open_collections

EMBEDDED = 400
TURNS_A_SESSION = 20
POOL = 1_000
"""Sessions in the pool, unless a user needs more."""
NOISE = 0.5
"""Length of the noise beside the two unit vectors that a turn's vector is made of."""
_MINUTE = 60_000
_DAY = 24 * 60 * _MINUTE
_NOW = 1_760_000_000_000

_THINGS = (
    "the sailing course in Porto, a dentist in Lyon, my sister's wedding dress, the leaking kitchen tap, a secondhand "
    "cello, our tax return, the marathon in Gdansk, a gluten-free bread recipe, the neighbour's parrot, my driving "
    "test, the allotment behind the station, a visa for Japan, the broken dishwasher, Felix the cat, a physics exam, "
    "the summer camp of the kids, an old Vespa, my knee surgery, the night train to Vienna, grandmother's watch"
).split(", ")
_SAYINGS = (
    "I finally sorted out {} last Tuesday, and it cost less than I had feared.",
    "Could you remind me next week about {}? I keep forgetting it.",
    "We argued about {} again, but in the end everybody agreed on a plan.",
    "The appointment for {} was moved from March to the ninth of May.",
    "For {} I would start with a list of what you need, then compare three offers.",
    "My friend Dorota helped me with {} and would not take any money.",
    "I paid 240 euros for {}, half of it in advance by bank transfer.",
    "That sounds like a good week! How did {} turn out in the end?",
    "Nobody had told me how much work {} would be, honestly.",
    "If it rains on Sunday, {} has to wait until the holidays are over.",
    "I took some photos of {} and sent them to the whole family.",
    "What worries me about {} is the time it takes every single morning.",
    "Good news: {} is done, so we can talk about something else now.",
    "The manual says otherwise, but for {} you should always ask twice.",
    "Last year {} was the reason why we did not travel at all.",
    "I dreamt of {} last night, which tells you how busy I am.",
    "They offered me a discount on {} because I had waited so long.",
    "Before {} we should settle who looks after the flat.",
    "I read a whole book about {} and still feel like a beginner.",
    "You were right about {}, it only needed a little patience.",
)
_QUESTIONS = (
    "When did I say {} would be done?",
    "How much did I pay for {}?",
    "Who helped me with {}?",
    "What did we decide about {}?",
    "Why was I worried about {}?",
)


@dataclass(frozen=True)
class Material:
    """Real language."""

    texts: tuple[str, ...]
    questions: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path | None) -> Material:
        """LoCoMo's from its folder, or made from templates."""
        if folder is None:
            said = (saying.format(thing) for saying, thing in product(_SAYINGS, _THINGS))
            return cls(tuple(said), tuple(q.format(thing) for q, thing in product(_QUESTIONS, _THINGS)))
        samples = [json.loads(file.read_text()) for file in sorted(folder.glob("conv-*.json"))]
        if not samples:
            raise SystemExit(f"no conv-*.json in {folder}")
        texts = [text for sample in samples for text in _said(sample["conversation"])]
        questions = [item["question"] for sample in samples for item in sample["qa"]]
        return cls(tuple(dict.fromkeys(texts)), tuple(dict.fromkeys(questions)))

    def ask(self) -> Iterator[str]:
        """Questions without end, no two the same."""
        number = 0
        while True:
            for question in self.questions:
                number += 1
                yield f"{question} ({number})"


def _said(conversation: dict[str, list[dict[str, str]]]) -> Iterator[str]:
    for key, turns in conversation.items():
        if re.fullmatch(r"session_\d+", key):
            yield from (turn["text"] for turn in turns if len(turn["text"].split()) >= 4)


class Filler:
    """Makes users with as many turns as are asked for, the same ones in every run."""

    def __init__(
        self, vectors: VectorStore, pool: Sequence[tuple[Session, list[Turn], Passage]], turns_a_session: int
    ) -> None:
        self._vectors = vectors
        self._pool = pool
        self._turns_a_session = turns_a_session
        self._random = random.Random(7)

    @classmethod
    async def on(
        cls,
        vectors: VectorStore,
        embedder: Embedder,
        texts: Sequence[str],
        sessions: int = POOL,
        *,
        turns_a_session: int = TURNS_A_SESSION,
    ) -> Filler:
        """A filler with a pool of so many sessions."""
        rng = np.random.default_rng(7)
        chosen = [texts[i] for i in rng.permutation(len(texts))[:EMBEDDED]]
        known = np.stack(await embedder.passages(chosen))
        sparse = SparseEncoder()
        pool = [_session(number, turns_a_session, chosen, known, sparse, rng) for number in range(sessions)]
        return cls(vectors, pool, turns_a_session)

    async def user(self, owner: Owner, turns: int, *, days: float = 0.0) -> None:
        """Remember a user, made so many days ago, with so many turns (a multiple of those of a session); 0 makes one
        who is merely known."""
        created_at = _NOW - round(days * _DAY)
        await self._vectors.put_user(owner, User(project=owner.project, user=owner.user, created_at=created_at))
        for session, said, summary in self._random.sample(self._pool, turns // self._turns_a_session):
            own = session.model_copy(update={"id": UUID(int=self._random.getrandbits(128)).hex})
            await self._vectors.save_session(owner, own, said, summary)


def _session(
    number: int, size: int, texts: Sequence[str], known: Vector, sparse: SparseEncoder, rng: np.random.Generator
) -> tuple[Session, list[Turn], Passage]:
    begun = _NOW - int(rng.integers(1, 700)) * _DAY
    pairs = rng.integers(0, len(texts), size=(size, 2))
    noise = rng.normal(size=(size, known.shape[1])) * NOISE / np.sqrt(known.shape[1])
    dense = _units(known[pairs].sum(axis=1) + noise)
    said = [f"{texts[one]} {texts[other]}" for one, other in pairs]
    tokens = [tokens_shown(text, count_tokens) for text in said]
    passages = [Passage(*parts) for parts in zip(said, dense, sparse.passages(said), tokens, strict=True)]
    roles: list[Role] = ["user", "assistant"]
    turns = [
        Turn(
            StoredMessage(
                id=UUID(bytes=rng.bytes(16)).hex,
                exchange=UUID(bytes=rng.bytes(16)).hex,
                position=position,
                at=begun + position * _MINUTE,
                message=Message(role=roles[position % 2], text=passage.text),
            ),
            (passage,),
        )
        for position, passage in enumerate(passages)
    ]
    text = summarise([(turn.stored.message.role, passage) for turn in turns for passage in _texts(turn)], dense)
    summary = Passage(text, _units(dense.mean(axis=0, keepdims=True))[0], sparse.passages([text])[0])
    session = Session(
        id=str(number),
        created_at=begun,
        last_at=turns[-1].stored.at,
        timeout_seconds=600,
        message_count=len(turns),
        summary=text,
    )
    return session, turns, summary


def _texts(turn: Turn) -> Iterable[str]:
    return (passage.text for passage in turn.passages)


def _units(vectors: Vector) -> Vector:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


async def no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    """For `open_embedder`: there is no gateway here."""
    raise SystemExit(f"{model} is a model of a gateway, and there is none here")


async def opened(data_dir: Path) -> tuple[VectorStore, Embedder]:
    """The embedded store of a data folder with the bundled model, as a gateway opens them."""
    settings = Settings(data_dir=data_dir, embedding_model=None, qdrant_url=None)
    embedder = open_embedder(settings, no_gateway)
    await embedder.open()
    vectors = VectorStore(open_collections(settings), embedder)
    await vectors.open()
    return vectors, embedder
