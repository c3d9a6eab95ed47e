"""A real Redis-compatible server (Valkey) as a process on a loopback TCP port."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from recallr_litellm.stores.state.process import valkey_program
from tests.support.listeners import free_port
from tests.support.process import ServerProcess


class RedisServer(ServerProcess):
    """Valkey's own server with an append-only file in `folder`, as an operator would run it beside the gateway.

    A killed server that is restarted has every acknowledged write. With `everysec`, what is written while the file is
    being synced waits in the server, for two seconds at most, and goes with it.

        with RedisServer(tmp_path) as server:
            client = redis.Redis.from_url(server.url)
    """

    def __init__(self, folder: Path, *, port: int | None = None, password: str | None = None) -> None:
        """`port`: a free one if not given; kept over restarts."""
        super().__init__(folder, name="redis")
        self.port = port or free_port()
        self._password = password

    @property
    def url(self) -> str:
        """For `RECALLR_REDIS_URL`; holds the password, if there is one."""
        credentials = f":{self._password}@" if self._password else ""
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        arguments = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        if self._password:
            arguments["requirepass"] = self._password
        return [str(valkey_program()), *(part for name, value in arguments.items() for part in (f"--{name}", value))]

    def ready(self) -> bool:
        # without redis-py's own retries, which wait seconds: the caller asks again anyway
        with redis.Redis.from_url(self.url, socket_timeout=30.0, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):  # BusyLoading is a ConnectionError too
                return False
