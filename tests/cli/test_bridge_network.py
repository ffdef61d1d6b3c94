"""Without endpoints only bridges of the same user can reach a bridge; with endpoints only these are used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")

from gst_iceoryx2.bridge import NetworkError, sockets
from gst_iceoryx2.bridge.sockets import meeting, own_folder
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import FAR, NEAR, Bridge, Pair, flat, free_port
from tests.conftest import Place
from tests.containers.conftest import unshare, why_not
from tests.processes.children import ROOT
from tests.waiting import wait_until

NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be two users")
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
_TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")


def ip_sockets(pid: int) -> list[str]:
    """The IP sockets of a process: table, local address and state, as in /proc/PID/net."""
    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(entry.path))
    found = []
    for table in _TABLES:
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if f"socket:[{fields[9]}]" in inodes:
                    found.append(f"{table} {fields[1]} {fields[3]}")
    return found


def unix_sockets(pid: int) -> list[Path]:
    """Paths on which a process listens in the folder of this user's bridges."""
    return [path for path in own_folder().glob("*") if path.is_socket() and owner(path) == pid]


def owner(path: Path) -> int | None:
    """Id of the process that listens at a path."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None
        return int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)


# -- all bridges of one user hear each other -------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 3, 0, 2), None], ids=str)
@pytest.mark.proves("B2")
def test_four_bridges_in_any_order_hear_each_other_also_after_the_first_was_killed(
    bridge: Bridge, key: str, pair: Pair, order: tuple[int, ...] | None
) -> None:
    """A chain of four bridges uses three of the six pairs; both orders together use all pairs.

    Zenoh peers that are connected only to the first peer do not hear each other.
    """
    keys = [f"zenoh:{key}/{number}" for number in range(3)]
    ends = [("near", keys[0]), (keys[0], keys[1]), (keys[1], keys[2]), (keys[2], "far")]
    running = {}
    for number in order or range(4):
        running[number] = bridge(*ends[number], "--codec", "raw")
        if order is not None:
            running[number].says(" to ")
    frame = pair.send(flat((1, 1, 1)))
    del frame
    first = (order or (0,))[0]
    (path,) = unix_sockets(running[first].process.pid)
    running[first].process.kill()
    running[first].process.wait()
    bridge(*ends[first], "--codec", "raw").says(" to ")
    frame = pair.send(flat((2, 2, 2)))
    while frame.numpy_view()[0, 0, 0] != 2:
        frame = pair.send(flat((2, 2, 2)))
    del frame
    assert not path.exists(), "the socket of the killed bridge is still there"


@pytest.mark.proves("B2")
def test_bridges_of_two_domains_of_one_user_meet(
    bridge: Bridge, key: str, domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Place()
    try:
        with VideoFramePublisher(NEAR) as publisher:
            bridge("near", f"zenoh:{key}")
            monkeypatch.setenv("IOX2_VIDEO_DOMAIN", other.variable)
            # A login session and a system service have different runtime folders.
            monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
            bridge(f"zenoh:{key}", "far")
            with VideoFrameSubscriber(FAR) as subscriber:
                frame = Pair(publisher, subscriber).send(flat((1, 1, 1)))
                del frame
    finally:
        other.remove()


# -- and nobody else -------------------------------------------------------------------------------------------------


@LINUX_ONLY
@pytest.mark.proves("B1")
def test_without_endpoints_a_bridge_has_no_ip_socket(bridge: Bridge, key: str, pair: Pair) -> None:
    """Regression: Zenoh's scouting socket (UDP) made it connect to any machine that announced itself."""
    commands = [bridge("near", f"zenoh:{key}"), bridge(f"zenoh:{key}", "far")]
    frame = pair.send(flat((1, 1, 1)))
    del frame
    assert [ip_sockets(command.process.pid) for command in commands] == [[], []]


@LINUX_ONLY
@pytest.mark.proves("B3")
def test_with_endpoints_a_bridge_has_exactly_those(bridge: Bridge, key: str, pair: Pair) -> None:
    port = free_port()
    listener = bridge("near", f"zenoh:{key}", "--listen", f"tcp/127.0.0.1:{port}")
    connector = bridge(f"zenoh:{key}", "far", "--connect", f"tcp/127.0.0.1:{port}")
    frame = pair.send(flat((1, 1, 1)))
    del frame
    address = f"tcp 0100007F:{port:04X}"
    # State 0A = listening, 01 = connected.
    assert sorted(ip_sockets(listener.process.pid)) == [f"{address} 01", f"{address} 0A"]
    assert [entry.partition(" ")[0] + entry[-3:] for entry in ip_sockets(connector.process.pid)] == ["tcp 01"]
    assert [unix_sockets(command.process.pid) for command in (listener, connector)] == [[], []]


@ROOT_ONLY
@LINUX_ONLY
@pytest.mark.proves("B1")
def test_another_user_of_this_machine_cannot_connect(bridge: Bridge, key: str) -> None:
    """Regression: the loopback TCP socket was open to all local users."""
    running = bridge(f"zenoh:{key}", "far")
    running.says(" to ")
    (path,) = unix_sockets(running.process.pid)
    program = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    # Other users may have no access to the interpreter of a virtual environment.
    interpreter = [os.path.realpath(sys.executable), "-I", "-S", "-c", program, str(path)]
    ended = subprocess.run(interpreter, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True)
    assert "PermissionError" in ended.stderr
    subprocess.run(interpreter, check=True)


class Namespace:
    """A network namespace that ends with its process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        ours = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != ours)

    @property
    def prefix(self) -> tuple[str, ...]:
        """The prefix of a command that runs in the namespace."""
        return ("nsenter", "-t", str(self.process.pid), "--net")

    def __call__(self, line: str) -> None:
        subprocess.run([*self.prefix, *line.split()], check=True, capture_output=True)


@pytest.fixture
def machines() -> Iterator[tuple[Namespace, Namespace]]:
    """Two network namespaces on a veth pair, 10.99.0.1 and 10.99.0.2."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("needs unshare and nsenter (util-linux) and ip (iproute2)")
    tried = subprocess.run(["unshare", "--net", "ip", "link", "add", "type", "veth"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no network namespaces here: {tried.stderr.strip()}")
    pair = (Namespace(), Namespace())
    try:
        pair[0](f"ip link add near type veth peer name far netns {pair[1].process.pid}")
        for number, (machine, name) in enumerate(zip(pair, ("near", "far"), strict=True), 1):
            machine(f"ip address add 10.99.0.{number}/24 dev {name}")
            machine(f"ip link set {name} up")
            machine("ip link set lo up")
        yield pair
    finally:
        for machine in pair:
            machine.process.kill()
            machine.process.wait()


# Announces itself as a Zenoh peer to all UDP ports of the other machine, and reports connections.
_SWEEP = """
import socket, sys, time
listener = socket.create_server(("10.99.0.2", 7999))
listener.setblocking(False)
locator = b"tcp/10.99.0.2:7999"
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[1])):
    hello = b"\\x22\\x09\\xf1" + bytes(15) + bytes([number + 1]) + b"\\x01" + bytes([len(locator)]) + locator
    for port in range(1, 65536):
        try:
            sender.sendto(hello, ("10.99.0.1", port))
        except ConnectionRefusedError:
            pass
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            listener.accept()
        except BlockingIOError:
            time.sleep(0.01)
        else:
            sys.exit("connected")
"""

_SCOUT = """
import sys, zenoh
config = zenoh.Config()
config.insert_json5("mode", '"peer"')
config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:0"]')
config.insert_json5("scouting/multicast/interface", '"lo"')
with zenoh.open(config):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.proves("B1")
def test_another_machine_that_announces_itself_to_every_port_gets_nothing(
    bridge: Bridge, key: str, pair: Pair, machines: tuple[Namespace, Namespace]
) -> None:
    """Regression: Hello datagrams made a bridge without endpoints connect to another machine and send frames."""
    here, there = machines

    def is_believed(sweeps: int) -> bool:
        attacker = [*there.prefix, sys.executable, "-c", _SWEEP, str(sweeps)]
        ended = subprocess.run(attacker, stderr=subprocess.PIPE, text=True, timeout=50)
        assert ended.stderr in ("", "connected\n")
        return bool(ended.stderr)

    # A session with scouting connects, so the datagrams are valid.
    with subprocess.Popen(
        [*here.prefix, sys.executable, "-c", _SCOUT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as scout:
        assert scout.stdout is not None
        assert scout.stdout.readline() == "open\n"
        assert is_believed(20)
        scout.communicate("")
    commands = [
        bridge("near", f"zenoh:{key}", prefix=here.prefix),
        bridge(f"zenoh:{key}", "far", prefix=here.prefix),
    ]
    frame = pair.send(flat((1, 1, 1)))
    del frame
    assert not is_believed(2)
    assert [ip_sockets(command.process.pid) for command in commands] == [[], []]
    frame = pair.send(flat((2, 2, 2)))
    del frame


# -- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ("mkdir -m 755 {}", "other users can enter it (mode 755); run `chmod 700 {}`"),
        ("ln -s /var/tmp {}", "it is a file or a symbolic link; remove it"),
        ("touch {}", "it is a file or a symbolic link; remove it"),
        pytest.param(
            "mkdir {0} && chown 65534 {0}",
            "it belongs to user 65534; ask that user or root to remove it",
            marks=ROOT_ONLY,
        ),
    ],
)
@pytest.mark.proves("B1")
def test_a_folder_that_another_user_may_have_planted_is_refused(
    bridge: Bridge, domain: Place, planted: str, reason: str
) -> None:
    why = why_not()
    if why is not None:
        pytest.skip(f"no mount namespaces here: {why}")
    folder = "/tmp/iox2-video-bridges-0"
    # An empty /tmp, but for this repository if it lies there.
    shell = (
        f"mount --rbind {ROOT} /mnt && mount -t tmpfs none /tmp && mkdir -p {ROOT} && mount --rbind /mnt {ROOT} && "
        f'{planted.format(folder)} && exec "$@"'
    )
    command = bridge("near", "zenoh:key", prefix=(*unshare(), "sh", "-c", shell, "sh"))
    assert f"Error: bridges of user 0 cannot use {folder}: {reason.format(folder)}, or give" in command.ends(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "b"


@pytest.mark.proves("B2")
def test_only_the_sockets_of_bridges_that_run_are_found_and_the_other_ones_removed(folder: Path) -> None:
    with meeting(folder) as (own, others):
        assert others == []
        assert own.startswith(f"unixsock-stream/{folder}/")
    assert folder.stat().st_mode & 0o777 == 0o700
    names = {name: folder / (name * 16) for name in "abcd"}
    with contextlib.ExitStack() as stack:
        for name in "ab":
            living = stack.enter_context(socket.socket(socket.AF_UNIX))
            living.bind(str(names[name]))
            living.listen(0)
        # A suspended bridge accepts no connection. When its queue is full, another connection waits.
        for _ in range(5):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(str(names["b"]))
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(names["c"]))
        for path in (names["c"].with_suffix(".lock"), names["d"].with_suffix(".lock"), names["a"].with_suffix(".lock")):
            path.touch()
        (folder / "notes.txt").touch()
        with meeting(folder) as (_, others):
            assert others == [f"unixsock-stream/{names[name]}" for name in "ab"]
        assert {path.name for path in folder.iterdir()} == {"a" * 16, "a" * 16 + ".lock", "b" * 16, "notes.txt"}


def test_a_bridge_waits_for_another_one_to_start_but_not_indefinitely(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_PATIENCE", 0.1)
    with meeting(folder):
        refused = pytest.raises(NetworkError, match=f"has locked it for 0.1 s; find the process with `fuser {folder}`")
        with refused, meeting(folder):
            pass
        descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
