"""Runs the demo's processes in their own iceoryx2 domain."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from demo.shared_memory import SharedMemoryUse


class ProcessError(RuntimeError):
    """A process of the demo failed or did not exit."""


def run_together(commands: dict[str, list[str]], timeout: float) -> tuple[dict[str, str], SharedMemoryUse]:
    """Run modules in parallel until all of them have exited, and measure their use of shared memory.

    Args:
        commands: Module and arguments of each process, keyed by the name used in messages. The processes inherit
            standard error.
        timeout: Seconds after which all remaining processes are killed.

    Returns:
        The output of each process, and the shared memory that they used.

    Raises:
        ProcessError: The timeout expired, or a process failed. The other processes are then killed immediately, because
            they would wait for it.
    """
    # A separate domain does not disturb other processes; all files in /dev/shm with this prefix belong to the demo.
    root, prefix = Path(f"/tmp/iox2-demo-{os.getpid()}"), f"demo{os.getpid()}_"
    environment = os.environ | {"IOX2_VIDEO_DOMAIN": f"{root}:{prefix}"}
    memory = SharedMemoryUse(prefix)
    running: dict[str, subprocess.Popen[str]] = {}
    deadline = time.monotonic() + timeout
    try:
        for name, (module, *arguments) in commands.items():
            command = [sys.executable, "-m", module, *arguments]
            running[name] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        while None in (codes := {name: child.poll() for name, child in running.items()}).values():
            if any(codes.values()) or time.monotonic() > deadline:
                break
            memory.sample()
            time.sleep(0.1)
    finally:
        for child in running.values():
            child.kill()
        printed = {name: child.communicate()[0] for name, child in running.items()}
        memory.remove_leftovers()
        shutil.rmtree(root, ignore_errors=True)
    bad = {name: "did not end" if code is None else f"exit code {code}" for name, code in codes.items() if code != 0}
    if bad:
        raise ProcessError(", ".join(f"{name}: {what}" for name, what in bad.items()))
    return printed, memory
