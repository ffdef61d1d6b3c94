"""The alternatives: other elements of GStreamer, and transports that Python programs commonly use."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import replace

from benchmarks.transports import Transport

_RING, _ZEROMQ, _SOCKET, _REDIS = (f"peers.{name}" for name in ("ring", "zeromq", "unix_socket", "redis_pubsub"))


def peers() -> tuple[list[Transport], dict[str, str]]:
    """Return the installed peers, and why others are missing."""
    found, missing = [*_gstreamer_shm(), *_ring()], {}
    for names, ways, reason in (
        ("unixfdsink", _unixfd(), _lacks_element("unixfdsink")),
        ("ZeroMQ", [_python("ZeroMQ ipc", _ZEROMQ, copies=2)], _lacks_module("zmq")),
        ("Unix socket", [_python("Unix socket", _SOCKET, copies=2)], None),
        # Into the server and out of it, through the kernel each, and once more on both sides of the Python client.
        ("Redis", [_python("Redis pub/sub", _REDIS, copies=6, waits=False)], _lacks_redis()),
    ):
        if reason is None:
            found += ways
        else:
            missing[names] = reason
    return found, missing


def _pair(name: str, sink: str, source: str) -> list[Transport]:
    native = Transport(f"{name}sink → {name}src", sink, source, waits=True)
    receiver = ("peers.appsink", source)
    return [native, replace(native, name=f"{name}sink → Python", source=None, receiver=receiver)]


def _gstreamer_shm() -> list[Transport]:
    return _pair(
        "shm",
        'shmsink socket-path="{folder}/shm" shm-size={pool} sync=false wait-for-connection=false',
        'shmsrc socket-path="{folder}/shm" is-live=true ! capsfilter caps={caps}',
    )


def _unixfd() -> list[Transport]:
    return _pair("unixfd", 'unixfdsink socket-path="{folder}/fd" sync=false', 'unixfdsrc socket-path="{folder}/fd"')


def _ring() -> list[Transport]:
    direct = _python("shared_memory ring", _RING, copies=1)
    through = replace(direct, name="appsink → shared_memory ring", sender=(*direct.sender, "--appsink", "{caps}"))
    return [direct, through]


def _python(name: str, module: str, copies: int, *, waits: bool = True) -> Transport:
    ends = ("--folder", "{folder}", "--bytes", "{bytes}")
    sender, receiver = (module, "send", *ends), (module, "receive", *ends)
    return Transport(name, None, None, sender=sender, receiver=receiver, copies=copies, waits=waits)


def _lacks_element(name: str) -> str | None:
    if subprocess.run(["gst-inspect-1.0", "--exists", name], check=False).returncode == 0:
        return None
    return f"this GStreamer has no {name} (1.24 has)"


def _lacks_module(name: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"pip install --group benchmark (there is no module {name})"


def _lacks_redis() -> str | None:
    if shutil.which("redis-server") is None:
        return "apt-get install redis-server"
    return _lacks_module("redis")
