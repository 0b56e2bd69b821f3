"""Which process runs a turn, and whether it still lives.

An owner is `"<pid> <time of its start>"`. The time tells a process from a later one that was given the same pid.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def this_process() -> str:
    """The owner that stands for this process."""
    return f"{os.getpid()} {_started(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process that wrote this owner still runs."""
    pid, _, started = owner.partition(" ")
    return pid.isdecimal() and _started(int(pid)) == started != ""


def pid_of(owner: str) -> str:
    """The pid, for a person."""
    return owner.partition(" ")[0]


def _started(pid: int) -> str:
    """When the process started, in the platform's own words; empty if there is none or it is a zombie."""
    if sys.platform == "win32":
        return _started_on_windows(pid)
    if Path("/proc/self/stat").exists():
        return _started_by_proc(pid)
    return _started_by_ps(pid)


def _started_by_proc(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str:
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    asked = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    return " ".join(asked.stdout.split())


def _started_on_windows(pid: int) -> str:
    if sys.platform != "win32":
        return ""
    import ctypes
    from ctypes import wintypes

    query_limited_information, still_active = 0x1000, 259
    kernel = ctypes.WinDLL("kernel32")
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = wintypes.HANDLE(kernel.OpenProcess(query_limited_information, False, pid))
    if not handle:
        return ""
    try:
        code = wintypes.DWORD()
        created, *others = (wintypes.FILETIME() for _ in range(4))
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        known = kernel.GetProcessTimes(handle, ctypes.byref(created), *(ctypes.byref(time) for time in others))
        if not known or code.value != still_active:
            return ""
        return str((created.dwHighDateTime << 32) + created.dwLowDateTime)
    finally:
        kernel.CloseHandle(handle)
