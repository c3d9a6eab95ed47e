"""Nobody is ever shown what somebody else said, whatever their ids look like: joined by the separators of another
pair, equal but for case, for Unicode's composition, for characters that cannot be seen.

Once on the two stores, with ids that Hypothesis makes up, and once through a real gateway, with many users at once.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory, Passage, Session, SparseVector, Turn, User
from recallr_litellm.stores.state import Resolved, StateStore, UnknownSession
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from tests.support.observe import client, embedded_redis_url, wait_until_processed, wait_until_sound
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.redis_server import RedisServer

AT_ONCE = 12

KEYS = {"p": "rai_key-of-p", "p:a": "rai_key-of-p-a", "p:a:b": "rai_key-of-p-a-b"}
"""Projects and their keys."""

LOOK_ALIKES = [
    # joined to their project, all three are `p:a:b:c`
    ("p", "a:b:c"),
    ("p:a", "b:c"),
    ("p:a:b", "c"),
    ("p", "c"),
    *(
        ("p", user)
        for group in (
            ["x", " x", "x ", "x\u00a0", "x\u200b", "\ufeffx", "x\u2060"],
            ["\u00a0", "\u200b", "\ufeff", "\u3164", "\u2800", " ", "  "],  # they look empty
            ["Ada", "ada", "ADA", "\u0410da"],  # the last begins with a Cyrillic letter
            ["caf\u00e9", "cafe\u0301", "cafe"],
            ["fi", "\ufb01", "stra\u00dfe", "strasse", "K", "\u212a", "I", "\u0130", "i\u0307"],
            ["\u05d3\u05e0\u05d9", "\u05d9\u05e0\u05d3", "abc", "\u202ecba"],  # read from the right
            ["*", "?", "null", "None", "0", '"', "\\", "%41", "A", "../x", '["p","x"]', "{recallr:0}"],
        )
        for user in group
    ),
]


@dataclass(frozen=True)
class Person:
    """A user with something to hide."""

    project: str
    id: str
    secret: str

    @property
    def told(self) -> str:
        return f"My secret word is {self.secret}."

    @property
    def in_a_header(self) -> bool:
        """HTTP takes spaces off both ends of a header's value: such ids can only be given in the body."""
        return self.id == self.id.strip(" ")


PEOPLE = [Person(project, user, f"quux{number:03d}zork") for number, (project, user) in enumerate(LOOK_ALIKES)]


@pytest.fixture(scope="module")
def _gateway(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    environment = {
        "RECALLR_PROJECTS": json.dumps({project: [key] for project, key in KEYS.items()}),
    }
    with Proxy(tmp_path_factory.mktemp("isolation"), running_provider, settings=environment) as proxy:
        yield proxy


@pytest.fixture
def gateway(_gateway: Proxy, provider: Provider) -> Proxy:
    wait_until_sound(_gateway)
    return _gateway


def chat(proxy: Proxy, person: Person, text: str, *, in_header: bool = False, **options: object) -> httpx.Response:
    """One chat request, the user's id as UTF-8 in the header or as `user` in the body."""
    identity = {"project_id": person.project, "api_key": KEYS[person.project]}
    headers: list[tuple[bytes, bytes]] = [
        (name.encode(), value.encode()) for name, value in proxy.headers(None, **identity, **options).items()
    ]
    body: dict[str, Any] = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}]}
    if in_header:
        headers.append((b"X-Recallr-User-Id", person.id.encode()))
    else:
        body["user"] = person.id
    headers.append((b"Authorization", f"Bearer {proxy.master_key}".encode()))
    return httpx.post(f"{proxy.url}/v1/chat/completions", json=body, headers=headers, trust_env=False, timeout=60.0)


def test_of_many_look_alikes_at_once_each_is_shown_only_what_it_said_itself(gateway: Proxy, provider: Provider) -> None:
    assert len(set(LOOK_ALIKES)) == len(PEOPLE), "the test has the same user twice"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = list(pool.map(lambda one: chat(gateway, one, one.told, session_timeout_seconds=5), PEOPLE))
        assert {answer.status_code for answer in told} == {200}, [answer.text for answer in told if answer.is_error]
        sessions = [answer.headers["x-recallr-session-id"] for answer in told]
        assert len(set(sessions)) == len(PEOPLE), "two users were put into one session"

        _nobody_enters_the_session_of_the_next(gateway, pool, sessions)
        _everybody_asks(gateway, provider, pool, "while it is in Redis", session_timeout_seconds=5)
        wait_until_processed(embedded_redis_url(gateway))
        _nobody_enters_the_session_of_the_next(gateway, pool, sessions)
        _everybody_asks(gateway, provider, pool, "from Qdrant")
        _everybody_asks(
            gateway,
            provider,
            pool,
            "of the recent",
            recall_strategy="low_latency",
            min_top_k=50,
            last_n_user_messages=100,
            last_n_summaries=20,
        )


def test_an_id_is_the_same_user_in_the_header_and_in_the_body_but_for_the_spaces_that_http_takes_off(
    gateway: Proxy,
) -> None:
    def session(user: str | bytes) -> str:
        headers: dict[str, str | bytes] = {
            **gateway.headers(None, project_id="p", api_key=KEYS["p"]),
            "Authorization": f"Bearer {gateway.master_key}",
            "Content-Type": "application/json",
        }
        body: dict[str, Any] = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello."}]}
        if isinstance(user, bytes):
            headers["X-Recallr-User-Id"] = user
        else:
            body["user"] = user
        connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)  # httpx refuses spaces at the ends
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.headers["x-recallr-session-id"] if answer.status == 200 else f"refused: {answer.status}"
        finally:
            connection.close()

    in_body = {user: session(user) for user in ("same", "same ", " same", "same\u00a0", "sam\u00e9", "same\u200b")}
    assert len(set(in_body.values())) == len(in_body), f"of ids in the body, some were taken for one another: {in_body}"
    assert session(b" same ") == in_body["same"], "spaces around a header's value are no part of it"
    assert session("same\u00a0".encode()) == in_body["same\u00a0"], "a no-break space at the end was taken off"
    assert session("same\u200b".encode()) == in_body["same\u200b"], "a zero-width space at the end was taken off"
    assert session("sam\u00e9".encode()) == in_body["sam\u00e9"]
    assert session("sam\u00e9".encode("latin-1")) == "refused: 400", "an id that is not UTF-8 was guessed at"
    assert session(b"  ") == "refused: 400", "an id of which HTTP leaves nothing was accepted"


def _everybody_asks(gateway: Proxy, provider: Provider, pool: ThreadPoolExecutor, when: str, **options: object) -> None:
    """All at once, every other one naming itself in the header. Fails if anybody is shown another's secret."""

    def ask(number: int) -> httpx.Response:
        person = PEOPLE[number]
        in_header = person.in_a_header and number % 2 == 0
        return chat(gateway, person, _question(number, when), in_header=in_header, **options)

    answers = list(pool.map(ask, range(len(PEOPLE))))
    assert {answer.headers.get("x-recallr-memory-status") for answer in answers} == {"ok"}, [
        (PEOPLE[number].id, answer.headers.get("x-recallr-memory-status"), answer.text[:200])
        for number, answer in enumerate(answers)
        if answer.headers.get("x-recallr-memory-status") != "ok"
    ]
    for number, person in enumerate(PEOPLE):
        [request] = provider.chats(_question(number, when))
        shown = {other.secret for other in PEOPLE if other.secret in request.body.decode()}
        foreign = shown - {person.secret}
        assert not foreign, f"{when}, {person} was shown what others had said: {foreign}"
        assert person.secret in shown, f"{when}, {person} was not shown what it had said itself"


def _question(number: int, when: str) -> str:
    return f"What is my secret word? ({number:03d} {when})"


def _nobody_enters_the_session_of_the_next(gateway: Proxy, pool: ThreadPoolExecutor, sessions: list[str]) -> None:
    def intrude(number: int) -> int:
        foreign = sessions[(number + 1) % len(sessions)]
        return chat(gateway, PEOPLE[number], "Let me in.", session_id=foreign).status_code

    assert set(pool.map(intrude, range(len(PEOPLE)))) == {404}, "somebody could continue the session of somebody else"


# The stores themselves

TEXTS = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["a", "A", "a ", "a:b", "b", "a\u0301", "\u00e1", "\u200b", "*"]
)
OWNERS = st.lists(st.builds(Owner, TEXTS, TEXTS), min_size=2, max_size=4, unique=True)
SAME = np.full(8, 8**-0.5, dtype=np.float32)
"""The vector of everything: nothing but the owner tells one memory from another."""
WORDS = SparseVector((1,), (1.0,))
MEMORY, OTHER_MEMORY = "a" * 32, "b" * 32


class NoModel:
    """The name and dimension that the vector store has to know."""

    name = "all-the-same"
    dimension = 8


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("isolation-redis")) as server:
        yield server


def test_owners_of_any_ids_with_the_same_sessions_and_words_never_meet_in_the_stores(redis: RedisServer) -> None:
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        state = StateStore.from_url(redis.url, timeout_seconds=60)
        vectors = VectorStore(EdgeCollections(Path(folder) / "qdrant"), NoModel())
        runner.run(vectors.open())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(owners=OWNERS, session_id=TEXTS, id=TEXTS)
        def never_meet(owners: list[Owner], session_id: str, id: str) -> None:
            with client(redis.url) as connection:
                connection.flushall()  # of an example before this one that has failed
            runner.run(_live(state, vectors, owners, session_id, id))

        try:
            never_meet()
        finally:
            runner.run(vectors.close())
            runner.run(state.close())


async def _live(state: StateStore, vectors: VectorStore, owners: list[Owner], session_id: str, id: str) -> None:
    """All owners use the same session, exchange and message ids and the same vectors; the text is each one's own."""
    secrets = {owner: f"secret {number} of {owner.key}" for number, owner in enumerate(owners)}
    for owner in owners:
        await state.remember_user(owner)
        await vectors.put_user(owner, User(project=owner.project, user=owner.user, created_at=0))
    for owner in owners:
        stranger = await _resolve(state, owner, f"{session_id}-own", requested=session_id)
        assert stranger == UnknownSession(), f"{owner} was given the session of another owner"
        opened = await _resolve(state, owner, session_id)
        assert isinstance(opened, Resolved)
        assert (opened.entries, opened.other_sessions) == ((), ()), f"{owner} sees what another owner has in Redis"
        said = StoredMessage(id=id, exchange=id, position=0, at=0, message=Message(role="user", text=secrets[owner]))
        await state.commit(
            owner, session_id, exchange=id, expected_version=opened.version, add=[said], drop=[], final=True
        )

    for owner in owners:
        again = await _resolve(state, owner, "unused")
        assert isinstance(again, Resolved)
        shown = await state.read(owner, session_id, [entry.id for entry in again.entries], most_bytes=10_000)
        assert [one.message.text for one in shown] == [secrets[owner]]

    far_ahead = again.timeout_seconds * 1000 + 10**14
    claims = await state.claim(100, lease_seconds=60, now_ms=far_ahead)
    assert {claim.owner for claim in claims} == secrets.keys(), "a session was claimed for the wrong owner"
    for claim in claims:
        snapshot = await state.load(claim.owner, claim.session_id)
        assert snapshot is not None
        [said] = snapshot.messages
        assert said.message.text == secrets[claim.owner]
        passage = Passage(said.message.text, SAME, WORDS)
        session = Session(
            id=session_id, created_at=0, last_at=0, timeout_seconds=1, message_count=1, summary=passage.text
        )
        await vectors.save_session(claim.owner, session, [Turn(said, (passage,))], passage)
        known = [
            Memory(id=one, content=passage.text, created_at=0, session=session_id, sources=(id,), connected=(other,))
            for one, other in ((MEMORY, OTHER_MEMORY), (OTHER_MEMORY, MEMORY))
        ]
        await vectors.save_memories(claim.owner, [(memory, passage) for memory in known], replacing=session_id)
        await state.finish(claim)

    for owner in owners:
        passages, summaries, memories = await vectors.search(owner, SAME, WORDS, exclude_sessions=())
        recent = await vectors.last_user_messages(owner, 9, exclude_sessions=())
        ended = await vectors.last_summaries(owner, 9, exclude_sessions=())
        seen = {
            *(hit.text for hit in passages),
            *(hit.summary for hit in summaries),
            *(hit.content for hit in memories),
            *(memory.content for memory in await vectors.get_memories(owner, [MEMORY, OTHER_MEMORY])),
            *(one.message.text for _, one in recent),
            *(one.summary for one in ended),
            *(one.message.text for one in await vectors.read_messages(owner, session_id)),
        }
        foreign = seen - {text for text in seen if text.endswith(owner.key)}
        assert not foreign, f"{owner} sees what others have in Qdrant: {foreign}"
        assert secrets[owner] in seen, f"{owner} does not see its own"


async def _resolve(
    state: StateStore, owner: Owner, new: str, *, requested: str | None = None
) -> Resolved | UnknownSession:
    found = await state.resolve(
        owner, new_session_id=new, timeout_seconds=None, default_timeout_seconds=600, requested=requested
    )
    assert isinstance(found, Resolved | UnknownSession), f"{owner} is unknown although it was remembered"
    return found
