"""What the collection looks like: kinds of points, payload fields, indexes, vectors.

One collection holds everything. The `scope` of a point says which user's it is and what it stands for;
only the `meta` point, which describes the collection, has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

SCHEMA_VERSION: Final = 3
"""Raised with every change that older code could not read."""

NAMESPACE: Final = UUID("5d1e6a0a-7c0b-5d43-9a57-1f6a8a3c2b10")
"""Of all point ids (uuid5). Changing it orphans everything stored."""

DENSE: Final = "dense"
"""Vector of embeddings, cosine, half precision: 0.1 % of error for half the memory."""
SPARSE: Final = "sparse"
"""Vector of term weights, with IDF: BM25."""
SPARSE_SCAN: Final = 100_000
"""Points of one user up to which BM25 goes through these, and not through all that the words of the query occur in.
At Qdrant's own 5000, a user with 5250 points among a million waited 17 ms for it instead of 0.6."""


class Kind(StrEnum):
    """What a point stands for."""

    META = "meta"
    USER = "user"
    SESSION = "session"
    TURN = "turn"
    """A passage of a message, or a whole message that has none."""
    MEMORY = "memory"
    """A memory, or an earlier version of one, under the session that it came from."""
    PROJECT = "project"
    """A project, the gateway's as are its keys."""
    KEY = "key"
    """An API key of a project: its digest."""
    AUDIT = "audit"
    """What a person changed, the project's."""
    EXTRACTION = "extraction"
    """What a window of a session said, as facts."""
    CONFLICT = "conflict"
    """A new fact that contradicts a memory."""


SCOPE: Final = "scope"
"""Owner and kind in one: what every read and write is filtered by. A user has two, its own and its project's. One index
for both, since the points of a kind are those of all users, and to intersect with them costs more than all the rest of
a search."""
PROJECT: Final = "project"
"""On a session and on a current memory: project and kind in one, as `SCOPE` has owner and kind, so that those of all
users can be counted. Not a second `SCOPE`: a server makes a graph of the points of each."""
SESSION: Final = "session"
AT: Final = "at"
"""Milliseconds since the epoch: when a message was said, when a session was last used, when a memory was told."""
BEGAN: Final = "began"
"""Likewise: when a session began. With `AT` it says whether a session went on at some time."""
TIMES: Final = "times"
"""Likewise: when what a passage tells of was or will be, by the times written in it (`core/times.py`)."""
FIRST: Final = "first"
"""On the one point of a message that holds its record."""
FROM_USER: Final = "from_user"
"""On the first point of a user's message."""
SUMMARISED: Final = "summarised"
"""On a session with a summary."""
STATES_NOTHING: Final = "states_nothing"
"""On a message that only asks, or only says that it does not know (`core/statements.py`)."""
TELLS_A_CHANGE: Final = "tells_a_change"
"""On a passage that says that something is no longer as it was (`core/changes.py`)."""
PAST: Final = "past"
"""On a memory that is no longer true, and on every earlier version."""
CHAIN: Final = "chain"
"""On an earlier version of a memory: id of the memory."""
ABOUT: Final = "about"
"""On a current memory: subject, attribute and names of what it speaks of, each as `about` writes it; and `PINNED`."""
PINNED: Final = "pinned"
"""Among them where a person has pinned the memory."""
LEARNED: Final = "learned"
"""On a session from which memories were learned."""
RECORD: Final = "record"
"""The core record as JSON text. Text, since the engine then neither walks it nor limits its numbers."""
HIT: Final = "hit"
"""On a passage, summary or memory: all that a search wants to know of it, a JSON array as text. One field, since an
engine parses every field of a point that is found, and hands out each by itself: half of what a search took."""


TOKENS: Final = "tokens"
"""On a passage, but those of version 0.3 or earlier: `core.tokens.tokens_shown` of it."""
GIST: Final = "gist"
"""On a summary, but those of version 0.3 or earlier: `core.traits.gist` of it."""
NAME: Final = "name"
"""On a user: `Owner.name_key` of its name."""
NAMED: Final = "named"
"""On a user: its name without regard to case, for order and search, and as it is, which makes it unique."""
SEEN: Final = "seen"
"""On a user: when it was last heard of, milliseconds since the epoch; up to a minute late."""
METADATA: Final = "metadata"
"""On a user: each entry of its metadata as one text (`points.tags`), by which lists are filtered."""


class Index(StrEnum):
    """How a payload field is indexed."""

    TENANT = "tenant"
    KEYWORD = "keyword"
    NAME = "name"
    """A keyword that is also found by a part of it."""
    TIME = "time"
    FLAG = "flag"


INDEXES: Final[Mapping[str, Index]] = {
    SCOPE: Index.TENANT,
    PROJECT: Index.KEYWORD,
    SESSION: Index.KEYWORD,
    NAMED: Index.NAME,
    AT: Index.TIME,
    SEEN: Index.TIME,
    BEGAN: Index.TIME,
    TIMES: Index.TIME,
    NAME: Index.KEYWORD,
    METADATA: Index.KEYWORD,
    # Flags rather than indexes on `part` and `role`: one takes bits, the other 130 bytes a point. They are
    # there (true) or not, and asked for as such: Qdrant Edge 0.9 takes a boolean to match for a number.
    FIRST: Index.FLAG,
    FROM_USER: Index.FLAG,
    SUMMARISED: Index.FLAG,
    STATES_NOTHING: Index.FLAG,
    TELLS_A_CHANGE: Index.FLAG,
    PAST: Index.FLAG,
    LEARNED: Index.FLAG,
    CHAIN: Index.KEYWORD,
    ABOUT: Index.KEYWORD,
}
