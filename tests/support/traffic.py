"""Users who talk to a gateway without a break, whole and streamed, and who know what they saw answered."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import openai

from recallr_litellm.core.owner import Owner
from tests.support.observe import owner_of
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.waiting import eventually

WORDS = "the cat sat on a red mat and saw that rain fell over green hills while trains ran north to the sea".split()


@dataclass(frozen=True)
class Said:
    """A question and what came of it."""

    user: str
    question: str
    answer: str | None
    """What the client has of the answer; None if nothing whole: the connection broke."""
    status: str = ""
    """`X-Recallr-Memory-Status`."""
    error: str = ""


class Traffic:
    """One thread for each user; every message is unique, and the next comes when the last is answered.

        with Traffic(proxy, users) as traffic:
            traffic.wait_for(10)                # so many answers
            with traffic.pausing():             # the next messages wait until the block ends
                proxy.kill()
                proxy.start()
            traffic.wait_for(10)
        assert traffic.broken == []

    An answer counts as seen when it came whole, and of a stream when its finish reason came.
    """

    def __init__(self, proxy: Proxy, users: Sequence[str], *, words: int = 12, **options: object) -> None:
        """`words`: length of a message, of which the last two of three are streamed, one slowly. Options: as in
        `Proxy.headers`."""
        self._proxy = proxy
        self.users = list(users)
        self._words = words
        self._options = options
        self._said: list[Said] = []
        self._going = threading.Event()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._talk, args=(user,), daemon=True) for user in self.users]

    @property
    def owners(self) -> list[Owner]:
        """The users, as the stores know them."""
        return [owner_of(user) for user in self.users]

    @property
    def answered(self) -> list[Said]:
        """What a client has seen answered, in order (per user)."""
        return [said for said in list(self._said) if said.answer is not None]

    @property
    def broken(self) -> list[Said]:
        """What a client has not seen answered."""
        return [said for said in list(self._said) if said.answer is None]

    @property
    def expected(self) -> list[str]:
        """Every text that has to be remembered: what was answered, and the answers."""
        return [text for said in self.answered for text in (said.question, said.answer or "")]

    @property
    def allowed(self) -> set[str]:
        """Texts that may be remembered: questions whose answers did not arrive, and those answers, cut anywhere."""
        answers = [(said.question, answer_to(said.question)) for said in self.broken]
        return {text for question, answer in answers for text in (question, *_beginnings(answer))}

    def wait_for(self, count: int, *, timeout: float = 120.0) -> None:
        """Until so many more answers have been seen."""
        wanted = len(self.answered) + count
        eventually(
            lambda: len(self.answered), f"{count} more answers", until=lambda now: now >= wanted, timeout=timeout
        )

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Nobody begins to say anything new meanwhile; what was said may still be waiting for its answer."""
        self._going.clear()
        try:
            yield
        finally:
            self._going.set()

    def __enter__(self) -> Traffic:
        self._going.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._going.set()
        for thread in self._threads:
            thread.join()

    def _talk(self, user: str) -> None:
        number = 0
        with self._proxy.openai(user, **self._options) as client:
            while not self._ending.is_set():
                self._going.wait()
                if self._ending.is_set():
                    return
                self._said.append(self._say(client, user, number))
                number += 1

    def _say(self, client: openai.OpenAI, user: str, number: int) -> Said:
        question = self._question(user, number)
        try:
            answer, status = (_whole if number % 3 == 0 else _streamed)(client, question)
        except (openai.APIError, httpx.HTTPError) as error:
            return Said(user, question, None, error=repr(error))
        return Said(user, question, answer, status, error="" if answer is not None else "the stream ended early")

    def _question(self, user: str, number: int) -> str:
        filler = " ".join(random.Random(number).choices(WORDS, k=self._words))
        pace = "slowly" if number % 3 == 2 else "quickly"
        return f"Note {number} of {user}, {pace}: {filler}."


def answer_to(question: str) -> str:
    """What the stand-in provider answers when it is told nothing else."""
    return f'You said: "{question[:200]}".'


def _beginnings(answer: str) -> Iterator[str]:
    return (answer[:length] for length in range(1, len(answer) + 1))


def _whole(client: openai.OpenAI, question: str) -> tuple[str | None, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": question}]
    )
    return raw.parse().choices[0].message.content, raw.headers.get("x-recallr-memory-status", "")


def _streamed(client: openai.OpenAI, question: str) -> tuple[str | None, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": question}], stream=True
    )
    pieces: list[str] = []
    finished = False
    with contextlib.suppress(openai.APIError, httpx.HTTPError):  # what counts is whether it came to its end before
        for chunk in raw.parse():
            for choice in chunk.choices:
                pieces.append(choice.delta.content or "")
                finished = finished or choice.finish_reason is not None
    return "".join(pieces) if finished else None, raw.headers.get("x-recallr-memory-status", "")
