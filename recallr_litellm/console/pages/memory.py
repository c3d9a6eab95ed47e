"""A memory: its versions, what it rests on, and corrections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

from fastapi import Response

from recallr_litellm.console.pages.base import Change, FormPage, PageOfProject, page_router
from recallr_litellm.core.scripts import SPACELESS
from recallr_litellm.errors import InvalidValue, MemoryNotFound

router = page_router()


class Piece(NamedTuple):
    """A piece of a text beside an earlier one."""

    kind: Literal["same", "added", "removed"]
    text: str


@router.get("/memory")
async def memory(page: PageOfProject, user: str, memory: str) -> Response:
    """A memory with what it said before."""
    owner = await page.owner(user)
    details = await page.services.memories.get(owner, memory)
    versions = [*details.previous, details.memory]
    before = ["", *(version.content for version in versions)]
    changed = [(version, differences(old, version.content)) for old, version in zip(before, versions, strict=False)]
    return page.show("memory.html", user=user, details=details, memory=details.memory, versions=changed[::-1])


@router.post("/memory/edit")
async def edit(change: Change) -> Response:
    """Say it in other words."""
    content = change.field("content")
    if not content:
        raise InvalidValue("content: must not be empty")
    owner, memory = await change.owner(change.value("user")), change.value("memory")
    await change.note("edit memory", user=owner.user, memory=memory)
    await change.services.memories.edit(owner, memory, content, seen=_seen(change))
    return change.done("memory", "edited", user=owner.user, memory=memory)


@router.post("/memory/revert")
async def revert(change: Change) -> Response:
    """Make it say again what it said before."""
    owner, memory = await change.owner(change.value("user")), change.value("memory")
    await change.note("revert memory", user=owner.user, memory=memory, version=change.value("version"))
    await change.services.memories.revert(owner, memory, change.value("version"), seen=_seen(change))
    return change.done("memory", "reverted", user=owner.user, memory=memory)


@router.post("/memory/invalidate")
async def invalidate(change: Change) -> Response:
    """Note that it is no longer true."""
    owner, memory = await change.owner(change.value("user")), change.value("memory")
    await change.note("invalidate memory", user=owner.user, memory=memory)
    await change.services.memories.invalidate(owner, memory, seen=_seen(change))
    return change.done("memory", "invalidated", user=owner.user, memory=memory)


@router.post("/memory/pin")
async def pin(change: Change) -> Response:
    """Keep it as it is, or no longer."""
    owner, memory = await change.owner(change.value("user")), change.value("memory")
    pinned = change.value("pinned") == "true"
    await change.note("pin memory" if pinned else "unpin memory", user=owner.user, memory=memory)
    await change.services.memories.pin(owner, memory, pinned=pinned, seen=_seen(change))
    return change.done("memory", "pinned" if pinned else "unpinned", user=owner.user, memory=memory)


@router.post("/memory/delete")
async def delete(change: Change) -> Response:
    """Delete it with all that it said before, or one of its versions."""
    owner, memory = await change.owner(change.value("user")), change.value("memory")
    version = change.value("version")
    if not version:
        await change.note("delete memory", user=owner.user, memory=memory)
        await change.services.memories.delete(owner, memory, previous=True, seen=_seen(change))
        return change.done("user", "deleted", user=owner.user)
    await change.note("delete version", user=owner.user, memory=memory, version=version)
    await change.services.memories.delete(owner, version, previous=False, seen=_seen(change))
    try:  # the last one may be gone
        await change.services.memories.get(owner, memory)
    except MemoryNotFound:
        return change.done("user", "deleted", user=owner.user)
    return change.done("memory", "deleted", user=owner.user, memory=memory)


def _seen(change: FormPage) -> int | None:
    """Number of the version that the page showed as the current one."""
    seen = change.field("seen")
    if seen and not seen.isdecimal():
        raise InvalidValue("seen: must be the number of a version")
    return int(seen) if seen else None


_WORD: Final = re.compile(rf"(?:[{SPACELESS}]|[^\s{SPACELESS}]+)\s*")
"""With the space behind it. Where a script has no spaces, each character is one."""


def differences(old: str, new: str) -> Sequence[Piece]:
    """The new text word by word, with what of the old one is gone.

    >>> [tuple(piece) for piece in differences("lives in Porto", "lives in Rome")]
    [('same', 'lives in '), ('removed', 'Porto'), ('added', 'Rome')]
    """
    before, after = _WORD.findall(old), _WORD.findall(new)
    if not before:
        return [Piece("same", new)]
    matcher = SequenceMatcher(None, [*map(str.strip, before)], [*map(str.strip, after)], autojunk=False)
    pieces: list[Piece] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(after[c:d])))
            continue
        if b > a:
            pieces.append(Piece("removed", "".join(before[a:b])))
        if d > c:
            pieces.append(Piece("added", "".join(after[c:d])))
    return pieces
