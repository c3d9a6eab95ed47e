"""Ports that misbehave: refuse, accept and hang, answer slowly."""

from __future__ import annotations

import random
import socket
import threading
from typing import Self

_chance = random.SystemRandom()  # of its own: Hypothesis seeds the other one
_reservations: list[socket.socket] = []


def free_port() -> int:
    """A loopback TCP port that nobody listens on: connecting to it is refused until somebody does.

    It stays the caller's, however long a server takes to start on it: it is from below the range out of which the
    system serves connections, and no other run of these tests gets it while this process lives, since each reserves its
    ports by the UDP ports of the same numbers.
    """
    while True:
        port = _chance.randrange(15_000, 32_000)
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        return port


class Listener:
    """A TCP server that accepts and, unless told otherwise, never answers.

        with Listener() as hung:
            Proxy(..., qdrant_url=f"http://{hung.address}")
        with Listener(answer=b"+PONG\\r\\n", delay=2.0) as slow: ...

    With an `answer`, each piece of data received is answered by those bytes after `delay` seconds.
    `connections` counts what came in, so that a test can show that somebody really tried.
    """

    def __init__(self, *, answer: bytes | None = None, delay: float = 0.0) -> None:
        self._answer = answer
        self._delay = delay
        self._closing = threading.Event()
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)  # how soon the accepting thread notices that it should end
        self._thread = threading.Thread(target=self._accept, name="listener", daemon=True)
        self.port: int = self._server.getsockname()[1]

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many were accepted so far."""
        return len(self._open)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        for connection in (self._server, *self._open):
            connection.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            self._open.append(connection)
            if self._answer is not None:
                threading.Thread(target=self._reply, args=(connection, self._answer), daemon=True).start()

    def _reply(self, connection: socket.socket, answer: bytes) -> None:
        try:
            while connection.recv(65536) and not self._closing.wait(self._delay):
                connection.sendall(answer)
        except OSError:
            return  # the other side, or `__exit__`, closed the connection: this conversation is over
