"""What a running process has used: CPU time and memory, its children included.

Linux only, as everything in this directory.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and its descendants: a broker may be a start script, or have workers."""
    members = [pid]
    for member in members:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            members += [int(word) for word in children.read_text().split()]
    return members


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, user and system, with all its threads, those that ended included.

    This is the kernel's CPU clock of that process, exact to the nanosecond where
    ``/proc/PID/stat`` counts hundredths of a second. Its number is made as glibc's
    ``clock_getcpuclockid`` makes it: the complement of the process id, and 2 for "scheduled time".
    """
    return sum(time.clock_gettime((~member << 3) | 2) for member in family(pid))


def memory_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = sum(int(Path(f"/proc/{m}/statm").read_text().split()[1]) for m in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE")
