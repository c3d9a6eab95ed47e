"""A model is asked for JSON by the best way that it knows, which is remembered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from recallr_litellm.errors import ModelBusy, ModelRefused, ModelSlow, ModelUnavailable
from recallr_litellm.litellm_host import json_answers
from recallr_litellm.litellm_host.json_answers import write_json

SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
MESSAGES = [{"role": "user", "content": "What?"}]


class Refused(Exception):
    def __init__(self, status: int, **more: Any) -> None:
        self.status_code = status
        self.__dict__.update(more)


class Router:
    """Knows some ways, and refuses the others."""

    def __init__(self, *ways: str, answer: str = "{}", finish: str = "stop", refuses_with: int = 400) -> None:
        self.refuses_with = refuses_with
        self.ways = ways
        self.answer = answer
        self.finish = finish
        self.asked: list[str] = []

    async def acompletion(self, **arguments: Any) -> Any:
        format = arguments.get("response_format", {}).get("type")
        way = "tool" if "tools" in arguments else format or "words"
        self.asked.append(way)
        if way not in self.ways:
            raise Refused(self.refuses_with)
        call = SimpleNamespace(function=SimpleNamespace(arguments=self.answer))
        message = SimpleNamespace(
            tool_calls=[call] if way == "tool" else None, content=None if way == "tool" else self.answer
        )
        choice = SimpleNamespace(message=message, finish_reason=self.finish)
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(total_tokens=7))


async def asked(monkeypatch: pytest.MonkeyPatch, router: Any, model: str) -> Any:
    monkeypatch.setattr(json_answers, "router", lambda _error: router)
    return await write_json(model, MESSAGES, SCHEMA, name="facts", max_tokens=10)


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("known", ["json_schema", "tool", "json_object", "words"])
async def test_the_best_way_that_works_is_found_and_remembered(
    known: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = ["json_schema", "tool", "json_object", "words"]
    router = Router(known, answer='{"facts": []}', refuses_with=status)
    first = await asked(monkeypatch, router, f"only {known} {status}")
    assert (first.text, first.tokens, first.cut_off) == ('{"facts": []}', 7, False)
    assert router.asked == ladder[: ladder.index(known) + 1]
    await asked(monkeypatch, router, f"only {known} {status}")
    assert router.asked[-1] == known
    assert len(router.asked) == ladder.index(known) + 2


async def test_a_text_that_no_way_brings_through_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelRefused):
        await asked(monkeypatch, Router(), "none")


async def test_an_answer_that_ran_out_of_tokens_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await asked(monkeypatch, Router("json_schema", finish="length"), "short")).cut_off


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused(429), ModelBusy),
        (Refused(408), ModelSlow),
        (Refused(500), ModelUnavailable),
        (ConnectionError("secret text"), ModelUnavailable),
    ],
)
async def test_outages_are_told_from_refusals_without_the_text(
    error: Exception, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        async def acompletion(self, **_: Any) -> Any:
            raise error

    with pytest.raises(kind) as raised:
        await asked(monkeypatch, Failing(), "failing")
    assert "secret" not in str(raised.value)


async def test_the_pause_that_a_provider_names_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        async def acompletion(self, **_: Any) -> Any:
            raise Refused(429, litellm_response_headers={"retry-after": "12"})

    with pytest.raises(ModelBusy) as raised:
        await asked(monkeypatch, Busy(), "busy")
    assert raised.value.retry_after == 12.0


async def test_an_empty_answer_says_nothing_about_what_the_model_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router("json_schema", "tool", "json_object", "words", answer="")
    assert (await asked(monkeypatch, router, "empty once")).text == ""
    router.answer = "{}"
    await asked(monkeypatch, router, "empty once")
    assert router.asked == ["json_schema", "tool", "json_object", "words", "json_schema"]


async def test_tokens_are_estimated_where_the_provider_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Router):
        async def acompletion(self, **arguments: Any) -> Any:
            answer = await super().acompletion(**arguments)
            return SimpleNamespace(choices=answer.choices)

    assert (await asked(monkeypatch, Silent("json_schema"), "silent")).tokens > 0
