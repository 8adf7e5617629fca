"""CPU time of processes, as the kernel counts it for them: user and system, all threads."""

import os
from pathlib import Path

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


def process_us(pid: int) -> int:
    """Microseconds that one process has used so far."""
    user, system, _, _, _ = _fields(pid)
    return (user + system) * _TICK_US


def tree_us(root: int) -> int:
    """Microseconds that a process, its children and the children it has buried have used: a Postgres with its backends."""
    total = 0
    wanted = {root}
    seen = {
        int(entry.name): _fields_or_none(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()
    }
    for pid, fields in sorted(seen.items()):
        if fields is not None and (pid in wanted or fields[4] in wanted):
            wanted.add(pid)
            total += sum(fields[:4])
    return total * _TICK_US


def machine_us() -> int:
    """Microseconds that all processes of this machine have used so far."""
    user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split(maxsplit=8)[1:]
    return sum(int(part) for part in (user, nice, system, irq, softirq)) * _TICK_US


def _fields(pid: int) -> tuple[int, int, int, int, int]:
    """User, system, buried children's user and system, parent."""
    rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(rest[11]), int(rest[12]), int(rest[13]), int(rest[14]), int(rest[1])


def _fields_or_none(pid: int) -> tuple[int, int, int, int, int] | None:
    try:
        return _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
