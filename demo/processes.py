"""The demo's processes, in an iceoryx2 domain of their own."""

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
    """Run modules in parallel until all have exited, and measure the shared memory meanwhile.

    Args:
        commands: Module and arguments, by a name for messages. Their standard error is this process's.
        timeout: Seconds after which the rest is killed.

    Returns:
        What each printed, and the memory that they used.

    Raises:
        ProcessError: One failed (the others are killed at once: they would wait for it), or time ran out.
    """
    # A domain of its own disturbs no other process; everything in /dev/shm with this prefix belongs to the demo.
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
