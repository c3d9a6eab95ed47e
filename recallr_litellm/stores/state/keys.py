"""Every Redis key of the state store, named here and nowhere else.

Owners are put into a fixed number of buckets. The bucket is the hash tag of all its keys, so that
in a Redis Cluster an owner's keys and the bucket's queue are in one slot, and one script can change
them together. The number of buckets is part of the stored data: changing it orphans what is there.

Per bucket:
    {recallr:7}:due                            zset   member → when the session is due, ms
    {recallr:7}:failed                         zset   member → when it was set aside, ms
    {recallr:7}:probe                          string written to see whether Redis takes writes; expires
    {recallr:7}:forgetting:due                 zset   member, or `<owner>:` for all of a user → when somebody is to
                                                      work on forgetting it, ms
    {recallr:7}:forgetting:failed              zset   the same, whose state is damaged → when that was found, ms
Of all:
    {recallr:0}:turn:<work>                    string a worker does what is done now and then; expires when it is due
Per owner (`<owner>` is `Owner.key`):
    {recallr:7}:user:<owner>                   string `<Owner.name_key> <number of renamings>`: the user exists and has
                                                      this name; `1` (of earlier versions): its first; expires
    {recallr:7}:gone:<owner>                   string marker: the user is forgotten; expires
    {recallr:7}:lock:<owner>                   string somebody changes the user; expires
    {recallr:7}:memories:<owner>               string somebody changes memories of the user; expires
    {recallr:7}:current:<owner>                string id of the session the user is in
    {recallr:7}:chat:<owner>:<digest>          string id of the session that a chat is in; the digest is of the chat's
                                                      id, of an answer's id, or of the first messages of a history that
                                                      nobody knew; expires
    {recallr:7}:open:<owner>                   zset   ids of the sessions that hold messages → last activity, ms
    {recallr:7}:empty:<owner>                  zset   ids of sessions of the API without messages → since when, ms
    {recallr:7}:exchange:<owner>:<exchange>    string `final`, or `<base version> <version>` of a partial; expires
    {recallr:7}:explained:<owner>              hash   request id → what it was given, as JSON, compressed; `light:` and
                                                      the id → its summary as JSON; expires
Per name (`<name>` is `Owner.name_key`):
    {recallr:7}:forgotten:<name>               string until when the name was that of a user who is forgotten, ms;
                                                      expires
    {recallr:7}:naming:<name>                  string somebody gives the name to a user; expires
Per session (`<member>` is `<owner>:<session id>`):
    {recallr:7}:session:<member>               hash   owner (JSON of project and user), created, last, timeout,
                                                      version, attempts; lease and reason while they apply;
                                                      named: the client names its chat;
                                                      metadata (JSON): it was asked for by the API;
                                                      dated: it is said to have begun at `created`, in the past;
                                                      ending: it is to be processed now, whatever its timeout
    {recallr:7}:messages:<member>              hash   message id → StoredMessage as JSON, as a request reads it: long
                                                      texts shortened
    {recallr:7}:large:<member>                 hash   message id → the same whole, where it was shortened
    {recallr:7}:index:<member>                 hash   message id → MessageEntry as a JSON array
    {recallr:7}:order:<member>                 zset   message id → position
    {recallr:7}:blocks:<member>                list   core.laid.LaidBlock as JSON; newest first
    {recallr:7}:gone:<member>                  string marker: the session is forgotten; expires
    {recallr:7}:forgetting:state:<member>      hash   owner (as above), names, begun; lease, attempts and reason while
                                                      they apply; for all of a user, the session id is empty

Per project (`<project>` is a digest of its id, and gives the bucket):
    {recallr:7}:requests:<project>             zset   request id → when it was kept, ms; expires, as the next two
    {recallr:7}:request_places:<project>       hash   request id → `<owner> <bytes>`, where the owner is `-` for a
                                                      request without a user; `bytes`: of all
    {recallr:7}:explained:-:<project>          hash   as above, of requests without a user
    {recallr:7}:series:<step>:<beginning>:<project>  hash  status:<memory status>, ms:<bucket>: requests; tokens;
                                                      queue:<name>: length of a queue. Of 60 or 3600 seconds from
                                                      then on (seconds since the epoch); expires

Of the gateway, all in bucket 0:
    {recallr:0}:projects:version               string grows with each change of projects or API keys
    {recallr:0}:series:sampled                 string marker: the queues were counted in this minute; expires
    {recallr:0}:console:secret                 string what the console's cookies are signed with
    {recallr:0}:projects:used                  hash   id of an API key → when it was last used, ms
    recallr:limits:LIMITER/<project>/<limit>/1/minute  string requests of a project in this minute; expires. The
                                                      project as its digest; named by the library `limits`

The outbox of Reconify has the same buckets, but puts its sessions into them one by one; that of webhooks has the same
keys, with `webhooks` in place of `outbox`. Per bucket:
    {recallr:7}:outbox:due                     zset   outbox member → when its first payload may be sent, ms
    {recallr:7}:outbox:failed                  zset   outbox member whose state is damaged → when that was found, ms
    {recallr:7}:outbox:dead                    stream message, member, status, reason, payload, project; oldest first
    {recallr:7}:outbox:totals                  hash   queued, bytes, dead_bytes: what is there;
                                                      added, delivered, dead, dropped: since ever
Per session (`<outbox member>` is `<owner>:<session id>`, where `<owner>` is `-` for a request without a user):
    {recallr:7}:outbox:queue:<outbox member>   stream message, payload, project; oldest first
    {recallr:7}:outbox:state:<outbox member>   hash   bytes; lease, attempts and reason while they apply
    {recallr:7}:outbox:added:<outbox member>:<message id>  string marker: it was put there; expires

Learning has the same buckets; its members are the keys of owners. Per bucket:
    {recallr:7}:learning:due                   zset   owner key → when something may be learned of the user, ms
    {recallr:7}:learning:failed                zset   owner key → when learning was given up, ms
Per owner:
    {recallr:7}:learning:state:<owner>         hash   owner; `added <session id>`: how often it was put there; lease,
                                                      attempts and reason while they apply
    {recallr:7}:learning:sessions:<owner>      zset   ids of processed sessions → when they were last used, ms
Per project (in the bucket of its name):
    {recallr:7}:tokens:<project digest>:<day>  string tokens that the memory model has used for it; expires

Scripts that find a session only by what Redis holds are given `sessions(bucket)` or `prefix(bucket)` (or
`queues(bucket)` and `states(bucket)` of `OutboxKeys`) and append the rest. These keys are in the slot of the declared
ones, which Redis and Valkey allow.

Forgetting a user deletes every key that has its `Owner.key` between colons: what belongs to a user is under such keys.

Earlier versions wrote `messages` only, with whole texts: such a session is brought up to date when it is first read.
They also wrote `outbox:oldest` and `outbox:leased`, which nothing reads any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from recallr_litellm.core.owner import Owner

BUCKETS: Final = 16


def bucket_of(owner: Owner) -> int:
    """The owner's bucket, 0 to `BUCKETS` - 1; the same in every process and release."""
    return _bucket(owner.key)


def _bucket(digest: str) -> int:
    return int(digest[:8], 16) % BUCKETS


def _key(bucket: int, *parts: str) -> str:
    return ":".join((f"{{recallr:{bucket}}}", *parts))


def due(bucket: int) -> str:
    return _key(bucket, "due")


def failed(bucket: int) -> str:
    return _key(bucket, "failed")


def probe(bucket: int) -> str:
    return _key(bucket, "probe")


def projects_version() -> str:
    return _key(0, "projects", "version")


def console_secret() -> str:
    return _key(0, "console", "secret")


def keys_used() -> str:
    return _key(0, "projects", "used")


def turn(work: str) -> str:
    return _key(0, "turn", work)


def sessions(bucket: int) -> str:
    """Prefix of the `session` keys; a member follows."""
    return _key(bucket, "session", "")


def prefix(bucket: int) -> str:
    """What all keys of a bucket begin with. Scripts append `messages:`, `large:`, `index:` or `order:` and a member."""
    return _key(bucket, "")


def user(owner: Owner) -> str:
    return _key(bucket_of(owner), "user", owner.key)


def gone(owner: Owner, session_id: str = "") -> str:
    """Of the user, or of one of its sessions."""
    return _key(bucket_of(owner), "gone", member(owner, session_id) if session_id else owner.key)


def forgotten(owner: Owner) -> str:
    """Of the name of this owner."""
    return _key(bucket_of(_of_name(owner)), "forgotten", owner.name_key)


def user_lock(owner: Owner) -> str:
    return _key(bucket_of(owner), "lock", owner.key)


def memories_lock(owner: Owner) -> str:
    return _key(bucket_of(owner), "memories", owner.key)


def name_lock(owner: Owner) -> str:
    return _key(bucket_of(_of_name(owner)), "naming", owner.name_key)


def _of_name(owner: Owner) -> Owner:
    return Owner(owner.project, owner.user)


def current(owner: Owner) -> str:
    return _key(bucket_of(owner), "current", owner.key)


def chat(owner: Owner, digest: str) -> str:
    return _key(bucket_of(owner), "chat", owner.key, digest)


def open_sessions(owner: Owner) -> str:
    return _key(bucket_of(owner), "open", owner.key)


def empty_sessions(owner: Owner) -> str:
    return _key(bucket_of(owner), "empty", owner.key)


def exchange(owner: Owner, exchange_id: str) -> str:
    return _key(bucket_of(owner), "exchange", owner.key, exchange_id)


def member(owner: Owner, session_id: str) -> str:
    """A session in `due` and `failed`. `Owner.key` has a fixed length, so this is unambiguous for any session id."""
    return f"{owner.key}:{session_id}"


def session_id_of(session_member: str) -> str:
    """The session id in a member."""
    return session_member.partition(":")[2]


def session(owner: Owner, session_id: str) -> str:
    return sessions(bucket_of(owner)) + member(owner, session_id)


def contents(owner: Owner, session_id: str, name: str) -> str:
    """`messages`, `large`, `index` or `order` of a session."""
    return _key(bucket_of(owner), name, member(owner, session_id))


def blocks(owner: Owner, session_id: str) -> str:
    return _key(bucket_of(owner), "blocks", member(owner, session_id))


def outbox_member(owner: Owner | None, session_id: str) -> str:
    """A session in the outbox. `Owner.key` is hexadecimal and of fixed length, so this is unambiguous."""
    return f"{outbox_prefix(owner)}{session_id}"


def outbox_prefix(owner: Owner | None) -> str:
    """What the outbox members of this owner begin with, and nobody else's."""
    return f"{owner.key if owner else '-'}:"


def outbox_bucket(outbox_member: str) -> int:
    """The bucket of a session in the outbox, 0 to `BUCKETS` - 1; the same in every process and release."""
    return _bucket(hashlib.sha256(outbox_member.encode(errors="surrogatepass")).hexdigest())


NOBODY: Final = "-"
"""In place of an owner's key, where the user of a request is not known."""


def explained(project: str, place: str) -> str:
    """What is kept of the requests of an owner, or of nobody, of a project.

    Args:
        place: `Owner.key`, or `NOBODY`.
    """
    if place == NOBODY:
        return of_project(project, "explained", NOBODY)
    return _key(_bucket(place), "explained", place)


def requests(project: str) -> str:
    return of_project(project, "requests")


def request_places(project: str) -> str:
    return of_project(project, "request_places")


def series(project: str, seconds: int, beginning: int) -> str:
    return of_project(project, "series", str(seconds), str(beginning))


def sampled() -> str:
    return _key(0, "series", "sampled")


def of_project(project: str, *name: str) -> str:
    """A key of something that belongs to a project."""
    digest = hashlib.sha256(project.encode(errors="surrogatepass")).hexdigest()[:32]
    return _key(_bucket(digest), *name, digest)


def learning(bucket: int, name: str) -> str:
    """`due` or `failed` of a bucket of learning."""
    return _key(bucket, "learning", name)


def learning_states(bucket: int) -> str:
    """Prefix of the `state` keys; an owner's key follows."""
    return _key(bucket, "learning", "state", "")


def to_learn(owner: Owner) -> str:
    return _key(bucket_of(owner), "learning", "sessions", owner.key)


def spent_tokens(project: str, day: str) -> str:
    digest = hashlib.sha256(project.encode(errors="surrogatepass")).hexdigest()[:32]
    return _key(int(digest[:8], 16) % BUCKETS, "tokens", digest, day)


class QueueKeys(NamedTuple):
    """The keys of a `LeasedQueue`, each by bucket."""

    due: Callable[[int], str]
    failed: Callable[[int], str]
    states: Callable[[int], str]
    """Prefix of the hashes that hold `lease`, `attempts` and `reason`; a member follows."""


SESSION_QUEUE: Final = QueueKeys(due, failed, sessions)
FORGETTING_QUEUE: Final = QueueKeys(
    lambda bucket: _key(bucket, "forgetting", "due"),
    lambda bucket: _key(bucket, "forgetting", "failed"),
    lambda bucket: _key(bucket, "forgetting", "state", ""),
)
KEPT_FROM_FORGETTING: Final = frozenset({"gone", "forgotten", "forgetting"})
"""Second parts of the names of keys that outlive the user whose id they have."""


@dataclass(frozen=True, slots=True)
class OutboxKeys:
    """The keys of an outbox."""

    name: str

    def of(self, bucket: int, name: str) -> str:
        """`due`, `failed`, `dead` or `totals` of a bucket."""
        return _key(bucket, self.name, name)

    def queues(self, bucket: int) -> str:
        """Prefix of the `queue` keys; an outbox member follows."""
        return _key(bucket, self.name, "queue", "")

    def states(self, bucket: int) -> str:
        """Prefix of the `state` keys; an outbox member follows."""
        return _key(bucket, self.name, "state", "")

    def added(self, outbox_member: str, message_id: str) -> str:
        return _key(outbox_bucket(outbox_member), self.name, "added", outbox_member, message_id)

    @property
    def queue(self) -> QueueKeys:
        """As a `LeasedQueue`."""
        return QueueKeys(lambda bucket: self.of(bucket, "due"), lambda bucket: self.of(bucket, "failed"), self.states)


RECONIFY: Final = OutboxKeys("outbox")
WEBHOOKS: Final = OutboxKeys("webhooks")
LEARNING_QUEUE: Final = QueueKeys(
    lambda bucket: learning(bucket, "due"), lambda bucket: learning(bucket, "failed"), learning_states
)
