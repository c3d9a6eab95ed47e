"""`recallr explain`: why a request got what it got."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.api import Gateway, running_gateway
from recallr_litellm.cli.table import print_table
from recallr_litellm.printable import printable

_WIDTH = 40
"""Characters of the longest bar."""
_LISTED = 20
"""Candidates that are listed of each kind unless all are asked for."""
_CHOSEN = ("shown", "shown_before", "no_room")

_FOUND_BY = {
    "header": "named by X-Recallr-Session-Id",
    "client": "by the chat's id, which the client sends",
    "history": "it holds the history of the request",
    "current": "the user's current session",
    "new": "new: no session of the user's goes on",
}


def explain(
    request_id: Annotated[
        str | None, typer.Argument(help="X-Recallr-Request-Id of its response. Without: the last requests are listed.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every candidate, not only the best.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known, as JSON.")] = False,
    gateway: Gateway = None,
) -> None:
    """Explain a request: what was asked of memory, what was found and how well it fits, what the model was shown.

    The last 1,000 requests of a project are kept for RECALLR_EXPLAIN_HOURS. Asks the running gateway.
    """
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found = api.get("requests", request_id) if request_id else api.get("requests", limit=_LISTED)
    if as_json:
        console.print_json(json.dumps(found))
    elif request_id:
        _show(console, found, every=every)
    else:
        _list(console, found["requests"])


def _list(console: Console, requests: list[dict[str, Any]]) -> None:
    if not requests:
        console.print(Text("No request of this project is kept."))
        return
    rows = [("TIME", "REQUEST", "USER", "STATUS", "SHOWN", "TOKENS", "MS")]
    for one in requests:
        numbers = (str(one["shown"]), str(one["tokens"]), f"{one['added_ms']:.1f}")
        rows.append((_time(one["at"]), one["request_id"], one["user_id"] or "-", one["status"], *numbers))
    print_table(console, rows)


def _show(console: Console, found: dict[str, Any], *, every: bool) -> None:
    request, question = found["request"], found["question"]
    _fields(
        console,
        {
            "request": f"{request['request_id']}, {request['kind']}, {_time(request['at'])}",
            "status": "; ".join(filter(None, (request["status"], request["reason"], _http(request)))),
            "user": request["user_id"],
            "session": request["session_id"],
            "found by": _FOUND_BY.get(found["found_by"] or "", found["found_by"]),
            "model": request["model"],
            "strategy": request["strategy"],
            "options": _options(found["options"]),
            "question": question and (question["text"] or "nothing to search for"),
            "asks": question and ", ".join(question["asks"]),
            "times": question
            and ", ".join(f"{_time(one['start'])} to {_time(one['end'])}" for one in question["periods"]),
            "speakers": question and ", ".join(question["names"]),
        },
    )
    for conversation in found["conversations"]:
        text = f"{conversation['kind']}: {conversation['shown']} of {conversation['found']} shown"
        console.print(Text(" ".join(filter(None, (text, conversation["session_id"])))))
    for finding in found["findings"]:
        console.print(Text(f"finding ({finding['outcome']}): {_line(finding['text'])}"))
    for kind, heading in (("passage", "PASSAGES"), ("memory", "MEMORIES"), ("summary", "SUMMARIES")):
        _candidates(console, heading, [one for one in found["candidates"] if one["kind"] == kind], every=every)
    _waterfall(console, found["parts"])
    for block in found["blocks"]:
        laid = "new" if block["new"] else f"laid by {block['laid_by']}"
        console.print(Text(f"\nBLOCK {block['place']}, {block['tokens']} tokens, {laid}"))
        console.print(Text(printable(block["text"])))


def _fields(console: Console, fields: dict[str, str | None]) -> None:
    for name, value in fields.items():
        if value:
            console.print(Text(f"{name:<10}{_line(value)}"))


def _candidates(console: Console, heading: str, candidates: list[dict[str, Any]], *, every: bool) -> None:
    if not candidates:
        return
    listed = [one for place, one in enumerate(candidates) if every or place < _LISTED or one["outcome"] in _CHOSEN]
    console.print(Text(f"\n{heading}, {len(listed)} of {len(candidates)}"))
    rows = [("RELEVANCE", "SCORE", "OUTCOME", "SAID", "BY", "TEXT", "SIGNS")]
    for one in listed:
        signs = " ".join(f"{name}{points:+.2f}" for name, points in one["signs"].items() if abs(points) >= 0.005)
        outcome = one["outcome"].replace("_", " ") + (", then replaced" if one["replaced_by"] else "")
        numbers = (_number(one["relevance"]), _number(one["score"]))
        rows.append((*numbers, outcome, _time(one["at"]), one["role"] or "-", _line(one["text"])[:60], signs))
    print_table(console, rows)


def _waterfall(console: Console, parts: list[dict[str, Any]]) -> None:
    if not parts:
        return
    whole = max(part["start_ms"] + part["ms"] for part in parts) or 1.0
    console.print(Text("\nTIMES"))
    for part in parts:
        before, length = round(part["start_ms"] / whole * _WIDTH), max(1, round(part["ms"] / whole * _WIDTH))
        console.print(Text(f"{part['name']:<10}{part['ms']:>9.1f} ms  {' ' * before}{'█' * length}"))


def _options(options: dict[str, dict[str, Any]]) -> str:
    given = [f"{name}={one['value']} ({one['source']})" for name, one in options.items() if one["source"] != "default"]
    return ", ".join(given) or "all by default"


def _http(request: dict[str, Any]) -> str:
    return f"http {request['http_status']}" if request["http_status"] else "no response"


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def _time(moment: str) -> str:
    return moment[:19].replace("T", " ")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
