"""What of a user message the user said, client by client, and what is left alone."""

from __future__ import annotations

import random
import time
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.own_words import own_words, repeated_blocks, said_to_tool

DETAILS = "<environment_details>\n# Time 10:41:07\n# Open tabs a.js, b.js\n</environment_details>"

CASES = {
    "plain": (["Why is the build red?"], "Why is the build red?"),
    "Cline, the task": ([f"<task>Add a deploy script</task>\n\n{DETAILS}"], "Add a deploy script"),
    "Cline, parts": (["<task>\nAdd a deploy script\n</task>", DETAILS], "Add a deploy script"),
    "Cline, details alone": ([DETAILS], ""),
    "Cline, with an attribute": (['<user_input mode="act">Rename it</user_input>'], "Rename it"),
    "Cline, a mention": (
        ["<task>Look at 'a.py'</task>\n\n<file_content path=\"a.py\">\nprint(1)\n</file_content>"],
        "Look at 'a.py'",
    ),
    "Roo": (["<user_message>\nFix the test\n</user_message>\n" + DETAILS], "Fix the test"),
    "Roo, a tool's file": (["[read_file for 'a.py'] Result:\nprint(1)"], ""),
    "Cline, a tool's result in the next part": (["[list_files for 'src'] Result:", "a.py\nb.py", DETAILS], ""),
    "Cline, two results": (
        ["[read_file for 'a'] Result:", "1", "[read_file for 'b'] Result:", "2", "Go on."],
        "Go on.",
    ),
    "Cline, a command of two lines": (["[execute_command for 'cd a\nls [b]'] Result:\n\nc.py\n\n" + DETAILS], ""),
    "Cline, an answer": (
        ["[ask_followup_question for 'Which port?'] Result:", "<answer>\nPort 22\n</answer>", DETAILS],
        "Port 22",
    ),
    "Cline, refused with a reason": (
        [
            "[write_to_file for 'a.sh'] Result:",
            "The user denied this operation.\nThe user provided the following feedback:\n"
            "<feedback>\nCall it b.sh\n</feedback>",
        ],
        "Call it b.sh",
    ),
    "Roo, after completion": (
        ["[attempt_completion] Result:\n\n<user_message>\nNow the docs\n</user_message>\n\n" + DETAILS],
        "Now the docs",
    ),
    "Cline, a file with such tags": (
        ["[read_file for 'a.xml'] Result:", "<form>\n<answer>42</answer>\n</form>\n<feedback>none</feedback>"],
        "",
    ),
    "Cline, resumed": (
        [
            "[TASK RESUMPTION] This task was interrupted 5 minutes ago.\n\n"
            "New instructions for task continuation:\n<user_message>\nSkip the tests\n</user_message>"
        ],
        "Skip the tests",
    ),
    "Cline, no tool": (["[ERROR] You did not use a tool in your previous response! Please retry.", DETAILS], ""),
    "Cline, list of steps": (
        ["<task>\nAdd a test\n</task>", "\n# task_progress RECOMMENDED\n\nWhen starting a new task, …", DETAILS],
        "Add a test",
    ),
    "a stamp that is no result": (["[note for 'Ana'] The result: 3"], "[note for 'Ana'] The result: 3"),
    "Cursor, at the beginning": (
        ["<user_info>\nOS: darwin\n</user_info>\n\n<git_status>\nOn branch a\n</git_status>\n\n<rules>\nb\n</rules>"],
        "",
    ),
    "one tag that anybody may use": (["<rules>\nNo meat.\n</rules>"], "<rules>\nNo meat.\n</rules>"),
    "Codex in an editor": (
        ["# Context from my IDE setup:\n\n## Open tabs:\n- a.ts: a.ts\n\n## My request for Codex:\nFix the bug\n"],
        "Fix the bug",
    ),
    "Codex in an editor, files": (
        ["# Files mentioned by the user:\n\n## a.png: /tmp/a.png\n\n## My request for Codex:\nWhat is it?\nAnd why?"],
        "What is it?\nAnd why?",
    ),
    "Codex, a skill": (["<skill>\n<name>pdf</name>\n<path>/a/SKILL.md</path>\nUse it.\n</skill>"], ""),
    "Gemini CLI, older": (
        ["This is the Gemini CLI. We are setting up the context for our chat.\nToday's date is …"],
        "",
    ),
    "Aider, files": (
        ["I have *added these files to the chat* so you can go ahead and edit them.\n\na.py\n```\nx = 1\n```"],
        "",
    ),
    "Aider, map": (["Here are summaries of some files present in my git repository.\nDo not propose changes."], ""),
    "Aider, summary": (["I spoke to you previously about a number of things.\nYou helped me with a parser."], ""),
    "Roo, an MCP tool": (["[mcp_tool: github/search] Result:", "3 issues", DETAILS], ""),
    "Open WebUI, old retrieval": (
        [
            "Use the following context as your learned knowledge, inside <context></context> XML tags.\n<context>\n"
            "Query: none\n</context>\n\nWhen answer to user:\n- Say it.\n\n"
            "Given the context information, answer the query.\nQuery: Who won?"
        ],
        "Who won?",
    ),
    "LlamaIndex": (
        [
            "Context information is below.\n---------------------\nQuery: none\n---------------------\n"
            "Given the context information and not prior knowledge, answer the query.\nQuery: Who won?\nAnswer: "
        ],
        "Who won?",
    ),
    "LangChain": (
        [
            "Use the following pieces of context to answer the question at the end. If you don't know, say so.\n\n"
            "a\n\nQuestion: Who won?\nAnd when?\nHelpful Answer:"
        ],
        "Who won?\nAnd when?",
    ),
    "LangChain, only the context": (
        ["Answer the question based only on the following context:\na\n\nQuestion: Who won?\n"],
        "Who won?",
    ),
    "LangChain, context behind": (
        [
            "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to "
            "answer the question.\nQuestion: Who won? \nContext: a\nQuestion: b\nAnswer:"
        ],
        "Who won?",
    ),
    "Claude Code, reminder": (["<system-reminder>The task list was not used recently.</system-reminder>"], ""),
    "Claude Code, reminder behind words": (
        ["Run the tests again.", "<system-reminder>\nBe brief.\n</system-reminder>\n"],
        "Run the tests again.",
    ),
    "Claude Code, slash command": (
        [
            "<command-name>/review</command-name>\n<command-message>review</command-message>\n"
            "<command-args>only the parser</command-args>"
        ],
        "only the parser",
    ),
    "Claude Code, interrupted": (["[Request interrupted by user for tool use]"], ""),
    "Claude Code, compacted": (["This session is being continued from a previous conversation that ran out…"], ""),
    "Codex, instructions": (
        ["# AGENTS.md instructions for /home/dev/p\n\n<INSTRUCTIONS>\nAlways use tabs.\n</INSTRUCTIONS>"],
        "",
    ),
    "Codex, environment": (["<environment_context>\n  <cwd>/home/dev/p</cwd>\n</environment_context>"], ""),
    "Gemini CLI": (
        ["Explain @a.py", "--- Content from referenced files ---\nprint(1)\n--- End of content ---"],
        "Explain @a.py",
    ),
    "opencode": (
        ["What is in it?", 'Called the Read tool with the following input: {"path":"a"}', "<file>\n1: x\n</file>"],
        "What is in it?",
    ),
    "Cursor": (
        [
            "<additional_data>\n<open_files>a</open_files>\n</additional_data>\n\n"
            "<user_query>\nAdd a test\n</user_query>"
        ],
        "Add a test",
    ),
    "Copilot": (
        [
            "<attachments>\nfile a\n</attachments>\n<context>\nToday\n</context>\n"
            "<userRequest>\nRename it\n</userRequest>"
        ],
        "Rename it",
    ),
    "Open WebUI, retrieval": (
        [
            "### Task:\nRespond to the user query using the provided context, with citations.\n\n<context>\n"
            '<source id="1">four weeks</source>\n</context>\n\nWhat is the notice period?\n'
        ],
        "What is the notice period?",
    ),
    "LibreChat, a file": (["Attached document(s):\n```md\n# A\ntext\n```\nSum it up."], "Sum it up."),
    "LobeChat": (
        ["Sum it up.\n<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->\n<files>a</files>\n<!-- END SYSTEM CONTEXT -->"],
        "Sum it up.",
    ),
    "Gemini CLI, parts": (
        ["Explain @a.md", "\n--- Content from referenced files ---", "# Title", "\n--- End of content ---", "briefly"],
        "Explain @a.md\nbriefly",
    ),
    "Codex, review": (["<user_action>\n<context>The user began a review.</context>\n</user_action>"], ""),
    "line ends of Windows": (["<system-reminder>\r\nBe brief.\r\n</system-reminder>\r\nHello"], "Hello"),
    "Cherry Studio": (
        ["Please answer…\n\n## My question is:\n\nWho won?\n\n## Reference Materials:\n\n[1] a page"],
        "Who won?",
    ),
    "Dify": (
        ["<context>\nfour weeks\n</context>\n<histories>\nHuman: hi\n</histories>\n\nHuman: And in May?\n\nAssistant:"],
        "And in May?",
    ),
}

KEPT = {
    "a tag in a sentence": "What does <system-reminder> mean in its requests?",
    "a block in a line": "It says -> <system-reminder>Be brief.</system-reminder>, why?",
    "a block in code": "Why does this break?\n```xml\n<environment_details>\na\n</environment_details>\n```",
    "a tag that is not closed": "<system-reminder> is what I see in the log",
    "everyday tag, alone": "<context>\nMy own text.\n</context>",
    "markup of the user's": "<div>\n<p>Hello</p>\n</div>\nWhy is there a gap?",
    "a task quoted": "Please explain this file:\n<task>build</task>\nand what it does.",
    "a client's mark that is not closed": "--- Content from referenced files ---\nwhat does this line mean?",
    "a summary heading in the middle": "I wrote:\n## Conversation Summary\nis that good?",
}


@pytest.mark.parametrize(("parts", "said"), CASES.values(), ids=CASES)
def test_of_each_clients_message_the_users_words_are_left(parts: list[str], said: str) -> None:
    assert own_words(parts) == said


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_the_user_quotes_is_kept(text: str) -> None:
    assert own_words([text]) == text


def test_a_setting_adds_tags() -> None:
    text = "<our_crm>\nPlan: gold\n</our_crm>\nCan I cancel?"
    assert own_words([text]) == text
    assert own_words([text], more_tags={"our_crm"}) == "Can I cancel?"


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("<now_playing>\nSong {}\nVolume 7, shuffle on\n</now_playing>\nSkip this one {}", ("a", "b", "c")),
        ("[Mon 3 Nov 2025 10:{}] When is my train {}?", ("41", "42", "43")),
        ("[Fr., 7. Nov. 2025, 10:{}] Wann fährt mein Zug {}?", ("41", "42", "43")),
        ("[Nov 3, 2025 10:{} AM] When is my train {}?", ("41", "42", "43")),
        ("[10:{0}] [Ana] When is my train {1}?\n[message_id: {0}]", ("41", "42", "43")),
        ("<контекст>\nпогода {}\n</контекст>\nКак дела {}?", ("41", "42", "43")),
        ("<app:state>\nbattery {}\n</app:state>\nStop {}", ("41", "42", "43")),
        ("<time>10:{}</time> Turn on the light {}", ("41", "42", "43")),
        ("Where is it {1}?\n<screen_state>\ntab {0}, cursor in line 17 of main.c\n</screen_state>", ("4", "5", "6")),
    ],
    ids=[
        *("element in front", "stamp", "German stamp", "half a day", "three stamps", "Cyrillic", "namespace"),
        *("element in the line", "element behind"),
    ],
)
def test_a_block_that_comes_back_with_small_changes_is_the_clients(template: str, values: tuple[str, ...]) -> None:
    messages = [[template.format(value, value)] for value in values]
    repeated = repeated_blocks(messages)
    for message, value in zip(messages, values, strict=True):
        said = own_words(message, repeated=repeated)
        assert value in said
        assert not said.startswith(("<", "["))
        assert not said.endswith("]")
        assert ">" not in said


def test_blocks_that_differ_or_stand_alone_are_the_users() -> None:
    pasted = [["<a>\nfirst poem about the sea\n</a>\nBetter?"], ["<a>\n12345 67890 xyz qqq\n</a>\nAnd this?"]]
    assert repeated_blocks(pasted) == frozenset()
    assert repeated_blocks([["<note>\nsame\n</note>"]] * 3) == frozenset(), "there is nothing beside it"


@given(st.text())
def test_any_text_without_marks_is_the_users(text: str) -> None:
    plain = text.replace("<", "(").replace("[", "(").replace("#", "")
    assert own_words([plain]) == plain


def test_a_long_text_of_unclosed_tags_is_read_once() -> None:
    text = "".join(f"<t{number % 50}>\nline\n" for number in range(50_000))
    assert own_words([text]) == text


@pytest.mark.parametrize(
    "text",
    [
        "<history>\n" * 20_000,
        "### Task:\nRespond to the user query using the provided context\n" + "a\n" * 100_000,
        "## My question is:\n" * 10_000,
        "## My question is:" + "\n" * 200_000,
        "<histories></histories>" + "Human: \n" * 20_000,
        "# AGENTS.md instructions\n</INSTRUCTIONS>\n" * 5_000,
        "</a> in\n" + "```code\n" * 25_000,
        "<t>\n" * 2_000 + "</t" + "\n" * 200_000 + "!",
        "</t>\n" + "".join(f"<t{number}>\n" for number in range(50_000)),
    ],
    ids=[
        *("Dify", "Open WebUI", "Cherry Studio", "Cherry Studio, empty", "Dify, turns", "Codex"),
        *("unclosed code", "a tag broken off", "unclosed tags"),
    ],
)
def test_no_text_that_only_looks_like_a_clients_holds_up_the_others(text: str) -> None:
    begun = time.process_time()
    own_words([text])
    assert time.process_time() - begun < 2


def test_many_blocks_that_are_not_alike_are_compared_quickly() -> None:
    letters = random.Random(1)
    messages = [
        [
            "hello\n"
            + "\n".join(f"<k{key}>{''.join(letters.choices(ascii_lowercase, k=1_000))}</k{key}>" for key in range(18))
        ]
        for _ in range(10)
    ]
    begun = time.process_time()
    assert not repeated_blocks(messages)
    assert time.process_time() - begun < 2


def test_a_date_that_changes_is_a_small_change() -> None:
    assert repeated_blocks([["<today>2026-11-30 Monday</today>\nHi"], ["<today>2026-12-01 Tuesday</today>\nAnd now?"]])


@pytest.mark.parametrize(
    ("tool", "result", "said"),
    [
        ("ask_followup_question", "<answer>\nParquet\n</answer>", "Parquet"),
        ("attempt_completion", "<user_message>\nNow the docs\n</user_message>", "Now the docs"),
        (
            "write_file",
            "The user denied this operation and gave this:\n<feedback>\nNot there\n</feedback>",
            "Not there",
        ),
        ("read_file", "<answer>\n42\n</answer>", ""),
        ("read_file", "# Notes\nThe user wrote:\n<feedback>\nGood\n</feedback>", ""),
        ("ask_followup_question", "The user is away.", ""),
    ],
)
def test_what_the_user_wrote_in_the_result_of_a_tool(tool: str, result: str, said: str) -> None:
    assert said_to_tool(result, tool) == said
