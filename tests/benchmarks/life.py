"""What is shown of short lives: facts that change, questions that repeat, pleasantries, dates (`life_stories.yaml`).

    python -m tests.benchmarks.life [--failures]
    python -m tests.benchmarks.life --ablate [--data FOLDER] [--users FILE]

Each life becomes the memory of one owner in an embedded store, as the processing of its sessions makes it, and its
questions are asked with Min- and Max-Top-K at 1, 3 and 10. Counted, in % of the questions that say so:

- shown@k: all that must be shown is among the k, or beside one of them;
- first: what must stand first does, with ten places;
- marked: what must be marked as the newest is, and nothing else that must not be, with ten places.

With `--ablate` once more for each rule, with that rule switched off; and for LoCoMo (FOLDER holds its `conv-*.json`)
and a first-person set (FILE) the recall of evidence at 10 and 50. Half a minute, with `--ablate` and both sets ten.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import typer
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing litellm would fetch its list of models

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Recalled, RecalledPassage
from recallr_litellm.core.records import PassageHit
from recallr_litellm.recall import Recall, question, ranking, recipes, search
from recallr_litellm.recall.recipes import Recipe
from recallr_litellm.recall.updates import Statement
from recallr_litellm.stores.embedding import SparseEncoder
from tests.benchmarks.conversations import Conversation, Said, Spoken, load_first_person, load_locomo, remember
from tests.benchmarks.evidence import ALL, Tally
from tests.benchmarks.locomo import EVERYTHING, told
from tests.benchmarks.material import opened

STORIES = Path(__file__).with_name("life_stories.yaml")
PLACES = (1, 3, 10)
EVERYDAY_SESSIONS = 12
FIGURES = (*(f"shown@{k}" for k in PLACES), "first", "marked")
UNSEEN = "unseen"
"""Written after the rules, and asked once before anything was changed for them."""
_NINE = time(9, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """A question of a life, with substrings of what must be shown."""

    text: str
    shown: Mapping[int, Sequence[str]]
    """Number of places → what must be among them."""
    first: str
    newest: str
    unmarked: Sequence[str]
    nothing: bool


@dataclass(frozen=True)
class Life:
    """One of the stories."""

    name: str
    kinds: Sequence[str]
    said: Conversation
    asked: Sequence[Asked]


def load(file: Path = STORIES) -> list[Life]:
    """The lives of a file."""
    content = yaml.safe_load(file.read_text())
    return [_life(story, number, content["everyday"]) for number, story in enumerate(content["stories"])]


def _life(story: dict[str, Any], number: int, everyday: Sequence[Sequence[str]]) -> Life:
    sessions = [(_at(day), said) for day, said in story["life"].items()]
    first, last = sessions[0][0], sessions[-1][0]
    # An hour later than the sessions of the story, so that none of them meet.
    between = (last - first) / EVERYDAY_SESSIONS + timedelta(hours=1)
    chosen = islice(cycle(everyday), number * 5, number * 5 + EVERYDAY_SESSIONS)
    sessions += [(first + place * between, said) for place, said in enumerate(chosen)]
    if asked := story.get("asked"):
        each = zip(cycle(asked["wordings"]), cycle(asked["answers"]), range(asked["times"]), strict=False)
        sessions += [(last + timedelta(days=1 + day), list(exchange)) for *exchange, day in each]
    spoken = tuple(
        Spoken(
            f"s{place}",
            begun,
            tuple(Said(f"s{place}:{n}", "assistant" if n % 2 else "user", text) for n, text in enumerate(said)),
        )
        for place, (begun, said) in enumerate(sorted(sessions, key=lambda session: session[0]))
    )
    life = Conversation(story["story"], spoken, ())
    kinds = (ALL, story["kind"], *([UNSEEN] if story.get("unseen") else []))
    return Life(story["story"], kinds, life, [_question(asked) for asked in story["questions"]])


def _question(asked: dict[str, Any]) -> Asked:
    shown = asked.get("shown", {})
    of_places = shown if isinstance(shown, dict) else dict.fromkeys(PLACES, shown)
    return Asked(
        asked["ask"],
        {places: _several(texts) for places, texts in of_places.items()},
        asked.get("first", ""),
        asked.get("newest", ""),
        _several(asked.get("unmarked", [])),
        asked.get("nothing", False),
    )


def _several(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _at(day: date) -> datetime:
    return datetime.combine(day, _NINE)


def judged(asked: Asked, found: Mapping[int, Recalled]) -> dict[str, bool]:
    """Name of a figure → whether what was found is right; without those that the question says nothing of.

    Args:
        found: number of places → what was recalled.
    """
    results: dict[str, bool] = {}
    for places, recalled in found.items():
        texts = [text for passage in recalled.passages for text in _texts(passage)]
        if asked.nothing:
            results[f"shown@{places}"] = not (texts or recalled.memories or recalled.summaries)
        elif places in asked.shown:
            results[f"shown@{places}"] = all(any(one in text for text in texts) for one in asked.shown[places])
    passages = found[max(found)].passages
    if asked.first:
        results["first"] = bool(passages) and asked.first in passages[0].text
    if asked.newest or asked.unmarked:
        marked = [passage.text for passage in passages if passage.newest]
        results["marked"] = (not asked.newest or any(asked.newest in text for text in marked)) and not any(
            one in text for one in asked.unmarked for text in marked
        )
    return results


def _texts(passage: RecalledPassage) -> Iterator[str]:
    yield passage.text
    if passage.beside is not None:
        yield passage.beside.text


def _off(target: Any, name: str, value: Any) -> AbstractContextManager[Any]:
    return patch.object(target, name, value)


def _as_lines() -> AbstractContextManager[Any]:
    stack = ExitStack()
    stack.enter_context(_off(Recipe, "weights", lambda recipe, *, lines: recipe.weights_of_lines))
    stack.enter_context(_off(search, "are_lines", lambda hits: True))
    return stack


def _without(name: str) -> AbstractContextManager[Any]:
    """Both sets of weights with one of them 0."""
    of = {
        strategy: replace(
            recipe,
            weights_of_lines=replace(recipe.weights_of_lines, **{name: 0.0}),
            weights_of_chats=replace(recipe.weights_of_chats, **{name: 0.0}),
        )
        for strategy, recipe in recipes.RECIPES.items()
    }
    return _off(search, "RECIPES", of)


_NEVER = re.compile(r"(?!)")
RULES: Mapping[str, Any] = {
    "all rules": nullcontext,
    "questions are statements": lambda: _off(PassageHit, "states_nothing", False),
    "repeats not folded": lambda: _off(ranking, "folded", lambda scored, key, at: list(scored)),
    "candidates fetched once": lambda: _off(search, "_MOST_REPEATS", 1),
    "nothing beside questions": lambda: _off(search, "with_neighbours", lambda passages, hits: passages),
    "nothing replaced": lambda: _off(search, "replaced", lambda *args: {}),
    "no words of change": lambda: _off(search, "Statement", lambda hit, score, changes: Statement(hit, score, False)),
    "present tense not heard": lambda: _off(question, "_NOW", _NEVER),
    "times not heard": lambda: _off(question, "periods", lambda own, now: ()),
    "weights of lines for chats": _as_lines,
    "short messages as others": lambda: _without("short"),
    "pleasantries searched": lambda: _off(question, "is_pleasantry", lambda own: False),
}
"""What is switched off → how."""


class Store:
    """An embedded store that holds some conversations."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __aenter__(self) -> Store:
        self._vectors, self._embedder = await opened(self._folder)
        self._sparse = SparseEncoder()
        self._recall = Recall(self._vectors, self._embedder, self._sparse)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._vectors.close()
        await self._embedder.close()

    async def fill(self, conversations: Sequence[Conversation]) -> None:
        """Remember them."""
        for conversation in track(conversations, "remembering"):
            await remember(conversation, self._vectors, self._embedder, self._sparse)

    async def ask(self, conversation: Conversation, text: str, previous: str = "", **options: Any) -> Recalled:
        """What is recalled for a question after the last session."""
        return await self._recall(
            conversation.owner,
            text,
            replace(RecallOptions(), **options),
            exclude_sessions=frozenset(),
            previous=previous,
            now=conversation.asked_at,
        )

    async def lives(self, lives: Sequence[Life], *, failures: Console | None = None) -> Mapping[str, Mapping[str, str]]:
        """Kind → figure → share in %, and of all; prints the questions that fail."""
        results: defaultdict[str, defaultdict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
        for life in lives:
            for asked in life.asked:
                found = {k: await self.ask(life.said, asked.text, min_top_k=k, max_top_k=k) for k in PLACES}
                of_question = judged(asked, found)
                for (figure, right), kind in ((one, kind) for one in of_question.items() for kind in life.kinds):
                    results[kind][figure].append(right)
                if failures and not all(of_question.values()):
                    failures.print(_failure(life, asked, of_question, found[max(PLACES)]), highlight=False)
        return {
            kind: {figure: f"{100 * sum(right) / len(right):.0f} ({len(right)})" for figure, right in figures.items()}
            for kind, figures in results.items()
        }

    async def evidence(self, conversations: Sequence[Conversation]) -> Mapping[str, float]:
        """R@k over all questions, in %."""
        tally = Tally()
        for conversation in conversations:
            for asked in conversation.questions:
                found = await self.ask(conversation, asked.text, asked.previous, **EVERYTHING)
                tally.ranking(asked, map(told, found.passages))
        return tally.means()[ALL]


def _failure(life: Life, asked: Asked, results: Mapping[str, bool], found: Recalled) -> str:
    wrong = ", ".join(figure for figure, right in results.items() if not right)
    lines = [f"{life.kinds[-1]} · {life.name} · {asked.text} → {wrong}"]
    for passage in found.passages[:4]:
        beside = f" [beside: {passage.beside.text[:50]}]" if passage.beside else ""
        lines.append(f"    {'NEWEST ' if passage.newest else ''}{passage.relevance:.2f} {passage.text[:100]}{beside}")
    return "\n".join(lines).replace("[", "\\[")


async def measure(console: Console, *, failures: bool) -> None:
    """Print the table of the lives by kind."""
    lives = load()
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder)) as store:
            await store.fill([life.said for life in lives])
            figures = await store.lives(lives, failures=console if failures else None)
    table = Table("kind", *FIGURES, title=f"{len(lives)} lives: % (questions)")
    for kind, of_kind in figures.items():
        table.add_row(kind, *(of_kind.get(figure, "") for figure in FIGURES))
    console.print(table)


async def ablate(console: Console, sets: Mapping[str, Sequence[Conversation]]) -> None:
    """Print a row for each rule that is switched off."""
    lives = load()
    depths = ("R@10", "R@50")
    table = Table("switched off", *FIGURES, *(f"{name} {depth}" for name in sets for depth in depths))
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder)) as store:
            everybody = chain((life.said for life in lives), *sets.values())
            await store.fill(list(everybody))
            for name, off in track(RULES.items(), "asking"):
                with off():
                    of_lives = (await store.lives(lives))[ALL]
                    shares = [await store.evidence(conversations) for conversations in sets.values()]
                table.add_row(
                    name,
                    *(of_lives[figure].partition(" ")[0] for figure in FIGURES),
                    *(f"{of_set[depth]:.1f}" for of_set in shares for depth in depths),
                )
    console.print(table)


def main(
    failures: Annotated[bool, typer.Option("--failures", help="Print the questions that fail.")] = False,
    without: Annotated[bool, typer.Option("--ablate", help="Switch the rules off one at a time.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of LoCoMo's conv-*.json, with --ablate.")] = None,
    users: Annotated[Path | None, typer.Option(help="A first-person set, with --ablate.")] = None,
) -> None:
    """Measure what is shown of short lives."""
    console = Console(width=160)
    if not without:
        return asyncio.run(measure(console, failures=failures))
    sets = {}
    if data:
        sets["LoCoMo"] = load_locomo(data)
    if users:
        sets["users"] = load_first_person(users)
    asyncio.run(ablate(console, sets))


if __name__ == "__main__":
    typer.run(main)
