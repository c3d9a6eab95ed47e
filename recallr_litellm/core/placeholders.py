"""Ids that nobody filled in. Taken as ids they would give many people one memory.

Three kinds, in any case and with any white space around them:

1. A template: `{{LIBRECHAT_USER_ID}}`, `user-${user.id}`, `<user_id>`, `%USERNAME%`.
2. What languages write for nothing, or for an object: `undefined`, `user-null`, `(nil)`, `[object Object]`.
3. The name of what belongs there: `YOUR_USER_ID`, `__USER__`, `:userId`.

Ids that merely look odd are ids: a GUID in braces, JSON, `anonymous`. Somebody chose them.
"""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote

_VARIABLE = r"[a-z_][\w.\[\]() -]*"
_TEMPLATE = re.compile(
    "|".join(
        (
            r"\{\{.*\}\}",  # Mustache, Jinja, LibreChat, Open WebUI, n8n
            r"\{%.*%\}",  # Jinja
            r"<%.*%>",  # ERB, EJS
            r"\[\[.*\]\]",  # Thymeleaf
            r"[$#]\{.*\}|\$\(.*\)",  # shells, JavaScript, Ruby
            rf"\{{(?:\d{{0,2}}|(?![\da-f]{{8}}-){_VARIABLE})\}}",  # Python's format, but no GUID in braces
            rf"(?<![\w$])\${_VARIABLE}$",  # shells
            r"%[a-z_]\w*%$",  # Windows; percent-encoded text does not end in a percent sign
            r"%\(\w+\)s|%[sdiv](?!\w)",  # printf
            rf"^<{_VARIABLE}>$",
            r"^(?:process\.env|os\.environ|import\.meta\.env)\b",
        )
    ),
    re.IGNORECASE,
)

_NOTHING = r"[\"'(<\[{]*(?:undefined|null|none|nil|nan|n/a|no value)[\"')>\]}]*"
_JOINED = r"[:/|_. @-]"
_UNSET = re.compile(
    "|".join(
        (
            r"^[\s\"'(){}<>\[\]]*$",  # quotes and brackets around nothing
            # Joined to what is no name itself: `jennifer.null` may be somebody.
            rf"^(?:(?:user|uid|id|u|usr|customer|client|account|member){_JOINED})*{_NOTHING}(?:{_JOINED}{_NOTHING})*$",
            rf"[:/|]{_NOTHING}$",
            rf"(?:^|{_JOINED})undefined(?:{_JOINED}|$)",
            r"\[(?:object|(?:async)?function)\b.*\]|^(?:async\s+)?function\b.*\{|=>|^Promise\s*\{",  # JavaScript
            r"<.* at 0x[\da-f]+>",  # Python
        )
    ),
    re.IGNORECASE,
)

_MARKED = re.compile(r"__(.+)__|\[(.+)\]|:(.+)")
"""Marks of variables that real ids may have too."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^A-Za-z_ -]+")
_ID = frozenset({"id", "uid", "uuid", "userid", "username", "email"})
_WHOSE = _ID | {"user", "customer", "client", "account", "name"}
_AROUND = frozenset({"your", "my", "the", "a", "insert", "enter", "current", "unique", "actual", "real", "here"})


def is_placeholder(id: str) -> bool:
    """Whether an id stands for one that nobody filled in."""
    written = unquote(unescape(id)).strip()
    return bool(_UNSET.search(written) or _TEMPLATE.search(written)) or _names_itself(written)


def _names_itself(written: str) -> bool:
    marked = _MARKED.fullmatch(written)
    words = [word.lower() for word in _WORD.findall(marked[marked.lastindex or 0] if marked else written)]
    if not words or not set(words) <= _WHOSE | _AROUND:
        return False
    if marked or words == ["userid"]:
        return not _WHOSE.isdisjoint(words)
    return len(words) > 1 and not _ID.isdisjoint(words)
