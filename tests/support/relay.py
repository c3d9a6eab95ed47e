"""A TCP relay in front of a server: slow, or unkind to what it does not like."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Self


class Relay:
    """Passes bytes between its own port and a server's, both on loopback.

        with Relay(redis.port) as relay:
            Proxy(..., redis_url=f"redis://{relay.address}/0")
            relay.delay = 2.0                          # every answer comes two seconds late
            relay.refuse = b"PUT /collections"         # whoever says this is hung up on

    Both may be changed at any time, and hold for the connections that are open too.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.delay = 0.0
        """Seconds that each piece of an answer is held back."""
        self.refuse: bytes | None = None
        """A connection over which these bytes are sent is closed, and they do not arrive."""
        self.refused = 0
        """How many connections were closed for what they said."""
        self._closing = threading.Event()
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)  # how soon the accepting thread notices that it should end
        self._thread = threading.Thread(target=self._accept, name="relay", daemon=True)
        self.port: int = self._server.getsockname()[1]

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        for connection in (self._server, *self._open):
            _hang_up(connection)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # the server is down: the client is to find its connection closed
                _hang_up(client)
                continue
            self._open += [client, server]
            for pump, source, sink in ((self._ask, client, server), (self._answer, server, client)):
                threading.Thread(target=pump, args=(source, sink), name="relay", daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with _until_closed(client, server):
            while data := client.recv(1 << 20):
                if self.refuse is not None and self.refuse in data:
                    self.refused += 1
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
            _hang_up(connection)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
