"""What is stored of the exchanges that pass through the proxy: each message once, all that the client has seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.waiting import eventually

Said = list[tuple[str, str]]


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


def user_says(text: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": text}


def assistant_says(text: str) -> ChatCompletionMessageParam:
    return {"role": "assistant", "content": text}


def asked(*pairs: tuple[str, str]) -> Said:
    """Questions and answers as they are stored."""
    return [line for question, answer in pairs for line in (("user", question), ("assistant", answer))]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_exchange_is_stored_before_its_response_ends(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, stream: bool
) -> None:
    provider.answer(Answer(text="One two three."))
    answer = proxy.openai(user).chat.completions.create(model=CHAT_MODEL, messages=[user_says("Count.")], stream=stream)
    if isinstance(answer, openai.Stream):
        for chunk in answer:
            if chunk.choices and chunk.choices[0].finish_reason:
                break  # the client knows now that the answer is whole; more is still to come
        kept = memory.only(user)
        answer.close()
    else:
        kept = memory.only(user)

    assert kept.said == asked(("Count.", "One two three."))
    assert not any(stored.partial for stored in kept.messages)


@pytest.mark.parametrize(("window", "stream"), [(1, True), (3, False), (9, True)])
def test_history_sent_again_is_stored_once(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, window: int, stream: bool
) -> None:
    pairs = [("My cat is Felix.", "Nice."), ("Yes.", "Good."), ("Yes.", "Nice."), ("My dog is Rex.", "Noted.")]
    history: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Be brief."}]
    for question, answer in pairs:
        provider.answer(Answer(text=answer))
        history.append(user_says(question))
        proxy.ask(user, *(history if window == 9 else history[-window:]), stream=stream)
        history.append(assistant_says(f" {answer}\n"))  # clients re-indent

    assert memory.only(user).said == asked(*pairs), "each once and in order, the same words said twice are there twice"


def test_a_retry_of_the_sdk_itself_is_stored_once(proxy: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    provider.answer(Answer(status=500), Answer(status=429, headers={"retry-after": "0"}), Answer(text="Noted."))
    client = proxy.openai(user).with_options(max_retries=3)
    client.chat.completions.create(model=CHAT_MODEL, messages=[user_says(f"I am {user}.")])

    assert len(provider.chats(user)) == 3, "the SDK has tried three times"
    assert memory.only(user).said == asked((f"I am {user}.", "Noted."))


def test_a_repetition_marked_by_the_sdk_replaces_the_answer_that_was_lost(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    provider.answer(Answer(text="First."), Answer(text="Second."))
    for count in ("0", "1"):  # the first answer was stored, but lost on its way to the client
        answer = httpx.post(
            f"{proxy.url}/v1/chat/completions",
            headers=proxy.headers(user)
            | {"Authorization": f"Bearer {proxy.master_key}", "x-stainless-retry-count": count},
            json={"model": CHAT_MODEL, "messages": [user_says("My cat is Felix.")]},
            trust_env=False,
            timeout=60.0,
        )
        assert answer.status_code == 200, answer.text

    assert memory.only(user).said == asked(("My cat is Felix.", "Second."))


def test_a_regenerated_answer_replaces_the_earlier_one(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    provider.answer(*[Answer(text=text) for text in ("Nice.", "Noted.", "Woof.")])
    proxy.ask(user, "My cat is Felix.")
    history = [user_says("My cat is Felix."), assistant_says("Nice."), user_says("My dog is Rex.")]
    proxy.ask(user, *history)
    proxy.ask(user, *history, stream=True)

    assert memory.only(user).said == asked(("My cat is Felix.", "Nice."), ("My dog is Rex.", "Woof."))
    assert "Noted." not in provider.last.body.decode(), "the model does not see the answer that it is to replace"


def test_all_choices_are_stored_until_the_client_goes_on_with_one(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    provider.answer(Answer(choices=("Red.", "Green.", "Blue.")), Answer(text="A colour."))
    answer = proxy.openai(user).chat.completions.create(
        model=CHAT_MODEL, messages=[user_says("A colour?")], n=3, stream=True
    )
    list(answer)
    kept = memory.only(user)
    assert kept.texts == ["A colour?", "Red.", "Green.", "Blue."]
    assert not any(stored.partial for stored in kept.messages), "all of them are whole"
    assert {stored.parent for stored in kept.messages[1:]} == {kept.messages[0].id}, "each answers the question"

    proxy.ask(user, user_says("A colour?"), assistant_says("Green."), user_says("What is that?"))
    assert memory.only(user).said == asked(("A colour?", "Green."), ("What is that?", "A colour."))


def test_an_answer_that_takes_longer_than_the_sessions_timeout_is_stored(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    provider.answer(Answer(text="At last.", hang=True))
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(proxy.ask, user, "Slowly.", session_timeout_seconds=SHORT)
        eventually(lambda: memory.current(user), "the request has its session")
        eventually(lambda: memory.current(user) is None, "the session, empty so far, is over")
        provider.release()
        reply = waiting.result()

    memory.wait_processed(user, reply.session_id)  # with its own timeout, not the default one
    proxy.ask(user, "?!", session_id=reply.session_id, session_timeout_seconds=600)
    assert memory.session(user, reply.session_id).said[:2] == asked(("Slowly.", "At last."))
