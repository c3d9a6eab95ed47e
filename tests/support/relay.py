"""A TCP relay in front of a server: slow, or unkind to what it does not like."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from tests.support.listeners import Server, hang_up


class Relay(Server):
    """Passes bytes between its own port and a server's, both on loopback.

        with Relay(redis.port) as relay:
            Proxy(..., redis_url=f"redis://{relay.address}/0")
            relay.delay = 2.0                          # every answer comes two seconds late
            relay.refuse = b"PUT /collections"         # whoever says this is hung up on

    Both may be changed at any time, and hold for the connections that are open too.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self.delay = 0.0
        """Seconds that each piece of an answer is held back."""
        self.refuse: bytes | None = None
        """A connection over which these bytes are sent is closed, and they do not arrive."""

    def _accepted(self, connection: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:  # the server is down: the client is to find its connection closed
            hang_up(connection)
            return
        self._open += [connection, server]
        for pump, source, sink in ((self._ask, connection, server), (self._answer, server, connection)):
            threading.Thread(target=pump, args=(source, sink), name="relay", daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with _until_closed(client, server):
            while data := client.recv(1 << 20):
                if self.refuse is not None and self.refuse in data:
                    return
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with _until_closed(client, server):
            while data := server.recv(1 << 20):
                time.sleep(self.delay)
                client.sendall(data)


@contextlib.contextmanager
def _until_closed(*connections: socket.socket) -> Iterator[None]:
    """Whichever side goes away, and however: both are closed then."""
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        for connection in connections:
            hang_up(connection)
