"""Memory through OpenAI's package for Node: chat and responses, whole and streamed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.memory import SHORT, Memory
from tests.support.process import clean_environment
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import CHAT_MODEL, ONCE_KNOWN, Proxy
from tests.support.shown import parted, shown

SCRIPTS = Path(__file__).with_name("node")
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}


Told = list[dict[str, Any]]
Tell = Callable[..., Told]
"""Has the SDK make requests, each given as what its script takes, and returns what the SDK made of them."""

both_apis = pytest.mark.parametrize("api", PATHS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def node(proxy: Proxy, tmp_path: Path) -> Tell:
    program, modules = shutil.which("node"), os.environ.get("TEST_NODE_MODULES")
    if not (program and modules):
        pytest.skip("needs Node and, in TEST_NODE_MODULES, a node_modules folder with `openai`")
    folder = Path(shutil.copytree(SCRIPTS, tmp_path / "node"))
    (folder / "node_modules").symlink_to(modules)

    def tell(api: str, *requests: dict[str, Any]) -> Told:
        given = {"baseURL": f"{proxy.url}/v1", "apiKey": proxy.master_key, "requests": requests}
        command = [str(program), str(folder / f"{api}.mjs"), json.dumps(given)]
        ran = subprocess.run(
            command, env=clean_environment({}), capture_output=True, text=True, check=False, timeout=120
        )
        assert ran.returncode == 0, f"the script has failed: {ran.stderr}"
        told: Told = json.loads(ran.stdout)
        return told

    return tell


def request(proxy: Proxy, user: str, words: str, *, stream: bool, script: Any = None, **options: object) -> Any:
    """A request of one user message; `script` is more of what the script takes, the options are Recallr headers."""
    turns = [{"role": "user", "content": words}]
    return {
        "model": CHAT_MODEL,
        "turns": turns,
        "stream": stream,
        "headers": proxy.headers(user, **options),
        **(script or {}),
    }


def check_headers(headers: dict[str, str], names: set[str], *, status: str) -> None:
    """Check that a response has exactly these Recallr headers."""
    found = {name: value for name, value in headers.items() if name.startswith("x-recallr-")}
    assert set(found) == names, f"the Recallr headers of the response are {found}"
    assert found["x-recallr-memory-status"] == status, found


@both_apis
@whole_and_streamed
def test_a_later_session_recalls_an_earlier_one_also_in_a_tool_turn(
    proxy: Proxy, provider: Provider, node: Tell, user: str, api: str, stream: bool
) -> None:
    memory = Memory(proxy)
    fact = "My cat is called Félix 🦊 and we live in Oslo."
    provider.answer(Answer(text="Nice to — meet you."))
    [first] = node(api, request(proxy, user, fact, stream=stream, session_timeout_seconds=SHORT))
    assert first["text"] == "Nice to — meet you."
    check_headers(first["headers"][0], ONCE_KNOWN, status="empty")
    session = first["headers"][0]["x-recallr-session-id"]
    memory.wait_processed(user, session)
    provider.clear()

    calls = tuple(ToolCall(name="weather", arguments=f'{{"city": "{city}"}}') for city in ("Oslo", "Bergen"))
    provider.answer(Answer(text="Félix."), Answer(tool_calls=calls), Answer(text="Wet."))
    recalled, with_tools = node(
        api,
        request(proxy, user, "What is my cat called?", stream=stream),
        request(proxy, user, "The weather where I live?", stream=stream, script={"tools": True}),
    )
    assert (recalled["text"], with_tools["text"]) == ("Félix.", "Wet.")
    assert len(with_tools["headers"]) == 2, "the call of the tool and its result are two requests"
    for headers in (*recalled["headers"], *with_tools["headers"]):
        check_headers(headers, ONCE_KNOWN, status="ok")
        assert headers["x-recallr-user-id"] == user
        assert headers["x-recallr-session-id"] != session
    assert {each.path for each in provider.recorded} == {PATHS[api]}
    asked, calling, bringing = map(shown, provider.recorded)
    before, block, words = parted(asked.question)
    assert (before, words) == ("", "\n\nWhat is my cat called?"), "the user's words follow the block, as they were"
    assert fact in block
    assert "Félix" not in asked.system, "memory is never in a privileged role"
    assert fact in parted(calling.question)[1]
    assert bringing.said[0] == calling.said[-1], "the question stays as it was, the block in it included"
    assert [kind for kind, _ in bringing.said[1:]] == ["call", "call", "result", "result"]
    said = memory.only(user).said
    assert said[:3] == [
        ("user", "What is my cat called?"),
        ("assistant", "Félix."),
        ("user", "The weather where I live?"),
    ]
    assert said[-3:] == [("tool", "rain in Oslo"), ("tool", "rain in Bergen"), ("assistant", "Wet.")]
    assert len(said) == 7
