"""LoCoMo's recorded facts (`observation`: sentences that an LLM wrote of each session), learned as a model's answers.

The model is a script; all else is the product: windows, checks, reconciliation, connections.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recallr_litellm.core.facts import Extraction, Outcome
from recallr_litellm.core.knowledge import EntityKind, Kind
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Vector
from recallr_litellm.core.stopwords import ENGLISH
from recallr_litellm.core.traits import gist
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.learner import Learner
from recallr_litellm.learning.model import WriteJson, Written
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.state import EmbeddedValkey, StateStore
from recallr_litellm.stores.state.learning_queue import LearningQueue
from recallr_litellm.stores.vectors import VectorStore

_TARGET = re.compile(r"^\[(\d+)\] TARGET \S+, [^:]+\d\d:\d\d: (.*)$")
_NAMES = re.compile(r"\b[A-Z][\w'’&-]+(?: (?:of |the )?[A-Z][\w'’&-]+)*")
_SAME = 0.9
"""Share of their words that two sentences have in common from which on the script calls them the same."""


@dataclass(frozen=True)
class Observed:
    """A recorded fact."""

    speaker: str
    """Whom it is about, by first name."""
    of_user: bool
    """It is about the user: the first of the two speakers."""
    text: str
    sources: tuple[str, ...]
    """Ids of the messages that it rests on."""


def message_ids(written: Any) -> list[str]:
    """Ids of messages (`D<session>:<turn>`) in what stands for one or several of them, in whatever form."""
    return list(dict.fromkeys(re.findall(r"D\d+:\d+", str(written))))


def recorded(observation: Mapping[str, Any], user: str, said: Sequence[str]) -> list[Observed]:
    """The facts of one session; those without a message of it that they rest on are left out.

    Args:
        observation: speaker → facts, each a list of its text and the id, or ids, of messages.
        user: the speaker who is the user.
        said: ids of its messages.
    """
    return [
        Observed(speaker, speaker == user, text, sources)
        for speaker, told in observation.items()
        for text, *rests_on in told
        if (sources := tuple(id for id in message_ids(rests_on) if id in said))
    ]


class RecordedModel:
    """Answers as a model would that wrote the recorded facts, of one session at a time."""

    def __init__(self) -> None:
        self.told = 0
        """Facts that it has given."""
        self._observed: Sequence[Observed] = ()
        self._ids: dict[str, str] = {}
        self._users: frozenset[str] = frozenset()

    def reads(self, observed: Sequence[Observed], texts: Mapping[str, str], users: Iterable[str]) -> None:
        """Go on with a session.

        Args:
            observed: the facts of it.
            texts: id of each message → its text.
            users: ids of those that are the user's.
        """
        self._observed, self._users = observed, frozenset(users)
        self._ids = {gist(text): id for id, text in texts.items()}

    async def __call__(
        self, messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
    ) -> Written:
        text = str(messages[-1]["content"])
        answer = self._facts(text) if name == "facts" else {"decisions": list(_decisions(text))}
        return Written(json.dumps(answer))

    def _facts(self, text: str) -> dict[str, Any]:
        lines = [found for line in text.splitlines() if (found := _TARGET.match(line))]
        shown = {self._ids[text]: int(line[1]) for line in lines if (text := gist(line[2])) in self._ids}
        rests_on = [(fact, sorted({shown[id] for id in fact.sources if id in shown})) for fact in self._observed]
        facts = [self._fact(fact, evidence) for fact, evidence in rests_on if evidence]
        self.told += len(facts)
        return {"facts": facts}

    def _fact(self, fact: Observed, evidence: Sequence[int]) -> dict[str, Any]:
        by_user = not self._users.isdisjoint(fact.sources)
        return {
            "text": fact.text,
            "subject": "user" if fact.of_user else fact.speaker,
            "kind": Kind.FACT if by_user else Kind.ANSWER,
            "entities": [{"name": name, "kind": EntityKind.OTHER} for name in names(fact.text, but=fact.speaker)],
            "confidence": "high",
            "evidence": evidence,
        }


def names(text: str, *, but: str) -> list[str]:
    """Capitalised words, several in a row as one name, without the first word of the text where it may be any."""
    found = []
    for match in _NAMES.finditer(text):
        name = re.sub(r"['’]s$", "", match[0])
        if match.start() == 0 and " " in name and name.split()[0] in {but, "The", "A", "An"}:
            name = name.partition(" ")[2]
        if name.split()[0] != but and name.lower() not in ENGLISH and not (match.start() == 0 and " " not in name):
            found.append(name)
    return list(dict.fromkeys(found))


def _decisions(text: str) -> Iterator[dict[str, Any]]:
    """The same where nearly all words are, else new."""
    fact, words = 0, frozenset[str]()
    done: set[int] = set()
    for line in text.splitlines():
        said = line.partition("): ")[2]
        if line.startswith("FACT"):
            fact, words = fact + 1, _words(said)
        elif fact not in done and len(words & _words(said)) >= _SAME * len(words | _words(said)):
            done.add(fact)
            yield {"fact": fact, "outcome": "same", "memory": int(line.split()[1]), "text": "", "reason": ""}


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


class Memo:
    """An embedder that remembers the vectors of passages: learning compares the same sentences again and again."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vector] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        """See `Embedder.passages`."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= zip(new, await self._embedder.passages(new), strict=True) if new else ()
        return [self._known[text] for text in texts]


@asynccontextmanager
async def learner(
    vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder, write: WriteJson
) -> AsyncIterator[Learner]:
    """A learner as a gateway has it."""
    with tempfile.TemporaryDirectory() as folder:
        valkey = EmbeddedValkey(Path(folder))
        queue = LearningQueue.from_url(valkey.start(), timeout_seconds=60)
        breaker = CircuitBreaker("redis", queue.probe, probe_timeout=60)
        await breaker.probe()
        rules: Callable[[str], Rules] = lambda _: Rules()  # noqa: E731
        state = StateStore(queue.link, timeout_seconds=60)
        yield Learner(
            queue,
            Knowing(StateStore(queue.link, timeout_seconds=60), vectors, embedder, sparse),
            write,
            breakers=[breaker],
            state_breaker=breaker,
            rules=rules,
            budget=TokenBudget(state, lambda _: None),
            interval=1.0,
            lease_seconds=60,
        )
        await queue.close()
        valkey.stop()


@dataclass(frozen=True)
class Account:
    """What became of the facts that a model has told."""

    told: int
    versions: int
    """Memories, and earlier versions of such."""
    duplicates: int
    conflicts: int
    rejected: int
    untraceable: tuple[str, ...]
    """Memories that rest on no message, or on one that is not there."""

    @property
    def balanced(self) -> bool:
        """Nothing got lost, nothing came of nothing."""
        return self.told == self.versions + self.duplicates + self.conflicts + self.rejected and not self.untraceable


async def account(vectors: VectorStore, owner: Owner, sessions: Iterable[str], told: int) -> Account:
    """The account of a user whose sessions were learned.

    Args:
        sessions: ids of all of them.
        told: facts that the model has told.
    """
    said: set[str] = set()
    extractions: list[Extraction] = []
    for session in sessions:
        said.update(stored.id for stored in await vectors.read_messages(owner, session))
        extractions += await vectors.extractions(owner, session)
    memories = [memory async for memory in vectors.each_memory(owner)]
    versions = {memory.fact for memory in memories}
    disputed = {conflict.proposed for conflict in await vectors.conflicts(owner)}
    decided = {one.fact: one for extraction in extractions for one in extraction.decisions}
    facts = {fact.id: fact for extraction in extractions for fact in extraction.facts}
    rests_on: defaultdict[str, set[str]] = defaultdict(set)
    for memory in memories:
        rests_on[memory.chain or memory.id].update(memory.sources)
    duplicates = [
        id
        for id, fact in facts.items()
        if decided[id].outcome is Outcome.SAME and rests_on[decided[id].memory].issuperset(fact.sources)
    ]
    return Account(
        told,
        len(versions & facts.keys()),
        len(duplicates),
        len(disputed & facts.keys()),
        sum(sum(extraction.rejected.values()) for extraction in extractions),
        tuple(one.content for one in memories if not one.sources or not said.issuperset(one.sources)),
    )
