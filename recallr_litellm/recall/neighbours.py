"""The question before a short answer, without which "At six." tells nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recallr_litellm.core.recalled import RecalledPassage
from recallr_litellm.core.records import PassageHit

FEW_WORDS = 12
"""Most words of an answer that needs its question."""


def with_questions(passages: Sequence[RecalledPassage], candidates: Iterable[PassageHit]) -> list[RecalledPassage]:
    """Each short answer with the question that it replies to, if that is not one of the passages itself.

    Args:
        passages: those to be shown.
        candidates: where the questions are looked for; nothing is fetched.
    """
    asking = {
        (hit.session, hit.position): hit for hit in candidates if hit.traits.ends_asking and hit.part == hit.parts - 1
    }
    shown = {passage.message for passage in passages}

    def completed(passage: RecalledPassage) -> RecalledPassage:
        question = asking.get((passage.session, passage.position - 1))
        if question is None or question.message in shown or passage.parts > 1 or len(passage.text.split()) > FEW_WORDS:
            return passage
        return passage._replace(asked=recalled_passage(question))

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
    )
