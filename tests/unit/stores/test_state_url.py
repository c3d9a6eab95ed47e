"""Which Redis a URL means, and that no piece of it is ever shown."""

from __future__ import annotations

import pytest

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.stores.state import connect
from recallr_litellm.stores.state.url import RedisUrl, Topology

SECRET = "s3cret"


def test_a_single_server() -> None:
    url = RedisUrl.parse("rediss://user:s%2F3@redis.example:6380/2?ssl_cert_reqs=none")
    assert (url.topology, url.nodes, url.tls) == (Topology.SINGLE, (("redis.example", 6380),), True)
    assert url.options == {"username": "user", "password": "s/3", "db": 2, "ssl_cert_reqs": "none"}
    assert url.address == "redis.example:6380"


def test_a_socket() -> None:
    url = RedisUrl.parse("unix:///run/my%20redis.sock?db=1")
    assert url.options == {"path": "/run/my redis.sock", "db": 1}
    assert url.address == "/run/my redis.sock"


def test_a_cluster() -> None:
    url = RedisUrl.parse("redis+cluster://:pw@a:7000,b,[::1]:7002")
    assert (url.topology, url.tls) == (Topology.CLUSTER, False)
    assert url.nodes == (("a", 7000), ("b", 6379), ("::1", 7002))
    assert url.options == {"password": "pw"}


def test_sentinels() -> None:
    url = RedisUrl.parse("rediss+sentinel://u:pw@a,b:26380/recallr/3?sentinel_password=other")
    assert (url.topology, url.service, url.tls) == (Topology.SENTINEL, "recallr", True)
    assert url.nodes == (("a", 26379), ("b", 26380))
    assert url.options == {"username": "u", "password": "pw", "db": 3, "sentinel_password": "other"}


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        (f"http://:{SECRET}@host", "redis://"),
        (f"{SECRET}", "redis://"),
        (f"redis+ring://:{SECRET}@host", "redis+cluster://"),
        (f"redis://:a/{SECRET}@host:6379", "percent-encoded"),
        (f"redis://:12/{SECRET}@host:6379", "percent-encoded"),
        (f"redis://user:12#{SECRET}@host:6379", "percent-encoded"),
        (f"redis://:{SECRET}@host:port", "percent-encoded"),
        (f"redis://[{SECRET}", "percent-encoded"),
        (f"redis://:{SECRET}@", "host"),
        (f"redis://:{SECRET}@a,b", "redis+cluster://"),
        (f"redis://:{SECRET}@host/0?socket_timeout=soon", "percent-encoded"),
        (f"redis://:{SECRET}@host/0?{SECRET}=1", "argument"),
        (f"redis+cluster://:{SECRET}@a,b/1", "database"),
        (f"redis+cluster://:{SECRET}@a,b/0?nonsense=1", "argument"),
        (f"redis+sentinel://:{SECRET}@a,b", "service"),
        (f"redis+sentinel://:{SECRET}@a,b/name?nonsense=1", "argument"),
        (f"unix://{SECRET}", "path"),
    ],
)
def test_a_wrong_url_is_explained_without_showing_it(url: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="RECALLR_REDIS_URL") as caught:
        connect(url, timeout_seconds=1)

    text = str(caught.value)
    assert hint in text, f"the message does not help: {text}"
    assert SECRET not in text
    assert caught.value.__context__ is None or caught.value.__suppress_context__, "a traceback would show the URL"
