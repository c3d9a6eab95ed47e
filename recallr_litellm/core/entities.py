"""Who and what a user's memories speak of. Derived from the memories, so that it is right whatever becomes of them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recallr_litellm.core.knowledge import USER, EntityKind, EntityName
from recallr_litellm.core.records import Memory


@dataclass(frozen=True, slots=True)
class Entity:
    """A person, a place, a thing that memories speak of. Times are milliseconds since the epoch, UTC."""

    id: str
    """The same for the same name and kind."""
    name: str
    """As it is mostly written."""
    kind: EntityKind
    aliases: tuple[str, ...]
    """Other spellings of the name."""
    memories: tuple[str, ...]
    """Ids of the memories that speak of it, in any of their versions, told last first."""
    first_seen: int
    last_seen: int


def spoken_of(memory: Memory) -> Iterator[EntityName]:
    """What a memory is about, the user excepted, and what it mentions; each name once."""
    kinds = {name_key(entity.name): entity.kind for entity in memory.entities}
    subject = name_key(memory.subject)
    if subject != USER:
        yield EntityName(name=memory.subject, kind=kinds.get(subject, EntityKind.OTHER))
    for entity in memory.entities:
        if name_key(entity.name) != subject:
            yield entity


def name_key(name: str) -> str:
    """The same for names that differ in case, spaces or the form of their characters only."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def same(one: EntityName, other: EntityName) -> bool:
    """Whether two names surely mean one thing: likeness of names is not enough, and no kind is no other kind."""
    kinds = {one.kind, other.kind} - {EntityKind.OTHER}
    return name_key(one.name) == name_key(other.name) and len(kinds) <= 1


def entities_of(memories: Iterable[Memory]) -> list[Entity]:
    """The entities of memories and their earlier versions, those that most memories speak of first.

    One of no kind is the one of its name, where there is only one; "Mia" the person and "Mia" the boat are two.
    """
    mentions = [(memory, entity) for memory in memories for entity in spoken_of(memory)]
    kinds: defaultdict[str, set[EntityKind]] = defaultdict(set)
    for _, entity in mentions:
        kinds[name_key(entity.name)].add(entity.kind)
    of_entity: defaultdict[tuple[str, EntityKind], list[tuple[Memory, str]]] = defaultdict(list)
    for memory, entity in mentions:
        key = name_key(entity.name)
        known = kinds[key] - {EntityKind.OTHER}
        [kind] = known if len(known) == 1 else [entity.kind]
        of_entity[key, kind].append((memory, entity.name))
    found = [_entity(key, kind, told) for (key, kind), told in of_entity.items()]
    return sorted(found, key=lambda one: (-len(one.memories), -one.last_seen, one.id))


def _entity(key: str, kind: EntityKind, told: list[tuple[Memory, str]]) -> Entity:
    newest_first = sorted(told, key=lambda pair: (-pair[0].created_at, pair[0].id))
    name, *aliases = (spelling for spelling, _ in Counter(spelling for _, spelling in newest_first).most_common())
    return Entity(
        id=hashlib.sha256(f"{kind} {key}".encode(errors="replace")).hexdigest()[:32],
        name=name,
        kind=kind,
        aliases=tuple(aliases),
        memories=tuple(dict.fromkeys(memory.chain or memory.id for memory, _ in newest_first)),
        first_seen=newest_first[-1][0].created_at,
        last_seen=newest_first[0][0].created_at,
    )
