"""Calls that only serve the client are told from real turns."""

from __future__ import annotations

import time

import pytest

from recallr_litellm.core.helper_calls import CallShape, helper_call, may_quote, quotes

OPEN_WEBUI = "### Task:\n{}\n\n### Chat History:\n<chat_history>\nUSER: hi\nASSISTANT: hello\n</chat_history>"

HELPERS = {
    "Open WebUI, title": CallShape(last_user=OPEN_WEBUI.format("Generate a concise, 3-5 word title with an emoji")),
    "Open WebUI, tags": CallShape(last_user=OPEN_WEBUI.format("Generate 1-3 broad tags categorizing the main themes")),
    "opencode, compaction": CallShape(last_user="Provide a detailed prompt for continuing our conversation above. …"),
    "VS Code Copilot, title": CallShape(
        system="You are an expert in crafting pithy titles for chatbot conversations.", last_user="Rename it"
    ),
    "LangChain, summary": CallShape(last_user="Progressively summarize the lines of conversation provided, …"),
    "Claude Code, a fetched page": CallShape(last_user="\nWeb page content:\n---\nLeeks\n---\n\nWhat is it about?"),
    "Aider, summary": CallShape(
        system="*Briefly* summarize this partial conversation about programming.\nInclude less detail",
        last_user="# USER",
    ),
    "Open WebUI, edited template": CallShape(last_user=OPEN_WEBUI.format("Erzeuge einen Titel")),
    "LibreChat, title": CallShape(last_user="Provide a concise, 5-word-or-less title for the conversation"),
    "opencode, title": CallShape(
        system="You are a title generator. You output ONLY a thread title. Nothing else.",
        last_user="My cat is called Felix.",
    ),
    "opencode, title, no system": CallShape(
        first_user="Generate a title for this conversation:\n", last_user="My cat is called Felix."
    ),
    "Claude Code, compaction": CallShape(
        last_user="CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\n"
        "Your task is to create a detailed summary of the conversation so far, paying close attention to…"
    ),
    "Claude Code, quota": CallShape(last_user="quota", lone=True, max_tokens=1),
    "Claude Code, header": CallShape(last_user="Find the file", headers={"x-claude-code-request-class": "auxiliary"}),
    "Codex, subagent": CallShape(last_user="Review the diff", headers={"x-openai-subagent": "review"}),
    "Codex, compaction": CallShape(last_user="You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff"),
    "Gemini CLI, next speaker": CallShape(
        last_user="Analyze *only* the content and structure of your immediately preceding response (your last turn)"
    ),
    "Continue, autocomplete": CallShape(
        last_user="<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n<|fim_middle|>"
    ),
    "CodeLlama": CallShape(last_user="<PRE> def f( <SUF> return x <MID>"),
    "DeepSeek": CallShape(last_user="<｜fim▁begin｜>def f(<｜fim▁hole｜>):<｜fim▁end｜>"),
    "Seed-Coder": CallShape(last_user="<[fim-suffix]>b<[fim-prefix]>a<[fim-middle]>"),
    "Claude Code, title behind its own system message": CallShape(
        system="You are Claude Code, Anthropic's official CLI for Claude.\n"
        "Analyze if this message indicates a new conversation topic.",
        last_user="Fix the login",
    ),
    "Claude Code, compaction behind a reminder": CallShape(
        last_user="<system-reminder>\na\n</system-reminder>\n"
        "Your task is to create a detailed summary of the conversation so far"
    ),
    "NextChat, title": CallShape(
        last_user="Please generate a four to five word title summarizing our conversation without any lead-in"
    ),
    "Zed, title": CallShape(last_user="Generate a concise 3-7 word title for this conversation, omitting punctuation."),
    "Goose, title": CallShape(system="Generate a short title (4 words or less) for the conversation.", last_user="Hi"),
    "a probe with a mark": CallShape(last_user="Hi!", lone=True, max_tokens=1),
    "completion with a suffix": CallShape(last_user="def add(a, b):\n    return ", has_suffix=True),
}

REAL = {
    "a question": CallShape(last_user="What is my cat called?", lone=True),
    "a first turn with few tokens": CallShape(last_user="Name one colour.", lone=True, max_tokens=5),
    "a yes/no classifier": CallShape(last_user="Is this spam? 'You won!'", lone=True, max_tokens=1),
    "a greeting": CallShape(last_user="hi", lone=True, max_tokens=1000),
    "a probe's word in a chat": CallShape(last_user="test", max_tokens=1),
    "a task of the user's": CallShape(last_user="Generate a title for my blog post about cats."),
    "a prompt under a heading": CallShape(last_user="### Task:\nTranslate this.\n### Text:\nHello"),
    "a heading with words": CallShape(last_user="### Task: write the toast in 100 words, please."),
    "a heading, and tags of its own": CallShape(last_user="### Task:\nSummarize it.\n<article>a</article>"),
    "Open WebUI, retrieval": CallShape(
        last_user="### Task:\nRespond to the user query using the provided context\n<context>a</context>\nWho won?"
    ),
    "a title of the user's": CallShape(last_user="Write a short title for the conversation between Romeo and Juliet."),
    "a title of a paper": CallShape(
        last_user="Please suggest a concise title for this paper on our conversation study"
    ),
    "Open WebUI, no task": CallShape(last_user="Hello", headers={"x-openwebui-task": "{{TASK}}"}),
    "a main request of Claude Code": CallShape(last_user="Fix it", headers={"x-claude-code-request-class": "main"}),
    "talk about marks": CallShape(last_user="What do <PRE>, <SUF> and <MID> mean to CodeLlama?"),
    "markup": CallShape(last_user="<PRE>text</PRE> is HTML, is it not?"),
}


@pytest.mark.parametrize("shape", HELPERS.values(), ids=HELPERS)
def test_helper_calls_are_recognised(shape: CallShape) -> None:
    assert helper_call(shape)


@pytest.mark.parametrize("shape", REAL.values(), ids=REAL)
def test_real_turns_are_not_taken_for_helper_calls(shape: CallShape) -> None:
    assert helper_call(shape) is None


def test_a_message_that_quotes_the_running_conversation_is_no_turn_of_it() -> None:
    asked, answered = ["My cat is called Felix."], ["What a good name for a cat!"]
    prompt = "Name this chat.\nUser: My cat is  called Felix.\nAssistant: What a good name for a cat!\nTitle:"
    assert may_quote(prompt)
    assert quotes(prompt, asked, answered)
    assert quotes("Name this chat.\nUser: Hi!\nAssistant: Hello!", ["Hi!"], ["Hello!"]), "short, but lines of their own"
    assert not quotes("Name this chat.\nUser: Hi! Help.\nAssistant: Hello! Ok.", ["Hi!"], ["Hello!"])


@pytest.mark.parametrize("pasted_before", [0, 100_000, 150_000])
def test_the_newest_messages_are_found_at_the_end_of_a_long_transcript(pasted_before: int) -> None:
    asked, answered = ["My cat is called Felix."], ["What a good name for a cat!"]
    older = "User: Tell me more.\nAssistant: There is nothing more to tell.\n" * (pasted_before // 60)
    prompt = f"Name this chat.\n{older}User: {asked[0]}\nAssistant: {answered[0]}\nTitle:"
    assert may_quote(prompt)
    assert quotes(prompt, asked, answered)


def test_only_the_ends_of_a_long_message_are_looked_at() -> None:
    """This runs on the event loop: a message of megabytes would hold up every other request."""
    asked, answered = ["My cat is called Felix."], ["What a good name for a cat!"]
    transcript = f"User: {asked[0]}\nAssistant: {answered[0]}\n"
    for longest in (90_000, 9_000_000):
        around = "word " * (longest // 10)
        assert not may_quote(around + transcript + around)
        assert not quotes(around + transcript + around, asked, answered)
        assert helper_call(CallShape(last_user=" " * longest + "[SUGGESTION MODE: suggest]")) is None


def test_blank_lines_are_looked_at_once() -> None:
    began = time.process_time()
    assert not may_quote("\n" * 300_000)
    assert time.process_time() - began < 5, "nothing else runs meanwhile"


def test_a_transcript_from_elsewhere_is_a_real_turn() -> None:
    prompt = "Summarize:\nUser: The router is broken.\nAssistant: Did you restart it?"
    assert may_quote(prompt)
    assert not quotes(prompt, ["My cat is called Felix."], ["What a good name for a cat!"])
    assert not quotes("My cat is called Felix.", ["My cat is called Felix."], ["Yes."]), "said again, not quoted"


@pytest.mark.parametrize(
    "prompt",
    [
        "A friendly conversation.\n\nHuman: My cat is called Felix.\nAI: A good name!\nHuman: He sleeps a lot.\nAI:",
        "User: My cat is called Felix.\n\n**Assistant:** A good name!\n\nUser: He sleeps a lot.\n\n**Assistant:**\n",
        "<histories>\nHuman: My cat is called Felix.\nAssistant: A good name!\n</histories>\n\nHuman: He sleeps a lot.",
    ],
    ids=["LangChain", "bold", "Dify"],
)
def test_a_client_that_writes_the_whole_chat_into_one_message_takes_a_turn_with_it(prompt: str) -> None:
    assert not may_quote(prompt)


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, "user" + " " * 200_000, "assistant:" + "\n" * 200_000, "x" * 9_000_000]
)
def test_no_text_holds_up_the_others_by_being_looked_through_for_a_quotation(text: str) -> None:
    begun = time.process_time()
    assert not may_quote(text)
    assert time.process_time() - begun < 1
