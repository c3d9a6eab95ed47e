"""Several chats of one user at once, as clients without ids send them: none takes another's messages."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

import pytest

from recallr_litellm.core.chats import chat_of
from recallr_litellm.core.history import plan
from recallr_litellm.core.messages import Message
from recallr_litellm.memory.capture import Exchange
from recallr_litellm.memory.sessions import OpenedSession
from tests.unit.memory.conftest import ANA, Plugin


async def turn(plugin: Plugin, messages: Sequence[Message], reply: str) -> tuple[OpenedSession, set[str]]:
    """One request with its answer; returns its session and the texts that it is shown as earlier in its chat."""
    chat = chat_of(messages, as_sent=messages, header=None, client_headers={}, body={}, litellm_session=None)
    request = plugin.request(chat=chat)
    session = await plugin.sessions.open(request)
    session = await plugin.sessions.part(request, session, plan(session.entries, messages))
    unseen = plan(session.entries, messages).unseen
    earlier = await plugin.sessions.read(ANA, session.id, unseen, tokens=2000)
    exchange = Exchange(
        id=uuid.uuid4().hex,
        request=request,
        incoming=tuple(messages),
        replies=(Message(role="assistant", text=reply),),
        answered_at=request.at + 1,
        partial=False,
        session=session,
    )
    assert await plugin.capture.store_or_hold(exchange, within=60)
    return session, {stored.message.text for stored in earlier}


class Tab:
    """A chat of a client that sends its history, or the last messages of it."""

    def __init__(self, name: str, window: int | None) -> None:
        self.name = name
        self.window = window
        self.history: list[Message] = []
        self.sessions: list[str] = []

    async def say(self, plugin: Plugin, reply: str) -> set[str]:
        text = f"{self.name} {len(self.history)}"
        self.history.append(Message(role="user", text=text))
        session, earlier = await turn(plugin, self.history[-self.window :] if self.window else self.history, reply)
        self.history.append(Message(role="assistant", text=reply))
        self.sessions.append(session.id)
        return earlier


@pytest.mark.parametrize("seed", range(12))
async def test_chats_that_only_send_their_history_never_mix(plugin: Plugin, seed: int) -> None:
    choose = random.Random(seed)
    tabs = [Tab(name, choose.choice([None, None, 5])) for name in ("apples", "bears", "cars")]
    for number in range(24):
        tab = choose.choice(tabs)
        begun = bool(tab.history)
        earlier = await tab.say(plugin, choose.choice(["ok", "Done.", f"That is answer number {number}."]))
        others = {message.text for other in tabs if other is not tab for message in other.history if other.history}
        if begun:
            strange = {text for text in earlier & others if text not in {"ok", "Done."}}
            assert not strange, f"{tab.name} is shown what was said elsewhere: {strange}"
    kept = {tab.name: await plugin.texts(tab.sessions[-1]) for tab in tabs if len(tab.history) > 2}
    for tab in tabs:
        if len(tab.history) > 2:
            assert len(set(tab.sessions[1:])) == 1, f"{tab.name} stays in its session"
            assert kept[tab.name] == [message.text for message in tab.history], "each message is there once, in order"
