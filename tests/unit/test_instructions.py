"""The static text that tells the model how to use its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from recallr_litellm.core.context import render
from recallr_litellm.core.instructions import instructions
from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.options import Strategy
from recallr_litellm.core.recalled import OngoingSession, Recalled, RecalledPassage, RecalledSummary
from recallr_litellm.core.records import Session


@pytest.mark.parametrize("strategy", Strategy)
def test_the_text_is_the_same_in_every_process(strategy: Strategy) -> None:
    code = (
        "import sys; from recallr_litellm.core.instructions import instructions;"
        f"sys.stdout.buffer.write(instructions({strategy.value!r}).encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert other.stdout.decode() == instructions(strategy), "a changed byte costs the provider's prompt cache"


@pytest.mark.parametrize("strategy", Strategy)
def test_the_text_is_short(strategy: Strategy) -> None:
    words = len(instructions(strategy).split())
    assert 120 <= words <= 260, f"{words} words, paid for in every request"


@pytest.mark.parametrize("strategy", Strategy)
def test_the_text_names_the_sections_as_the_block_does(strategy: Strategy) -> None:
    stored = StoredMessage(
        id="a" * 32, exchange="e", position=1, at=0, message=Message(role="user", text="Hello there")
    )
    other = stored.model_copy(update={"id": "b" * 32})
    recent = stored.model_copy(update={"id": "c" * 32})
    session = Session(id="s", created_at=0, last_at=0, timeout_seconds=600, message_count=1, summary="Said hello")
    block = render(
        Recalled(
            passages=(RecalledPassage("s", "m", 0, 0, "user", 0, "Hello", 0.9),),
            summaries=(RecalledSummary("t", 0, 0, "Hello", 0.9),),
            last_messages=(("s", recent),),
            last_summaries=(session,),
        ),
        ongoing=[OngoingSession("o", (other,))],
        unseen=[stored],
        now=datetime(2025, 11, 22, tzinfo=UTC),
        timezone=ZoneInfo("UTC"),
        budget=1000,
        count_tokens=len,
    ).text
    text = instructions(strategy)
    assert "`<recallr_memory …>`" in text
    assert block.startswith("<recallr_memory ")
    for name in ("earlier in this conversation", "other open conversation", "memories", "summaries"):
        assert f'"{name}"' in text, f"the text does not explain {name}"
        assert f"<{name}" in block, f"the block has no {name}"
    assert '"recent …"' in text
    assert "<recent messages" in block
    assert "<recent summaries" in block
