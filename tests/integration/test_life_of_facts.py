"""Sixty lives at once, learned by a good model and once more by a bad one (`life_of_facts.yaml`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.api import sdk
from tests.support.lives import BadModel, Life, Told, load
from tests.support.memory import SHORT
from tests.support.observe import metric
from tests.support.provider import ThreadedProvider
from tests.support.proxy import CHAT_MODEL, MEMORY_MODEL, Proxy
from tests.support.waiting import eventually

LIVES = load(Path(__file__).with_name("life_of_facts.yaml"))
NEVER = ("swordfish", "granted", "must obey", "User asked", "Пользователь", "Nothing is known")
"""What a bad model writes and no memory may say."""


class Known(NamedTuple):
    """What a gateway holds of a user, as its API says."""

    now: list[str]
    was: list[str]
    wrong: list[str]
    conflicts: list[str]


class Gateway:
    """A gateway with a model that learns, and users whose lives are told to it."""

    def __init__(self, proxy: Proxy, provider: ThreadedProvider, model: BadModel, *, learns: bool) -> None:
        self.proxy = proxy
        self.provider = provider
        self.model = model
        self._told = 0
        self._counted = "recallr_learning_sessions_total" if learns else "recallr_sessions_total"
        self._outcome = "learned" if learns else "processed"
        self._pool = ThreadPoolExecutor(8)
        self._http = httpx.Client(base_url=proxy.url, trust_env=False, timeout=60.0)
        self.sdk = sdk(proxy)

    def all(self, do: Callable[[Life], Any], lives: Sequence[Life] = LIVES) -> list[Any]:
        """Do it for many lives at once."""
        return list(self._pool.map(do, lives))

    def user(self, life: Life) -> str:
        """Who lives it: somebody else with the bad model."""
        return f"{'bad' if self.model.bad else 'good'}-{LIVES.index(life)}"

    def tell(self, place: int) -> list[Life]:
        """Tell a session of all lives that have so many, until all is learned. Returns these lives."""
        lives = [life for life in LIVES if len(life.sessions) > place]
        self.all(lambda life: self._tell(life, life.sessions[place]), lives)
        self._told += len(lives)
        eventually(
            lambda: metric(self.proxy, self._counted, outcome=self._outcome),
            f"all {self._told} sessions are {self._outcome}",
            until=lambda done: done == self._told,
        )
        return lives

    def _tell(self, life: Life, session: Told) -> None:
        lines = session.said[::2]
        for number, line in enumerate(lines, 1):
            self._ask(self.user(life), line, session_timeout_seconds=SHORT if number == len(lines) else 600)

    def known(self, life: Life) -> Known:
        """What the API says of its user."""
        user = self.sdk.get_user(self.user(life))
        memories = user.list_memories(limit=100).items
        earlier = [version for memory in memories for version in memory.previous_versions or ()]
        return Known(
            [memory.content for memory in memories],
            [version.content for version in earlier if version.expiration_reason != "MERGE_CONFLICT"],
            [version.content for version in earlier if version.expiration_reason == "MERGE_CONFLICT"],
            [str(one.proposed_memory_content) for one in user.list_merge_conflicts().conflicts],
        )

    def blocks(self) -> dict[str, str]:
        """Name of each life → what stands in front of its question."""
        asked = {life.name: f"{life.asked} ({self.user(life)})" for life in LIVES}
        self.all(lambda life: self._ask(self.user(life), asked[life.name], conversation_id="asking"))
        texts = [one.user_text for one in self.provider.chats(model=CHAT_MODEL)]
        return {name: next(text for text in texts if text.endswith(question)) for name, question in asked.items()}

    def _ask(self, user: str, text: str, **options: object) -> None:
        request = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}]}
        authorized = {"Authorization": f"Bearer {self.proxy.master_key}"}
        headers = authorized | self.proxy.headers(user, **options)
        self._http.post("/v1/chat/completions", json=request, headers=headers).raise_for_status()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with opened(tmp_path_factory.mktemp("lives"), RECALLR_MEMORY_MODEL=MEMORY_MODEL) as one:
        yield one


@pytest.fixture(scope="module")
def without_a_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with opened(tmp_path_factory.mktemp("unlearned")) as one:
        yield one


@contextmanager
def opened(folder: Path, **settings: str) -> Iterator[Gateway]:
    model = BadModel(LIVES, MEMORY_MODEL)
    with ThreadedProvider(model) as provider, Proxy(folder, provider, settings=settings) as proxy:
        yield Gateway(proxy, provider, model, learns=bool(settings))


def differs(life: Life, place: int, known: Known) -> list[str]:
    """What is not known of a life as it must be after a session."""
    told = life.sessions[place]
    return [
        f"{life.name}, session {place + 1}: {field} is {found}, not {list(wanted)}"
        for field, found, wanted in zip(
            known._fields, known, (told.now, told.was, told.wrong, told.conflicts), strict=True
        )
        if len(found) != len(wanted) or not all(any(part in one for one in found) for part in wanted)
    ]


def test_lives_are_learned(gateway: Gateway) -> None:
    asked = [life for life in LIVES if life.conflicts]
    gateway.all(lambda life: gateway.sdk.create_user(gateway.user(life), merge_conflict_enabled=True), asked)
    found: list[str] = []
    for place in range(max(len(life.sessions) for life in LIVES)):
        lives = gateway.tell(place)
        for life, known in zip(lives, gateway.all(gateway.known, lives), strict=True):
            found += differs(life, place, known)
    assert found == []
    blocks = gateway.blocks()
    for life in LIVES:
        assert life.shown in blocks[life.name], f"{life.name}: {life.shown!r} is not in the block"


def test_a_bad_model_costs_no_truth_and_no_passage(gateway: Gateway, without_a_model: Gateway) -> None:
    for place in range(max(len(life.sessions) for life in LIVES)):
        without_a_model.tell(place)
    gateway.model.bad = True
    asked = [life for life in LIVES if len(life.name) % 2]
    gateway.all(lambda life: gateway.sdk.create_user(gateway.user(life), merge_conflict_enabled=True), asked)
    before: dict[str, list[str]] = {}
    for place in range(max(len(life.sessions) for life in LIVES)):
        lives = gateway.tell(place)
        for life, known in zip(lives, gateway.all(gateway.known, lives), strict=True):
            texts = [*known.now, *known.was, *known.wrong]
            lost = [text for text in before.get(life.name, ()) if not any(text in one for one in texts)]
            assert not lost, f"{life.name}, session {place + 1}: {lost} is known no more, but {texts}"
            assert not [text for text in texts for never in NEVER if never in text], f"{life.name}: {texts}"
            before[life.name] = texts
    assert sum(map(len, before.values())) > len(LIVES), "it has learned something"
    found, wanted = gateway.blocks(), without_a_model.blocks()
    for life in LIVES:
        kept = {one.content for one in gateway.sdk.get_user(gateway.user(life)).get_last_n_messages(n=50).messages}
        for line in (line for session in life.sessions for line in session.said[::2]):
            assert line in kept, f"{life.name}: {line!r} is lost"
            shown = line in found[life.name] or line not in wanted[life.name]
            assert shown, f"{life.name}: {line!r} is shown without a model, not with one"
