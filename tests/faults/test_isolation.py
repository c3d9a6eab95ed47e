"""Nobody is ever shown what somebody else said, whatever their ids look like: joined by the separators of another
pair, equal but for case, for Unicode's composition, for characters that cannot be seen.

Through a real gateway, with many users at once. The stores alone: unit/stores/test_state_isolation.py and
unit/stores/vectors/test_vectors_isolation.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.observe import embedded_redis_url, wait_until_processed, wait_until_sound
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import CHAT_MODEL, Proxy

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
            ["\u200b", "\ufeff", "\u3164", "\u2800"],  # they look empty
            ["Ada", "ada", "ADA", "\u0410da"],  # the last begins with a Cyrillic letter
            ["caf\u00e9", "cafe\u0301", "cafe"],
            ["fi", "\ufb01", "stra\u00dfe", "strasse", "K", "\u212a", "I", "\u0130", "i\u0307"],
            ["\u05d3\u05e0\u05d9", "\u05d9\u05e0\u05d3", "abc", "\u202ecba"],  # read from the right
            ["*", "?", "0", "\\", "%41", "A", "../x", '["p","x"]', "{recallr:0}"],
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
    environment = {"RECALLR_PROJECTS": json.dumps({project: [key] for project, key in KEYS.items()})}
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
