"""Settling a conflict by what the user answered."""

from __future__ import annotations

from collections.abc import Sequence

from recallr_litellm.core.knowledge import Answer, Conflict
from recallr_litellm.learning.details import details
from recallr_litellm.learning.model import WriteJson
from recallr_litellm.learning.prompts import resolve
from recallr_litellm.learning.structured import items

_ANSWER_TOKENS = 500
_MOST_TEXT = 800


async def settled(conflict: Conflict, known: str, answers: Sequence[Answer], write: WriteJson | None) -> str | None:
    """What is true by the answers: the known sentence, the new one, or a third; None where they do not say.

    An answer that is one of the two, or has details of one only, needs no model.

    Args:
        known: the memory as it stands.
        write: asks the model; None where there is none.

    Raises:
        ModelUnavailable: the model does not answer.
        ModelRefused: it does not take this text.
    """
    said = " ".join(f"{one.answer} {one.message}" for one in answers)
    chosen = {one.answer for one in answers} & {known, conflict.content}
    if len(chosen) == 1:
        return chosen.pop()
    if write is not None:
        chat = resolve.messages(conflict, known, answers)
        written = await write(chat, resolve.SCHEMA, name="resolutions", max_tokens=_ANSWER_TOKENS)
        for item in items(written.text, "resolutions") or ():
            text = " ".join(str(item.get("text") or "").split())[:_MOST_TEXT]
            match item.get("outcome"):
                case "known":
                    return known
                case "new":
                    return conflict.content
                case "other" if text:
                    return text
    only_known, only_new = details(known) - details(conflict.content), details(conflict.content) - details(known)
    for_known, for_new = details(said) & only_known, details(said) & only_new
    if bool(for_known) == bool(for_new):
        return None
    return known if for_known else conflict.content
