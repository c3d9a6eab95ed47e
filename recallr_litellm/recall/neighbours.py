"""The question before a short answer, without which "At six." tells nothing; the answer behind a question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recallr_litellm.core.recalled import RecalledPassage
from recallr_litellm.core.records import PassageHit

FEW_WORDS = 12
"""Most words of an answer that needs its question."""


def with_neighbours(passages: Sequence[RecalledPassage], candidates: Iterable[PassageHit]) -> list[RecalledPassage]:
    """Each short answer with the question that it replies to, each question with its answer.

    Not where that is one of the passages itself, nor an answer that states nothing.

    Args:
        passages: those to be shown.
        candidates: where the others are looked for; nothing is fetched.
    """
    at: dict[tuple[str, int], PassageHit] = {}
    asking: dict[tuple[str, int], PassageHit] = {}
    for hit in candidates:
        place = (hit.session, hit.position)
        if hit.part == 0:
            at[place] = hit
        if hit.traits.ends_asking and hit.part == hit.parts - 1:
            asking[place] = hit
    shown = {passage.message for passage in passages}

    def completed(passage: RecalledPassage) -> RecalledPassage:
        if passage.states_nothing:
            beside = at.get((passage.session, passage.position + 1))
            if beside is not None and beside.states_nothing:
                beside = None
        elif passage.parts > 1 or len(passage.text.split()) > FEW_WORDS:
            beside = None
        else:
            beside = asking.get((passage.session, passage.position - 1))
        if beside is None or beside.message in shown:
            return passage
        return passage._replace(beside=recalled_passage(beside))

    return [completed(passage) for passage in passages]


def recalled_passage(hit: PassageHit, relevance: float = 0.0) -> RecalledPassage:
    """A passage that was found, as it is shown."""
    return RecalledPassage(
        session=hit.session,
        message=hit.message,
        position=hit.position,
        part=hit.part,
        role=hit.role,
        name=hit.name,
        at=hit.at,
        text=hit.text.removeprefix(f"{hit.name}: ") if hit.name else hit.text,
        relevance=relevance,
        gist=hit.traits.gist,
        parts=hit.parts,
        states_nothing=hit.states_nothing,
        tokens=hit.tokens,
    )
