"""`recallr conflicts`: what contradicts what is known of a user, and saying what is true."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recallr_litellm.cli.api import Gateway, running_gateway
from recallr_litellm.cli.memories import Json, User, print_json, shown_time
from recallr_litellm.cli.table import print_table
from recallr_litellm.printable import printable

conflicts = typer.Typer(help="Conflicts of a user's memories: list, answer.", no_args_is_help=True)


@conflicts.command("list")
def list_conflicts(
    user: User,
    every: Annotated[bool, typer.Option("--all", help="Also those that are settled.")] = False,
    as_json: Json = False,
    gateway: Gateway = None,
) -> None:
    """List the conflicts that wait for an answer, the newest first: id, when, status, what is known, what contradicts
    it."""
    console = Console(soft_wrap=True)
    status = None if every else "PENDING"
    with running_gateway(console, gateway) as api:
        found = [*api.each("conflicts", "users", user, "merge-conflicts", status=status)]
    if as_json:
        print_json(found)
        return
    if not found:
        console.print(Text("There are no conflicts." if every else "No conflict waits for an answer."))
        return
    rows = [
        (
            one["id"],
            shown_time(one["created_at"]),
            one["status"].lower(),
            " ".join(known["content"] for known in one["conflicting_memories"]) or "-",
            one["proposed_memory_content"] or "-",
        )
        for one in found
    ]
    print_table(console, [("CONFLICT", "RAISED", "STATUS", "KNOWN", "NEW"), *rows])


@conflicts.command()
def answer(
    user: User,
    conflict: Annotated[
        str, typer.Argument(metavar="CONFLICT", help="Id of it, as `recallr conflicts list` shows it.")
    ],
    answers: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="TEXT", help="To each question in its order. [default: you are asked]"),
    ] = None,
    as_json: Json = False,
    gateway: Gateway = None,
) -> None:
    """Answer the questions of a conflict. What is true by the answers becomes a version of the memory."""
    console = Console(soft_wrap=True)
    with running_gateway(console, gateway) as api:
        found = api.get("users", user, "merge-conflicts", conflict)
        questions = found["clarifying_questions"]
        given = answers if answers is not None else [_asked(console, one) for one in questions]
        if len(given) != len(questions):
            for one in questions:
                _print_question(console, one)
            raise typer.BadParameter(f"this conflict has {len(questions)} questions: give --answer for each")
        said = [
            {"question": question["question"], "answer": text} for question, text in zip(questions, given, strict=True)
        ]
        body = {"answers": {"question_answers": said}}
        settled = api.post("users", user, "merge-conflicts", conflict, "resolve", body=body)
    if as_json:
        print_json(settled)
        return
    console.print(Text(f"Status: {settled['status'].lower()}"))
    if settled["new_memories"] is None:
        console.print(Text("The answers do not say what is true: the memory stays as it is."))
    for one in settled["new_memories"] or []:
        console.print(Text(printable(f"Known now: {one['content']}")))


def _print_question(console: Console, question: dict[str, Any]) -> None:
    console.print(Text(printable(question["question"])))
    for number, option in enumerate(question["options"], 1):
        console.print(Text(printable(f"  {number}  {option}")))


def _asked(console: Console, question: dict[str, Any]) -> str:
    """The answer of whoever is at the terminal: an option by its number, or a text where there are none."""
    _print_question(console, question)
    options = question["options"]
    if not options:
        return str(typer.prompt("Answer"))
    while not 1 <= (number := typer.prompt("Number", type=int)) <= len(options):
        console.print(Text(f"Give a number from 1 to {len(options)}."))
    return str(options[number - 1])
