"""The circuit that leaves a dead endpoint alone."""

from __future__ import annotations

import pytest

from recallr_litellm.delivery.circuit import THRESHOLD, Circuit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.failed()


def new_circuit(longest: float = 60.0) -> tuple[Circuit, Clock]:
    clock = Clock()
    return Circuit(longest, clock=clock), clock


def test_a_circuit_opens_after_failures_in_a_row() -> None:
    circuit, _ = new_circuit()
    fail(circuit, THRESHOLD - 1)
    circuit.answered()
    fail(circuit, THRESHOLD - 1)
    assert circuit.is_closed
    assert circuit.room(3, 16) == 13
    circuit.failed()
    assert not circuit.is_closed
    assert circuit.room(0, 16) == 0


def test_an_open_circuit_lets_one_through_after_its_pause_and_closes_when_it_is_answered() -> None:
    circuit, clock = new_circuit()
    fail(circuit, THRESHOLD)
    clock.now += circuit.pause + 0.001
    assert (circuit.room(0, 16), circuit.room(1, 16)) == (1, 0), "more than one may try a dead endpoint"
    circuit.answered()
    assert circuit.is_closed


def test_the_pauses_of_a_circuit_grow_and_are_bounded() -> None:
    """With full jitter each is anywhere below its bound, so many are looked at."""
    found: list[list[float]] = [[] for _ in range(12)]
    for _ in range(200):
        circuit, clock = new_circuit(longest=60.0)
        fail(circuit, THRESHOLD - 1)
        for pauses in found:
            circuit.failed()
            pauses.append(circuit.pause)
            clock.now += circuit.pause + 0.001
    for number, pauses in enumerate(found):
        bound = min(60.0, 2.0**number)
        assert max(pauses) <= bound + 0.001, f"pause {number + 1} is longer than {bound} s"
        assert max(pauses) > bound * 0.9, f"pause {number + 1} does not grow to {bound} s"
        assert min(pauses) < bound * 0.1, f"pause {number + 1} has no full jitter: workers would come back together"


def test_retry_after_is_kept_whatever_else_is_answered() -> None:
    circuit, clock = new_circuit(longest=1.0)
    circuit.failed(retry_after=30)
    circuit.answered()
    circuit.failed()
    assert circuit.pause == pytest.approx(30)
    assert circuit.room(0, 16) == 0
    clock.now += 30.001
    assert circuit.room(0, 16) == 1, "after the pause, one payload finds out"
