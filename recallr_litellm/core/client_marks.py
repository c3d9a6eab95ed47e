"""What clients put into user messages for the model: the marks by which such text is told from the user's own words.

Seen in the clients' public code, or reported by several people who read their requests. A mark is used only where it
stands as a client writes it, at the beginning of a line: users quote these tags too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

USERS_TAGS = frozenset(
    {
        "task",  # Cline, Roo, Kilo (old): the task that the user typed
        "user_message",  # Roo
        "user_input",  # Cline
        "feedback",  # Cline, Roo: what the user typed while a tool was proposed
        "answer",  # Cline, Roo: the reply to a follow-up question
        "user_query",  # Cursor, Open WebUI (old)
        "userrequest",  # VS Code Copilot
        "command-args",  # Claude Code: what follows a slash command
    }
)
"""Tags around what the user wrote. Lower case."""

CLIENTS_TAGS = frozenset(
    {
        # Claude Code, opencode, Roo
        "system-reminder",
        "system_reminder",
        "command-name",
        "command-message",
        "command-contents",
        "local-command-stdout",
        "local-command-stderr",
        "local-command-caveat",
        "user-prompt-submit-hook",
        "bash-input",
        "bash-stdout",
        "bash-stderr",
        "task-notification",
        "ide_opened_file",
        "ide_selection",
        # Roo, Cline, Kilo
        "environment_details",
        "git_working_state",
        "mode_notice",
        "file_content",
        "folder_content",
        "explicit_instructions",
        "user_command",
        # Codex
        "environment_context",
        "user_instructions",
        "user_shell_command",
        "turn_aborted",
        "subagent_notification",
        "codex_internal_context",
        "user_action",
        "goal_context",
        "extension_context",
        "permissions_instructions",
        # Gemini CLI
        "session_context",
        "hook_context",
        # Cursor
        "additional_data",
        "open_and_recently_viewed_files",
        "attached_files",
        "agent_transcripts",
        "agent_skills",
        "image_files",
        # VS Code Copilot
        "editorcontext",
        "repocontext",
        "reminderinstructions",
        "toolreferences",
        "environment_info",
        "workspace_info",
        # Chatbox
        "attachment_file",
        # OpenAI Agents SDK, Open WebUI
        "conversation history",
        "chat_history",
    }
)
"""Tags around what a client adds, whose names nobody would choose for a text of their own. Lower case."""

CLIENTS_TAGS_BESIDE = frozenset(
    {
        "context",
        "attachments",
        "rules",
        "git_status",
        "user_info",
        "timestamp",
        "skill",
        "histories",
        "documents",
        "source",
    }
)
"""Tags with names that a user may choose as well: left out only beside what the user wrote, in front of it, or where
another mark shows that a client has built the message. Lower case."""


@dataclass(frozen=True, slots=True)
class Span:
    """Text from one mark to another."""

    client: str
    opening: re.Pattern[str]
    closing: re.Pattern[str]


def _span(client: str, opening: str, closing: str) -> Span:
    return Span(client, re.compile(opening, re.MULTILINE), re.compile(closing, re.MULTILINE))


CLIENTS_SPANS = (
    _span("Codex", r"^# AGENTS\.md instructions(?: for .*)?$", r"</INSTRUCTIONS>"),
    _span("Gemini CLI", r"^--- Content from referenced files ---$", r"^--- End of content ---$"),
    _span("LobeChat", r"^<!-- SYSTEM CONTEXT \(NOT PART OF USER QUERY\) -->", r"<!-- END SYSTEM CONTEXT -->"),
    _span("LibreChat", r"\AAttached document\(s\):\s*\n```md\n", r"^```$"),
    _span("AnythingLLM", r"^\[CONTEXT \d+\]:", r"^\[END CONTEXT \d+\]$"),
)
"""Text that a client adds, between two marks that are no tags of one name."""

CLIENTS_OPENINGS = (
    "[Request interrupted by user",  # Claude Code
    "This session is being continued from a previous conversation",  # Claude Code, after compaction
    "Another language model started to solve this problem",  # Codex, after compaction
    "## Conversation Summary",  # Roo, after condensing
    "[ERROR] You did not use a tool",  # Cline, Roo
    "[TASK RESUMPTION]",  # Cline, Roo
    "<skill>\n<name>",  # Codex
    "This is the Gemini CLI. We are setting up the context for our chat.",  # Gemini CLI, older
    "I have *added these files to the chat*",  # Aider
    "Here are summaries of some files present in my git repository.",  # Aider
    "Here are some READ ONLY files, provided for your reference.",  # Aider
    "I am not sharing any files that you can edit yet.",  # Aider
    "I spoke to you previously about a number of things.",  # Aider, after summarising
    "# task_progress",  # Cline: the list of steps
    "# TODO LIST UPDATE REQUIRED",  # Cline
    "Here is the user's editor context",  # Gemini CLI
    "Here is a summary of changes in the user's editor context",  # Gemini CLI
    "Called the Read tool with the following input:",  # opencode; the part after it is what the tool returned
)
"""How a part begins that is a client's, but for what the user wrote in it between tags."""

_RESULT = re.compile(
    r"\A\s*\[(?P<tool>[a-z]+(?:_[a-z]+)*)(?:(?:[ ](?:for|to|in)[ ]|:[ ]).{0,2000}?)?\][ ]Result:(?P<result>.*)\Z",
    re.DOTALL,
)
"""Cline, Roo, Kilo: the result of a tool that the model called in its text. The result may be the next part."""

ASKING_TOOLS = frozenset({"ask_followup_question", "plan_mode_respond", "attempt_completion"})
"""Their results are what the user answered."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A part that is the result of a tool, in a user message."""

    text: str
    """"" where the next part holds it."""
    answers: bool
    """The tool asks the user."""


def tool_result(part: str) -> ToolResult | None:
    """The result of a tool that a part holds or announces; None for another part."""
    found = _RESULT.match(part)
    return ToolResult(found["result"].strip(), found["tool"] in ASKING_TOOLS) if found else None


_COMPACTION = re.compile(
    r"""\A[\s#*<\[]*(?:
        This\ session\ is\ being\ continued\ from\ a\ previous\ conversation  # Claude Code
        | Another\ language\ model\ started\ to\ solve\ this\ problem  # Codex
        | I\ spoke\ to\ you\ previously\ about\ a\ number\ of\ things  # Aider
        | What\ did\ we\ do\ so\ far\?  # opencode
        | state_snapshot>  # Gemini CLI
        | (?:(?:here|this|the\ following)(?:\ is|['’]s)\ )? (?:an?\ |the\ )? (?:\w+\ )?
            (?:summary|recap)\ of\ (?:(?:the|our|this|an?|your)\ )?(?:\w+\ )?(?:conversation|chat|session|discussion)
        | (?:\w+\ )? (?:conversation|chat|session)[\ _-](?:summary|so\ far|recap)  # Roo, and many that write their own
        | (?:the\ )?(?:\w+\ )?(?:conversation|chat|session)\ (?:history\ )?(?:before|up\ to|until)\ this\ point  # pi
        | (?:context|summary)\ (?:from|of)\ (?:(?:the|our)\ )?(?:earlier|previous)
            \ (?:conversation|chat|session|messages)
        | (?:summary|context_summary)>  # Anthropic's SDK
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def is_compaction(text: str) -> bool:
    """Whether a message stands for the conversation before it, which the client no longer sends."""
    return _COMPACTION.match(text) is not None


RESULT_FOLLOWS = "Called the Read tool with the following input:"
"""After a part that begins like this, the next one is what the tool returned."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of a client's making, in which the user's words have one place."""

    client: str
    known_by: re.Pattern[str]
    words: re.Pattern[str]
    """Its group `words` is what the user wrote."""


FRAMES = (
    Frame(
        "Codex in an editor",
        re.compile(r"\A\s*# (?>.*?^## My request for Codex:)", re.MULTILINE | re.DOTALL),
        re.compile(r"\A(?>.*?^## My request for Codex:)(?P<words>.*)\Z", re.MULTILINE | re.DOTALL),
    ),
    Frame(
        "Open WebUI, retrieval",
        re.compile(r"\A### Task:\s*\nRespond to the user query using the provided context"),
        re.compile(r"\A.*</context>\s*(?:<user_query>)?(?P<words>.*?)(?:</user_query>\s*)?\Z", re.DOTALL),
    ),
    Frame(
        "Cherry Studio, retrieval",
        re.compile(r"^## My question is:", re.MULTILINE),
        re.compile(r"\A(?>.*?^## My question is:)(?P<words>.*?)^## Reference Materials:", re.MULTILINE | re.DOTALL),
    ),
    Frame(
        "LlamaIndex, retrieval",
        re.compile(r"\AContext information is below\.\s*\n-{5,}"),
        re.compile(r"\A.*^Query: (?P<words>.*?)(?:^Answer:\s*)?\Z", re.MULTILINE | re.DOTALL),
    ),
    Frame(
        "LangChain, retrieval",
        re.compile(
            r"\A(?:Use the following pieces of (?:retrieved )?context to answer the"
            r"|Answer (?:the )?question based only on the following context)"
        ),
        re.compile(r"\A.*^Question: (?P<words>.*?)(?:^(?:Helpful )?Answer:\s*)?\Z", re.MULTILINE | re.DOTALL),
    ),
    Frame(
        "LangChain, retrieval behind the question",
        re.compile(r"\A(?:Human: )?You are an assistant for question-answering tasks\. Use the following pieces of"),
        re.compile(r"\A(?>.*?^Question: )(?P<words>.*?)^Context:", re.MULTILINE | re.DOTALL),
    ),
    Frame(
        "Dify",
        re.compile(r"\A(?>.*?<histor(?:y|ies)>).*</histor(?:y|ies)>", re.DOTALL),
        re.compile(r"\A.*^Human: (?P<words>.*?)(?:^Assistant:\s*)?\Z", re.MULTILINE | re.DOTALL),
    ),
    Frame(
        "Open WebUI, old retrieval",
        re.compile(r"\AUse the following context as your learned knowledge"),
        re.compile(r"\A(?>.*</context>).*?^Query: (?P<words>.*)\Z", re.MULTILINE | re.DOTALL),
    ),
)
"""Each is tried once, from the beginning: a pattern that may begin anywhere costs the square of a long text."""
