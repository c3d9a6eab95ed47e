"""Owners whose ids look alike, or contain each other's separators, never see or change each other's sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import CommitResult, Resolved, StateStore, UnknownSession
from tests.unit.stores.state_kit import NOW, SECOND, TIMEOUT, said

pytest_plugins = ("tests.unit.stores.state_fixtures",)

T = TypeVar("T")

OWNERS = [
    Owner("a:b", "c"),
    Owner("a", "b:c"),
    Owner("a", 'b","c'),
    Owner('a","b', "c"),
    Owner("a", "é"),  # composed and decomposed: two users
    Owner("a", "e\u0301"),
    Owner("A", "é"),
    Owner("a", "*"),
    Owner("a", "{recallr:0}:due"),
]
SESSIONS = ["0" * 32, "1" * 32, "0" * 31, "x:y"]
EXCHANGES = ["e", "e:e", "final"]


@dataclass
class Kept:
    """What a session should hold: text by message id."""

    version: int = 0
    texts: dict[str, str] = field(default_factory=dict)


class Owners(RuleBasedStateMachine):
    """Random requests of the colliding owners, on the same session and exchange ids, against a plain dictionary."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.runner = asyncio.Runner()
        self.store = StateStore.from_url(self.url, timeout_seconds=60)
        for owner in OWNERS:
            self.run(self.store.remember_user(owner))
        self.now = NOW
        self.sessions: dict[Owner, dict[str, Kept]] = {owner: {} for owner in OWNERS}
        self.done: set[tuple[Owner, str]] = set()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.everybody_has_what_is_theirs()
        self.run(self.store.close())
        self.runner.close()

    def resolve(self, owner: Owner, new: str, requested: str | None) -> Resolved | UnknownSession:
        found = self.run(
            self.store.resolve(
                owner,
                new_session_id=new,
                timeout_seconds=None,
                default_timeout_seconds=TIMEOUT,
                requested=requested,
                now_ms=self.now,
            )
        )
        assert isinstance(found, Resolved | UnknownSession)
        return found

    @rule(owner=st.sampled_from(OWNERS), session=st.sampled_from(SESSIONS))
    def request_without_a_session(self, owner: Owner, session: str) -> None:
        if session in self.sessions[owner]:
            return  # ids of new sessions are unique by contract
        found = self.resolve(owner, session, None)
        assert isinstance(found, Resolved)
        if found.created:
            self.sessions[owner][session] = Kept()
        assert found.session_id in self.sessions[owner]
        assert set(found.other_sessions) <= set(self.sessions[owner])

    @rule(owner=st.sampled_from(OWNERS), session=st.sampled_from(SESSIONS))
    def request_for_a_session(self, owner: Owner, session: str) -> None:
        found = self.resolve(owner, "never used", session)
        if session in self.sessions[owner]:
            assert isinstance(found, Resolved)
            assert found.session_id == session
        else:
            assert found == UnknownSession(), f"{owner} was given a session that is not theirs"

    @rule(
        owner=st.sampled_from(OWNERS),
        session=st.sampled_from(SESSIONS),
        exchange=st.sampled_from(EXCHANGES),
        position=st.integers(0, 2),
        behind=st.sampled_from([0, 0, 0, 1]),
        dropped=st.integers(0, 2),
    )
    def commit(self, owner: Owner, session: str, exchange: str, position: int, behind: int, dropped: int) -> None:
        kept = self.sessions[owner].get(session)
        expected = max(0, (kept.version if kept else 0) - behind)
        message = said(position, f"{owner} {session} {exchange}", exchange=exchange)
        drop = said(dropped, "", exchange="e").id
        result = self.run(
            self.store.commit(
                owner,
                session,
                exchange=exchange,
                expected_version=expected,
                add=[message],
                drop=[drop],
                final=True,
                now_ms=self.now,
            )
        )
        if (owner, exchange) in self.done:
            assert result is CommitResult.DUPLICATE
        elif kept is None:
            assert result is CommitResult.GONE
        elif expected != kept.version:
            assert result is CommitResult.CONFLICT
        else:
            assert result is CommitResult.STORED
            kept.version += 1
            kept.texts[message.id] = message.message.text
            kept.texts.pop(drop, None)
            self.done.add((owner, exchange))

    @rule(seconds=st.sampled_from([1, TIMEOUT - 1, TIMEOUT]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(finish=st.booleans())
    def process(self, finish: bool) -> None:
        claims = self.run(self.store.claim(100, lease_seconds=60, now_ms=self.now))
        for claim in claims:
            kept = self.sessions[claim.owner][claim.session_id]
            snapshot = self.run(self.store.load(claim.owner, claim.session_id))
            assert snapshot is not None
            assert {stored.id: stored.message.text for stored in snapshot.messages} == kept.texts
            if finish:
                assert self.run(self.store.finish(claim))
        finished = {(claim.owner, claim.session_id) for claim in claims if finish}
        for owner, sessions in self.sessions.items():
            for session in [id for id in sessions if self.run(self.store.load(owner, id)) is None]:
                assert (owner, session) in finished or not sessions[session].texts, "a session with messages was lost"
                del sessions[session]

    @rule()
    def everybody_has_what_is_theirs(self) -> None:
        for owner in OWNERS:
            seen = {
                session: Kept(snapshot.version, {stored.id: stored.message.text for stored in snapshot.messages})
                for session in SESSIONS
                if (snapshot := self.run(self.store.load(owner, session))) is not None
            }
            assert seen == self.sessions[owner]


def test_colliding_ids_never_meet(embedded_url: str) -> None:
    run_state_machine_as_test(
        type("OwnersHere", (Owners,), {"url": embedded_url}),
        settings=settings(
            max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
