"""What a process uses, as Linux tells it: CPU time, memory; and how busy the machine is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Memory:
    """Physical memory of a process, MB: its proportional set size, since Qdrant maps the file of its vectors twice,
    and the resident set size counts every page of it as often."""

    total: float
    own: float
    """Not backed by files: what the kernel cannot take back."""

    def above(self, other: Memory) -> Memory:
        """What this one uses more."""
        return Memory(self.total - other.total, self.own - other.own)


def memory_of(pid: int | str = "self") -> Memory:
    """Memory of a process."""
    _, *lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    rollup = dict(line.split(":", 1) for line in lines)
    total, own = (int(rollup[name].split()[0]) * 1024 / _MEGABYTE for name in ("Pss", "Pss_Anon"))
    return Memory(total, own)


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, in steps of a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def cpu_seconds_exactly(pid: int) -> float:
    """The same by the clock of the process: short work can be told apart."""
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3)


def load() -> str:
    """Load averages and cores: figures of a busy machine are worth less."""
    return f"load {' '.join(f'{value:.1f}' for value in os.getloadavg())} on {os.cpu_count()} cores"
