"""`auto`: which strategy suits a question. No model is asked; a few plain signs in its words decide.

The signs of a broad question, of times and of follow-ups are English. In other languages what is left are names,
numbers, length and the number of questions, and `balanced` where nothing can be told.
"""

from __future__ import annotations

import re

from recallr_litellm.core.options import Strategy
from recallr_litellm.recall.question import searchable

SHORT_WORDS = 12
"""A question with no more words than this, and no other sign, is simple."""

_OF_THE_USER = re.compile(r"\b(i|my|me|mine|myself|we|us|our|ours)\b", re.IGNORECASE)
"""Only then is a broad question one to memory: "compare Rust and Go" is not."""
_OF_MEMORY = re.compile(
    r"\b(what (all )?do you (know|remember|recall)|everything you (know|remember|recall)|what have (i|we) .{0,20}"
    r"(told|said|talked|discussed|mentioned|decided|planned))\b",
    re.IGNORECASE,
)
_BROAD = re.compile(
    r"""\b(
      everything | (tell|list|name) \s (me \s)? (all|every|each) | all \s (of \s)? (my|our) | every \s time
    | how \s many \s times | how \s often | so \s far | over \s the \s (past|last|years|months|weeks|time)
    | summari[sz]e | summary \s of | overview | recap | timeline | (look|think)(ing)? \s back
    | compared? | comparison | versus | vs | differences? \s between | in \s common
    | (has|have|did) \s .{0,60} \s changed?
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_FURTHER_QUESTION = re.compile(
    r"\w[\s,]+(and|also|but|then|or)\b[\s,]+(\w+[\s,]+){0,2}(what|when|where|who|whom|whose|why|how|which)\b",
    re.IGNORECASE,
)
"""A second question in the same sentence."""
_QUESTION_MARKS = re.compile(r"[?？؟]+")

_TIME = re.compile(
    r"""\b(
      when | since | until | ago | before | after | during | earlier | lately | recently | latest | currently | now
    | yesterday | today | tonight | tomorrow | weekend
    | (last|next|this|past|previous) \s (night|week|weekend|month|year|time|spring|summer|autumn|fall|winter)
    | birthday | anniversary | christmas | easter
    | (mon|tues|wednes|thurs|fri|satur|sun)days? | january|february|march|april|june|july|august|september|october
    | november|december | in \s may | how \s long | what \s (day|date|time|year|month)
    )\b | \d""",
    re.IGNORECASE | re.VERBOSE,
)
_FOLLOWS_UP = re.compile(
    r"""^\W*(and|but|or|so|also|then|what \s about|how \s about|why \s not)\b
    | \b(he|him|his|she|her|hers|they|them|their|theirs|it|its|that|those|these|there|same|again|else
    | the \s other)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?:;…\n\"“”(]\s*$")


def choose(question: str, *, model: bool) -> Strategy:
    """The strategy for a question; never `auto`.

    Broad questions, comparisons and several questions at once are for `agentic`; times, names, follow-ups and
    all that is long for `balanced`; what is short and simple for `low_latency`.

    Args:
        question: the user's own words, of any length.
        model: there is one to search with; without, `balanced` stands in for `agentic`.
    """
    text = searchable(question)
    if not text:
        return Strategy.LOW_LATENCY
    if _OF_MEMORY.search(text) or (_OF_THE_USER.search(text) and (_BROAD.search(text) or _asks_several(text))):
        return Strategy.AGENTIC if model else Strategy.BALANCED
    words = _WORD.findall(text)
    hard = len(words) > SHORT_WORDS or _TIME.search(text) or _FOLLOWS_UP.search(text) or _names(text)
    return Strategy.BALANCED if hard or not text.isascii() else Strategy.LOW_LATENCY


def _asks_several(text: str) -> bool:
    marks = len(_QUESTION_MARKS.findall(text))
    return marks > 1 or (marks == 1 and _FURTHER_QUESTION.search(text) is not None)


def _names(text: str) -> bool:
    """Whether a word other than "I" is capitalised that does not begin a sentence."""
    return any(
        word[0].isupper() and word != "I" and not word.startswith(("I'", "I’"))
        for match in _WORD.finditer(text)
        if (word := match.group()) and match.start() > 0 and not _SENTENCE_END.search(text[: match.start()])
    )
