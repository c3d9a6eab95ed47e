"""A life that is learned in processes that die after any of their writes, and a dump of what is known in the end.

    python -m tests.support.learning_life          # one JSON request a line, one JSON answer a line

The process forks a child for each request, which learns on from where the one before it died: no start of an
interpreter a kill. `Life` drives it. Everything but the model and the embeddings is the product's: stores, queue,
leases, learner.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import traceback
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session, Turn, User, Vector
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.learner import Learner
from recallr_litellm.learning.model import Written
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.settings import Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.embedding.base import unit
from recallr_litellm.stores.state import StateStore, keys
from recallr_litellm.stores.state.learning_queue import LearningQueue
from recallr_litellm.stores.vectors import VectorStore, open_collections, schema
from recallr_litellm.stores.vectors.engine import Where
from recallr_litellm.stores.vectors.schema import Kind
from recallr_litellm.tasks import end

ROOT = Path(__file__).resolve().parents[2]
ANA, BOB = Owner("p", "ana"), Owner("p", "bob")
OWNERS = (ANA, BOB)
_DAY = 24 * 3600 * 1000
_LEASE_SECONDS = 60.0
_HOME: dict[str, Any] = {"attribute": "home", "confidence": "high"}
_REX = {"entities": [{"name": "Rex", "kind": "pet"}]}

PHASES: Final[Sequence[Sequence[tuple[Owner, str, int, tuple[str, ...]]]]] = [
    # new, and connected with each other; another user beside
    [
        (ANA, "s1", 130, ("I live in Porto.", "My dog is Rex.", "At the vet with Rex.")),
        (BOB, "b1", 130, ("I live in Bern.",)),
    ],
    # a change, the same, and more
    [(ANA, "s2", 160, ("I moved to Lisbon.", "Rex is my dog, you know.", "Nuts make me ill."))],
    # an addition; a change for the other user
    [
        (ANA, "s3", 190, ("My sister is Ana.",)),
        (ANA, "s4", 191, ("My brother is Leo.", "My dose is 10 mg.")),
        (BOB, "b2", 190, ("I moved to Rome.",)),
    ],
    # heard late: what was before all else, and what was in between
    [(ANA, "s5", 100, ("In Faro I lived.",)), (ANA, "s6", 145, ("Then it was Braga.",))],
    # a contradiction
    [(ANA, "s7", 200, ("My dose is 20 mg.",))],
    # a session that is taken up again
    [(ANA, "s1", 130, ("I live in Porto.", "My dog is Rex.", "At the vet with Rex.", "My cat is Mia."))],
]
"""What is processed before each wait for learning: owner, session, day of 2025, what the user says."""

_SAYS: Final[Mapping[str, dict[str, Any]]] = {
    "in Porto": {**_HOME, "text": "User lives in Porto."},
    "in Bern": {**_HOME, "text": "User lives in Bern."},
    "dog": {"text": "User has a dog named Rex.", "attribute": "pet", **_REX},
    "vet": {"text": "Rex was at the vet.", "subject": "Rex", "attribute": "health", **_REX},
    "Lisbon": {**_HOME, "text": "User lives in Lisbon."},
    "Rome": {**_HOME, "text": "User lives in Rome."},
    "Nuts": {"text": "User is allergic to nuts.", "attribute": "allergy"},
    "sister": {"text": "User has a sister, Ana.", "attribute": "family"},
    "brother": {"text": "User has a brother, Leo.", "attribute": "family"},
    "10 mg": {"text": "User takes 10 mg.", "attribute": "medication"},
    "Faro": {**_HOME, "text": "User lives in Faro."},
    "Braga": {**_HOME, "text": "User lives in Braga."},
    "20 mg": {"text": "User takes 20 mg.", "attribute": "medication"},
    "cat": {"text": "User has a cat named Mia.", "attribute": "pet"},
}
_DECIDES: Final[Mapping[str, tuple[str, str]]] = {
    "Porto": ("change", "lives in"),
    "Lisbon": ("change", "lives in"),
    "Rome": ("change", "lives in"),
    "Faro": ("change", "lives in"),
    "Braga": ("change", "lives in"),
    "brother": ("addition", "sister"),
    "20 mg": ("contradiction", "10 mg"),
}
CURRENT: Final = [
    "Rex was at the vet.",
    "User has a cat named Mia.",
    "User has a dog named Rex.",
    "User has a sister, Ana. User has a brother, Leo.",
    "User is allergic to nuts.",
    "User lives in Lisbon.",
    "User takes 10 mg.",
]
PAST: Final = ["User has a sister, Ana.", "User lives in Braga.", "User lives in Faro.", "User lives in Porto."]


@dataclass(frozen=True, slots=True)
class Request:
    """What a child is to do."""

    folder: str
    """Of the embedded Qdrant, and of what is noted between children."""
    redis_url: str
    qdrant_url: str = ""
    dies_after: int = 0
    """Writes; 0: it learns to the end."""
    order: Sequence[int] = tuple(range(len(PHASES)))
    """Of the phases."""


class Life:
    """The process that forks children.

    with Life(tmp_path) as life:
        life.run(Request(folder, url, dies_after=7))
        life.run(Request(folder, url))
        known = life.dump(folder)
    """

    def __init__(self, folder: Path) -> None:
        self._errors = (folder / "life.log").open("w+")

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.learning_life"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def run(self, request: Request) -> bool:
        """Have a child learn. Whether it came to the end; else it died as it was told.

        Raises:
            AssertionError: it ended otherwise.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(request)) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        if status not in (0, -signal.SIGKILL):
            self._errors.seek(0)
            raise AssertionError(f"the child ended with {status}: {self._errors.read()[-4000:]}")
        return status == 0

    @staticmethod
    def dump(folder: Path) -> dict[str, Any]:
        """What is known in the end, and what it has cost."""
        found: dict[str, Any] = json.loads((folder / "dump.json").read_text())
        return {**found, "calls": len((folder / "calls").read_text())}


class _Words:
    """Embeds texts by their words: no model to be loaded."""

    name, dimension = "words", 64

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def probe(self) -> None:
        return

    async def query(self, text: str, project: str) -> Vector:
        return (await self.passages([text]))[0]

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        return [unit(sum((_word(word) for word in text.split()), np.zeros(self.dimension))) for text in texts]


def _word(word: str) -> Any:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=_Words.dimension)


class _Model:
    """Answers by the script; each answer is a byte in a file."""

    def __init__(self, calls: Path) -> None:
        self._calls = calls

    async def __call__(
        self, messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
    ) -> Written:
        with self._calls.open("a") as file:
            file.write(".")
        lines = str(messages[-1]["content"]).splitlines()
        return Written(json.dumps({name: _facts(lines) if name == "facts" else _decisions(lines)}), tokens=100)


def _facts(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"evidence": [number], **fact}
        for number, line in enumerate(lines, 1)
        if "TARGET" in line
        for part, fact in _SAYS.items()
        if part in line
    ]


def _decisions(lines: Sequence[str]) -> list[dict[str, Any]]:
    decisions, number, chosen = [], 0, ("new", "")
    for line in lines:
        if line.startswith("FACT"):
            number += 1
            chosen = next((what for part, what in _DECIDES.items() if part in line), ("new", ""))
        elif chosen[1] and chosen[1] in line:
            decisions.append({"fact": number, "outcome": chosen[0], "memory": int(line.split()[1]), "text": ""})
    return decisions


class _Writes:
    """Counts writes, and kills the process after one of them."""

    def __init__(self, dies_after: int) -> None:
        self._left = dies_after
        self.paused = False
        """While what is not learning writes."""
        self._looks: Any = None
        """The script that looks for users who are due, as often as there is time."""

    def counted(self, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The same, counted."""

        async def counted(*arguments: Any, **options: Any) -> Any:
            result = await write(*arguments, **options)
            if self.paused or arguments[0] is self._looks:
                return result
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    def watch(self, vectors: VectorStore, queue: LearningQueue, state: StateStore) -> None:
        """Count those of the stores from now on."""
        self._looks = queue._queue_scripts.claim
        for name in ("upsert", "delete", "set_fields"):
            setattr(vectors._engine, name, self.counted(getattr(vectors._engine, name)))
        for one, name in ((queue, "_run"), (state, "spend_tokens")):
            setattr(one, name, self.counted(getattr(one, name)))


async def _child(request: Request) -> None:
    folder = Path(request.folder)
    embedder = _Words()
    settings = Settings(data_dir=folder, qdrant_url=request.qdrant_url or None)
    vectors = VectorStore(open_collections(settings), embedder)
    await vectors.open()
    queue = LearningQueue.from_url(request.redis_url, timeout_seconds=60)
    breaker = CircuitBreaker("redis", queue.probe, probe_timeout=60)
    await breaker.probe()
    for owner in OWNERS:  # time passes: leases and locks of who has died have ended
        await queue._client.zadd(queue.queue.due(keys.bucket_of(owner)), {owner.key: 0}, xx=True)
        await queue._client.delete(keys.memories_lock(owner))
    state = StateStore(queue.link, timeout_seconds=60)
    learner = Learner(
        queue,
        Knowing(state, vectors, embedder, SparseEncoder()),
        _Model(folder / "calls"),
        breakers=[breaker],
        state_breaker=breaker,
        rules=lambda _: Rules(conflicts=True),
        budget=TokenBudget(state, lambda _: 10_000_000),
        interval=0.005,
        lease_seconds=_LEASE_SECONDS,
    )
    note = folder / "phase"
    begun = int(note.read_text()) if note.exists() else -1
    if begun < 0:
        for owner in OWNERS:
            await vectors.put_user(owner, User(project=owner.project, user=owner.user, created_at=0))
    writes = _Writes(request.dies_after)
    for number, phase in enumerate(request.order):
        if number < begun:
            continue
        if number > begun:
            writes.paused = True
            for said in PHASES[phase]:
                await _processed(vectors, queue, *said)
            note.write_text(str(number))
            writes.paused = False
        if number == max(begun, 0):
            writes.watch(vectors, queue, state)
        await _learn(learner, queue)
    (folder / "dump.json").write_text(json.dumps(await _dump(vectors), sort_keys=True))
    await queue.close()
    await vectors.close()


async def _processed(
    vectors: VectorStore, queue: LearningQueue, owner: Owner, id: str, day: int, lines: Iterable[str]
) -> None:
    """A session becomes memory, and is to be learned."""
    at = 1_735_689_600_000 + day * _DAY
    stored = [
        StoredMessage(
            id=f"{id}-{number}",
            exchange=f"{id}-{number}",
            position=number,
            at=at + number * 60_000,
            message=Message(role="user", text=text),
        )
        for number, text in enumerate(lines)
    ]
    session = Session(
        id=id, created_at=at, last_at=stored[-1].at, timeout_seconds=600, message_count=len(stored), summary=""
    )
    await vectors.save_session(owner, session, [Turn(one, ()) for one in stored], None)
    await queue.add(owner, id, session.last_at)


async def _learn(learner: Learner, queue: LearningQueue) -> None:
    """Until nothing waits any more."""
    running = asyncio.create_task(learner.run())
    try:
        async with asyncio.timeout(120):
            while waiting := [owner for owner in OWNERS if await queue._client.exists(keys.to_learn(owner))]:
                failed = [await queue._client.exists(queue.queue.failed(keys.bucket_of(owner))) for owner in waiting]
                assert not any(failed), "a user was set aside"
                await asyncio.sleep(0.01)
    finally:
        await end([running])


async def _dump(vectors: VectorStore) -> dict[str, Any]:
    """All that there is of each user."""
    found: dict[str, Any] = {}
    for owner in OWNERS:
        for kind in (Kind.SESSION, Kind.MEMORY, Kind.CONFLICT, Kind.EXTRACTION):
            page, _ = await vectors._engine.scroll(Where(owner, kind), 1_000)
            found[f"{owner.user} {kind}"] = {point.id: _readable(point.payload) for point in page}
        dense = await vectors._engine.vectors(Where(owner, Kind.MEMORY), 1_000)
        texts = {id: one[schema.RECORD]["content"] for id, one in found[f"{owner.user} {Kind.MEMORY}"].items()}
        of_texts = dict(zip(texts, await _Words().passages(list(texts.values())), strict=True))
        found[f"{owner.user} vectors"] = {str(id): bool(of_texts[str(id)] @ one > 0.99) for id, one in dense.items()}
        left = await vectors.unlearned_sessions(owner)
        found[f"{owner.user} unlearned"] = [one.id for one in left]
    return found


def _readable(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, schema.RECORD: json.loads(payload[schema.RECORD])}


def main() -> None:
    """Serve until the input ends."""
    import recallr_litellm.stores.vectors.edge_collections  # noqa: F401 - once, not in each child

    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                asyncio.run(_child(Request(**json.loads(line))))
            except BaseException:  # noqa: BLE001 - the child must not go on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
