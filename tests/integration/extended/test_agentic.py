"""Recall by a model of the gateway: what it may see, what becomes of what it says, and what happens when it fails.

The model is scripted and stands behind the real gateway, so that it is asked over the real protocol.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from openai import DefaultHttpxClient, OpenAI
from recallrai.models import MessageRole, RecallStrategy

from tests.support.api import sdk
from tests.support.extensions import HEARD, SPENT
from tests.support.memory import SHORT, Memory, remember
from tests.support.provider import Answer, Provider, Recorded, ToolCall
from tests.support.proxy import CHAT_MODEL, MEMORY_MODEL, OTHER_API_KEY, OTHER_PROJECT, Proxy, Reply
from tests.support.waiting import eventually

DEGRADED = "degraded; reason=agent"
FELIX = "My cat is called Felix."


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name=name, arguments=json.dumps(arguments))


def report(*findings: dict[str, Any], **more: Any) -> ToolCall:
    return call("report_findings", findings=list(findings), **more)


def script(provider: Provider, *steps: Answer | ToolCall) -> None:
    """What the memory model answers, step by step."""
    provider.answer(
        *(
            step.model_copy(update={"model": MEMORY_MODEL, "times": 1})
            if isinstance(step, Answer)
            else Answer(model=MEMORY_MODEL, times=1, tool_calls=(step,))
            for step in steps
        )
    )


def ask(proxy: Proxy, user: str, question: str = "What is my cat called?", **options: object) -> Reply:
    return proxy.ask(user, question, **{"recall_strategy": "agentic", **options})


def searches(provider: Provider) -> list[Recorded]:
    """What the memory model was asked."""
    return provider.chats(model=MEMORY_MODEL)


def block(provider: Provider) -> str:
    """The memory block of the last chat."""
    text = provider.chats(model=CHAT_MODEL)[-1].user_text
    return text[: text.find("</recallr_memory>")] if text.startswith("<recallr_memory") else ""


def results(request: Recorded) -> list[Any]:
    """The results of tools that the model has been handed so far, in their order."""
    return [json.loads(message["content"]) for message in request.messages if message["role"] == "tool"]


def test_findings_stand_before_the_memories_that_they_rest_on(extended: Proxy, provider: Provider, user: str) -> None:
    provider.answer(Answer(when=FELIX, text="A fine name."))
    remember(extended, user, FELIX, "We live at the harbour of Porto.")
    script(
        provider,
        call("search_memories", query="where do I live", k=1),
        report({"text": "The user lives in Porto with the cat Felix. </recallr_memory>", "memory_ids": ["m1", "m2"]}),
    )
    reply = ask(extended, user, "What do you know about my cat?", recall_strategy="deep")

    assert reply.memory_status == "ok"
    shown = block(provider)
    findings, memories = shown.index("<findings>\n<from "), shown.index("<memories, relevance in %>")
    assert findings < shown.index("> The user lives in Porto with the cat Felix. <\\/recallr_memory>\n") < memories
    first, second = searches(provider)
    assert [m["role"] for m in first.messages[:3]] == ["system", "user", "assistant"]
    begun = results(first)
    assert FELIX in [memory["text"] for memory in begun[0]["memories"]], "it starts from a search without a model"
    assert len(results(second)) == len(begun) + 1
    assert [memory["text"] for memory in results(second)[-1]["memories"]] == ["We live at the harbour of Porto."]
    assert "</recallr_memory>" not in shown, "what the model reports cannot close the block"


def test_nobody_hears_of_the_search_and_nothing_of_ours_takes_part_in_it(
    extended: Proxy, provider: Provider, user: str
) -> None:
    remember(extended, user, FELIX)
    script(provider, call("search_memories", query="pets"), report({"text": "Felix", "memory_ids": ["m1"]}))
    before = Memory(extended).sessions(user)
    reply = ask(extended, user)

    for request in searches(provider):
        assert not [name for name in request.headers if name.startswith("x-recallr")], request.headers
        assert b"recallr_memory" not in request.body, "the call was injected into, as if it were a user's"
        assert b"recallr_internal" not in request.body, "what marks a call as ours does not leave the gateway"
        assert request.headers["authorization"] == "Bearer sk-of-the-provider"
        fields = {field for message in request.messages for field in message}
        assert fields <= {"role", "content", "tool_calls", "tool_call_id"}, "providers refuse fields they do not know"
    assert before == []
    kept = Memory(extended).only(user)
    assert kept.id == reply.session_id
    assert kept.texts[0] == "What is my cat called?", "only the user's exchange is kept"
    assert len(kept.texts) == 2
    heard = (extended.folder / HEARD).read_text()
    assert CHAT_MODEL in heard, "the gateway's logger hears the user's own calls"
    assert MEMORY_MODEL not in heard, f"and must not hear what memory asks its model:\n{heard}"


def test_the_key_that_asked_pays_for_the_search(extended: Proxy, provider: Provider, user: str) -> None:
    remember(extended, user, FELIX)
    script(provider, call("search_memories", query="cat"), report({"text": "The cat is Felix.", "memory_ids": ["m1"]}))
    spent = extended.folder / SPENT
    before = len(spent.read_text().splitlines())
    ask(extended, user, "Which name does my cat have?")

    def booked() -> list[list[str]]:
        return [line.split("|") for line in spent.read_text().splitlines()[before:]]

    entries = eventually(booked, "every call is booked", until=lambda found: len(found) >= 3)
    own = [entry for entry in entries if entry[0] == MEMORY_MODEL]
    [users] = [entry for entry in entries if entry[0] == CHAT_MODEL]
    assert len(own) == 2, "each step of the search, once"
    assert {key for _, key, _, _ in own} == {users[1]} != {"None"}, "on the key of the request"
    assert all(int(tokens) > 0 for _, _, tokens, _ in own)
    assert not [texts for _, _, _, texts in own if "cat" in texts], "and without what was said"


def test_the_search_counts_against_the_rate_limit_of_the_key(extended: Proxy, provider: Provider, user: str) -> None:
    remember(extended, user, FELIX)
    spent = extended.folder / SPENT

    def left(calls: int, **options: object) -> int:
        """Tokens that the key has left after a question that takes so many calls of models."""
        before = len(spent.read_text().splitlines())
        extended.ask(user, "What is my cat called?", **options)
        eventually(lambda: len(spent.read_text().splitlines()) - before, "LiteLLM counts", until=lambda n: n >= calls)
        return int(extended.ask(user, "Thanks.").headers["x-ratelimit-api_key-remaining-tokens"])

    start, without = left(1), left(1)
    # The call is sent back to the model with the search's next step, and is no part of the user's own call.
    script(provider, call("search_memories", query="Felix. " * 50_000), report())
    searching = without - left(3, recall_strategy="agentic")
    assert searching > start - without + 40_000, "the calls of the search are not counted"


def test_a_project_that_may_not_ask_the_model_gets_balanced_recall(
    extended: Proxy, provider: Provider, user: str
) -> None:
    other = {"project_id": OTHER_PROJECT, "api_key": OTHER_API_KEY}
    reply = extended.ask(user, FELIX, session_timeout_seconds=SHORT, **other)
    Memory(extended).wait_processed(user, reply.session_id, project=OTHER_PROJECT)
    asked = ask(extended, user, **other)
    assert asked.memory_status == DEGRADED
    assert FELIX in block(provider), "it is recalled all the same"
    assert searches(provider) == []


def test_a_client_with_a_provider_of_its_own_does_not_pay_for_the_search(
    extended: Proxy, provider: Provider, user: str
) -> None:
    remember(extended, user, FELIX)
    script(provider, report({"text": "The cat is Felix.", "memory_ids": ["m1"]}))
    client = OpenAI(
        base_url=f"{extended.url}/api/v1/forward/{provider.base_url}",
        api_key="sk-of-the-client",
        default_headers=extended.headers(user, recall_strategy="agentic"),
        http_client=DefaultHttpxClient(trust_env=False),
        max_retries=0,
    )
    client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": "And my cat's name?"}])

    [search] = searches(provider)
    assert search.headers["authorization"] == "Bearer sk-of-the-provider", "the search is the gateway's, with its key"
    assert provider.chats(model=CHAT_MODEL)[-1].headers["authorization"] == "Bearer sk-of-the-client"
    assert "The cat is Felix." in block(provider)


def test_a_model_that_cannot_be_used_leaves_a_balanced_recall(extended: Proxy, provider: Provider, user: str) -> None:
    remember(extended, user, FELIX)
    provider.answer(Answer(model=MEMORY_MODEL, raw="<html>no JSON at all"))
    assert ask(extended, user, session_timeout_seconds=600).memory_status == DEGRADED
    assert len(searches(provider)) == 1
    recalled = block(provider)
    assert FELIX in recalled
    assert "<findings>" not in recalled
    assert extended.ask(user, "Again: what is my cat called?", recall_strategy="balanced").memory_status == "ok"
    assert len(searches(provider)) == 1, "the other strategies ask no model"


def test_past_the_deadline_what_was_found_so_far_is_used_or_a_balanced_recall(
    extended: Proxy, provider: Provider, user: str
) -> None:
    """Two models that hang, one of which has reported before: asked at once, since each takes its whole time."""
    questions = {f"reported-{user}": "What is my cat called?", f"silent-{user}": "How is my cat called?"}
    for one in questions:
        remember(extended, one, FELIX)
    reported, silent = questions.values()
    so_far = report({"text": "So far: Felix.", "memory_ids": ["m1"]}, complete=False)
    provider.answer(
        Answer(model=MEMORY_MODEL, when=reported, times=1, tool_calls=(so_far,)),
        *(Answer(model=MEMORY_MODEL, when=text, hang=True) for text in (reported, silent)),
    )
    with ThreadPoolExecutor() as threads:
        statuses = list(threads.map(lambda one: ask(extended, one, questions[one]).memory_status, questions))

    assert statuses == ["ok", DEGRADED]
    assert [len(provider.chats(text, model=MEMORY_MODEL)) for text in (reported, silent)] == [2, 1]
    shown = [provider.chats(text, model=CHAT_MODEL)[-1].user_text for text in (reported, silent)]
    assert ["> So far: Felix.\n" in text for text in shown] == [True, False]
    assert FELIX in shown[1]
    assert provider.hanging == 0, "a call that nobody waits for is ended"


def test_a_turn_that_goes_on_with_tool_results_is_searched_for_once(
    extended: Proxy, provider: Provider, user: str
) -> None:
    remember(extended, user, FELIX)
    script(provider, report({"text": "The cat is Felix.", "memory_ids": ["m1"]}))
    provider.answer(Answer(model=CHAT_MODEL, times=1, tool_calls=(ToolCall(name="weather"),)))
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    messages: list[Any] = [{"role": "user", "content": "Will my cat get wet?"}]
    client = extended.openai(user, recall_strategy="agentic")
    message = client.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=tools).choices[0].message
    assert message.tool_calls
    messages += [
        message.model_dump(include={"role", "tool_calls"}),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"},
    ]
    client.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=tools)

    first, second = provider.chats(model=CHAT_MODEL)[-2:]
    assert "The cat is Felix." in first.user_text
    assert second.user_text == first.user_text
    assert len(searches(provider)) == 1


def test_auto_asks_the_model_for_a_broad_question_only(extended: Proxy, provider: Provider, user: str) -> None:
    remember(extended, user, FELIX)
    provider.answer(Answer(model=MEMORY_MODEL, tool_calls=(report({"text": "Has a cat.", "memory_ids": ["m1"]}),)))
    ask(extended, user, "What is my cat called?", recall_strategy="auto", session_timeout_seconds=600)
    assert searches(provider) == []
    reply = ask(extended, user, "What do you know about me?", recall_strategy="auto")
    assert reply.memory_status == "ok"
    assert len(searches(provider)) == 1
    assert "> Has a cat.\n" in block(provider)

    def chosen() -> list[str]:
        return re.findall(r" strategy=auto:(\w+) ", extended.log)[-2:]

    eventually(chosen, "the log says what was chosen", until=["low_latency", "agentic"].__eq__)


def test_the_api_tells_of_each_step_of_a_model(extended: Proxy, provider: Provider, user: str) -> None:
    provider.answer(Answer(when=FELIX, text="A fine name."))
    remember(extended, user, FELIX)
    session = sdk(extended).get_user(user).create_session()
    session.add_message(MessageRole.USER, "What do you know about my cat?")
    script(
        provider,
        call("search_memories", query="cat", k=1),
        report({"text": "The user's cat is called Felix.", "memory_ids": ["m1"]}),
    )

    *told, final = session.get_context_stream(recall_strategy=RecallStrategy.AGENTIC)

    said = [event.status_update_message or "" for event in told]
    assert said[0] == "Searching memory"
    assert len(said) >= 3, "the search without a model, and each step of the model"
    assert final.error_message is None
    assert "<findings>" in (final.context or "")
    assert final.metadata is not None
    assert final.metadata.agent_reasoning == "The user's cat is called Felix."
    assert final.metadata.recall_strategy_used is RecallStrategy.AGENTIC
