"""Calls that only serve the client: titles, tags, follow-ups, summaries of the running chat, probes, code completion.

Such a call is no turn of the user's conversation: nothing is recalled for it and nothing of it is kept. Rules, surest
first; where none speaks, the call is a real turn:

1. The client says so in a header.
2. It completes the middle of code: a `suffix`, or the marks of a model's fill-in-the-middle.
3. It opens as a known client's helper call does, in its last user message or in its system message.
4. It is one short message of a known probe, answered with one token at most. A classifier that asks for one token is
   no probe: it has something to classify.
5. It quotes the running conversation: what `quotes` finds of the session's messages in one user message, beside an
   instruction. A transcript that the user pastes from elsewhere is a real turn, and so is a prompt that leaves the
   assistant's line open or holds the user's words in a known place: such clients write the whole chat into one message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from recallr_litellm.core.client_marks import FRAMES
from recallr_litellm.core.own_words import own_words
from recallr_litellm.core.placeholders import is_placeholder


@dataclass(frozen=True, slots=True)
class CallShape:
    """What a request shows of its purpose."""

    system: str = ""
    """Text of the system messages, as the client wrote them."""
    last_user: str = ""
    """Text of the last user message, as the client wrote it."""
    first_user: str = ""
    """Text of the first user message."""
    lone: bool = False
    """The request has one message, beside system messages."""
    max_tokens: int | None = None
    has_suffix: bool = False
    """The `suffix` of a completion is set."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers, names in lower case."""


CLASS_HEADER = "x-claude-code-request-class"

_CLASSES = frozenset({"auxiliary", "compaction", "subagent"})
"""Values of that header that are no turn of the user's: https://code.claude.com/docs/en/llm-gateway-protocol"""

MARKING_HEADERS = (
    "x-claude-code-agent-id",  # Claude Code: a subagent, whose words are the agent's
    "x-claude-code-compaction",
    "x-openai-subagent",  # Codex: review, compact, memory_consolidation, collab_spawn
    "x-parent-session-id",  # opencode, Kilo: a subagent
    "x-openwebui-task",  # Open WebUI, where its connection sets `{{TASK}}`
)

_MARKS = (
    # StarCoder, StableCode, Granite, Mellum
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>", "<repo_name>", "<filename>", "<reponame>"),
    ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),  # Seed-Coder
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|repo_name|>"),  # Qwen-Coder, CodeGemma
    ("<PRE>", "<SUF>", "<MID>"),  # CodeLlama
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    ("[SUFFIX]", "[PREFIX]"),  # Codestral
    ("<|code_suffix|>", "<|code_prefix|>", "<|code_middle|>", "###MODE:BLOCK"),  # CodeGeeX
)
"""The marks of fill-in-the-middle, by the family of models. A prompt begins with one and holds another."""

_OPEN_WEBUI = re.compile(
    r"""\#\#\#\ Task:[ ]*\n(?>\s*)(?!Respond\ to\ the\ user\ query) (?:
        Generate\ a\ concise,\ 3-5\ word | Generate\ 1-3\ broad\ tags | Suggest\ 3-5\ relevant\ follow-up
        | Analyze\ the\ chat\ history\ to\ determine | You\ are\ an\ autocompletion\ system
        | Summarize\ the\ conversation\ history | Generate\ a\ detailed\ prompt\ for
        | (?s:.*)<chat_history>
    )""",
    re.VERBOSE,
)
"""Open WebUI's templates, edited ones by the transcript in them: people begin their own prompts with that heading too.
The one that is excluded holds a real question and what was retrieved for it."""

_USER_OPENINGS = (
    # LibreChat
    "Provide a concise, 5-word-or-less title",
    "Analyze this conversation and provide:",
    # Chatbox
    "Based on the chat history, give this conversation a name",
    "Provide a detailed summary for continuing this conversation",
    # Continue
    "Given the following... please reply with a",
    # LangChain, Flowise
    "Given the following conversation and a follow up question, rephrase",
    "Given the following conversation and a follow-up question, rephrase",
    "Progressively summarize the lines of conversation provided",
    # LlamaIndex
    "Given a conversation (between Human and Assistant) and a follow up message from Human, rewrite",
    # NextChat
    "Summarize the discussion briefly in 200 words or less to use as a prompt for future context",
    # Open WebUI
    "Your task is to reflect the speaker's likely facial expression through a fitting emoji",
    # Dify
    "You are asked to generate a concise chat title",
    "Please help me predict the three most likely questions",
    # Claude Code
    "Analyze if this message indicates a new conversation topic",
    "Please write a 5-10 word title",
    "Your task is to process Bash commands",
    "Perform a web search for the query:",
    "Web page content:\n---",
    "[SUGGESTION MODE:",
    "Your task is to create a detailed summary of the conversation so far",
    "CRITICAL: Respond with TEXT ONLY",
    # Roo
    "CRITICAL: This summarization request is a SYSTEM OPERATION",
    "Generate an enhanced version of this prompt",
    # Cline
    "Summarize this session for continuation",
    # Codex
    "You are performing a CONTEXT CHECKPOINT COMPACTION",
    "<next_prompt_suggestion>",
    # opencode
    "Generate a title for this conversation:",
    "Provide a detailed prompt for continuing our conversation above",
    # Gemini CLI
    "Analyze *only* the content and structure of your immediately preceding response",
    "<state_snapshot>",
    "First, reason in your scratchpad. Then, generate the <state_snapshot>",
)
"""How the last user message of a helper call begins."""

_SYSTEM_OPENINGS = (
    "You are a title generator. You output ONLY a thread title",  # opencode
    "You are a professional conversation summarizer",  # LobeChat
    "You are an assistant skilled in conversation",  # Cherry Studio
    "You are an AI question rephraser",
    "You are a translation expert",
    "You are a helpful AI assistant tasked with summarizing conversations",  # Roo, Claude Code
    "Summarize the provided coding session",  # Cline
    "Summarize this coding conversation in under 50 characters",  # Claude Code
    "Generate a concise, sentence-case title (3-7 words)",
    "Analyze if this message indicates a new conversation topic",
    "Your task is to process Bash commands",
    "You are an expert in crafting pithy ",  # VS Code Copilot
    "You are an expert in crafting ultra-compact titles",
    "You are an expert in writing short, catchy, and encouraging progress messages",
    "*Briefly* summarize this partial conversation about programming.",  # Aider
    "You are an expert software engineer that generates concise, one-line Git commit messages",
    "You are a specialized Task Routing AI",  # Gemini CLI
    "You are a HOLE FILLER",  # code completion by a chat model
    "Detect user language and write in the same language an extremely concise title",  # LibreChat, old
    "Given a chat history and the latest user question which might reference context",  # LangChain
)
"""How the system message of a helper call begins."""

_CLAUDE_CODE = re.compile(
    r"\A(?:x-anthropic-billing-header:.*\n\s*)?(?:You are Claude Code, Anthropic's official CLI.*\n\s*)?"
)
"""What Claude Code puts in front of every system message."""

_TITLE = re.compile(
    r"""(?:please\ )?(?:generate|write|create|provide|give|suggest|come\ up\ with|summari[sz]e)\b [^.\n]{0,40}?
    \b(?:concise|short|brief|\w+[\ -]words?|words?)\b [^.\n]{0,60}? \b(?:title|name|label) (?:\ \([^)\n]{1,40}\))?
    \ (?:for|of|to|summari[sz]ing|describing|that\ (?:summari[sz]es|describes|captures))
    \ (?:this|our|the|the\ following)\ (?:conversation|chat|discussion|dialogue|thread)\b
    (?!\ (?:between|with|in|about)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
"""How clients ask for the title of a chat: of some length, and of the conversation itself."""

_TITLE_FOLLOWS = "Generate a title for this conversation:"
"""opencode: the user message before the one with the user's real words."""

_PROBES = frozenset({"quota", "ping", "test", "hi", "hello", "count", ""})

_ROLE_LINE = re.compile(
    r"^[ \t]*(?:\*\*)?(?:user|human|assistant|ai|model)(?:\*\*)?[ \t]*[:>]", re.IGNORECASE | re.MULTILINE
)
_OPEN_LINE = re.compile(r"^[ \t]*(?:\*\*)?(?:assistant|ai|model)(?:\*\*)?[ \t]*[:>](?:\*\*)?\s*\Z", re.I | re.MULTILINE)
"""The line of the reply that is asked for, at the end of a prompt."""
_HISTORY_TAG = re.compile(r"<(?:chat_?history|conversation|history|session|transcript|messages)[ >]", re.IGNORECASE)
_SHORTEST_QUOTE = 8
"""Characters of a message whose quotation says something beside the line of a role: `ok` stands in every text."""
_LONGEST_READ = 200_000
"""Characters of a message that is looked through for a quotation; a longer one is a real turn."""
_AT_AN_END = 16_000
"""Characters at either end of a message that are looked at: the openings of helper calls, and the newest messages of a
transcript, stand there. This runs on the event loop."""
_LONGEST_PROBE = 100


def helper_call(shape: CallShape) -> str | None:
    """The rule by which a call only serves its client, in a word or two for log and metric; None for a real turn."""
    if shape.headers.get(CLASS_HEADER, "").lower() in _CLASSES:
        return "header"
    marks = (shape.headers.get(name, "").strip() for name in MARKING_HEADERS)
    if any(mark and not is_placeholder(mark) for mark in marks):
        return "header"
    if shape.has_suffix or _is_marked(shape.last_user):
        return "fill in the middle"
    last, first, system = map(_beginning, (shape.last_user, shape.first_user, shape.system))
    system = _CLAUDE_CODE.sub("", system)
    # Reminders may stand in front.
    if last.startswith("<") and not last.startswith(_USER_OPENINGS):
        last = own_words([last]).lstrip()
    if system.startswith(_SYSTEM_OPENINGS) or last.startswith(_USER_OPENINGS):
        return "opening"
    if _TITLE.match(last) or _TITLE.match(system):
        return "opening"
    if _OPEN_WEBUI.match(last) or first.startswith(_TITLE_FOLLOWS):
        return "opening"
    if shape.lone and shape.max_tokens == 1 and len(shape.last_user) <= _LONGEST_PROBE:
        return "probe" if shape.last_user.lower().strip(" \n!?.") in _PROBES else None
    return None


def _beginning(text: str) -> str:
    return text[:_AT_AN_END].lstrip()


def _ends(text: str) -> str:
    """The text, or the beginning and the end of a long one."""
    return text if len(text) <= 2 * _AT_AN_END else f"{text[:_AT_AN_END]}\n{text[-_AT_AN_END:]}"


def _is_marked(text: str) -> bool:
    text = text[:_LONGEST_READ].lstrip()
    return any(text.startswith(marks) and sum(mark in text for mark in marks) >= 2 for marks in _MARKS)


def may_quote(text: str) -> bool:
    """Whether a user message looks as if it held a transcript, so that `quotes` is worth the reading of a session."""
    if len(text) > _LONGEST_READ or _OPEN_LINE.search(text[-100:]):
        return False
    ends = _ends(text)
    if not _HISTORY_TAG.search(ends) and len(_ROLE_LINE.findall(ends)) < 2:
        return False
    return not any(frame.known_by.search(text) for frame in FRAMES)  # the chat itself


def quotes(text: str, asked: Iterable[str], answered: Iterable[str]) -> bool:
    """Whether a user message holds the running conversation: something the user said and something the model replied.

    Args:
        text: the message.
        asked: texts of the session's user messages.
        answered: texts of its replies.
    """
    text = _ends(text)
    folded = _folded(text)
    lines = frozenset(_folded(line.partition(":")[2]) for line in text.splitlines() if _ROLE_LINE.match(line))

    def holds(said: str) -> bool:
        said = _folded(said)
        return said != folded and (said in lines or (len(said) >= _SHORTEST_QUOTE and said in folded))

    return any(map(holds, asked)) and any(map(holds, answered))


def _folded(text: str) -> str:
    return " ".join(text.split())
