"""Ports that misbehave: refuse, accept and hang, answer slowly."""

from __future__ import annotations

import contextlib
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


class Server:
    """A TCP server on a loopback port, from `with` on."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)  # how soon the accepting thread notices that it should end
        self._thread = threading.Thread(target=self._accept, name=type(self).__name__, daemon=True)
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
            hang_up(connection)

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                self._accepted(self._server.accept()[0])

    def _accepted(self, connection: socket.socket) -> None:
        """What becomes of a connection; must not block."""
        raise NotImplementedError


def hang_up(connection: socket.socket) -> None:
    """Close a connection, whatever state it is in."""
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class Listener(Server):
    """A TCP server that accepts and, unless told otherwise, never answers.

        with Listener() as hung:
            Proxy(..., qdrant_url=f"http://{hung.address}")
        with Listener(answer=b"+PONG\\r\\n") as answering: ...

    With an `answer`, each piece of data received is answered by those bytes.
    """

    def __init__(self, *, answer: bytes | None = None) -> None:
        super().__init__()
        self._answer = answer

    @property
    def connections(self) -> int:
        """How many were accepted so far: a test can show that somebody really tried."""
        return len(self._open)

    def _accepted(self, connection: socket.socket) -> None:
        self._open.append(connection)
        if self._answer is not None:
            threading.Thread(target=self._reply, args=(connection, self._answer), daemon=True).start()

    def _reply(self, connection: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):  # the other side, or `__exit__`, closed the connection
            while connection.recv(65536):
                connection.sendall(answer)
