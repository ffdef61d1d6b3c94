"""A process that cannot start names the cause; the Python package and the elements use the same text.

Each fault is made in a mount namespace, or by a limit of the process.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from gst_iceoryx2._iox2 import domain
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._iox2.objects import node_counter
from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from tests.conftest import Place

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "video/refused/frame/v2"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
START = """
import sys
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
for make in (VideoFramePublisher, VideoFrameSubscriber):
    try:
        make(sys.argv[1]).close()
        print("started")
    except Exception as error:
        print(type(error).__name__, error)
"""


def why_not() -> str | None:
    try:
        tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else None


REASON = why_not()
pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"cannot make a mount namespace: {REASON}"),
    pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not installed"),
]


@cache
def registry() -> str:
    """Write GStreamer's registry before the fault is made, because writing it would fail, too."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    environment = {"GST_PLUGIN_PATH": str(plugin_library().parent), "GST_REGISTRY": str(folder / "registry")}
    subprocess.run(
        ["gst-inspect-1.0", "iceoryx2src"], env=os.environ | environment, stdout=subprocess.DEVNULL, check=True
    )
    (folder / "registry").chmod(0o644)
    return str(folder / "registry")


class Answer(NamedTuple):
    """Return the errors of both languages."""

    python: list[str]
    element: str


def ask(prepare: str, as_user: tuple[str, ...] = (), **environment: str) -> Answer:
    """Start publisher, subscriber and source in a mount namespace after these shell commands."""
    python = shlex.join([*as_user, sys.executable, "-c", START, SERVICE])
    element = shlex.join([*as_user, "gst-launch-1.0", "iceoryx2src", f"service={SERVICE}", "!", "fakesink"])
    told = []
    gst = {"GST_PLUGIN_PATH": str(plugin_library().parent), "GST_REGISTRY": registry(), "GST_REGISTRY_UPDATE": "no"}
    for command in (python, f"exec {element}"):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"{prepare}\n{command}"],
            cwd=ROOT,
            env=os.environ | gst | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python")))} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told.append(done.stdout + done.stderr)
    lines = [line for line in told[0].splitlines() if " " in line or line == "started"]
    return Answer(lines, told[1])


def sentence(reason: str, domain: Place) -> str:
    return f'cannot open "{SERVICE}" in the iceoryx2 domain {domain.root}: {reason}'


ANOTHER = "or use another domain (IOX2_VIDEO_DOMAIN=/path/of/yours)"
FULL = "mount -t tmpfs -o size=64k none {root}; head -c 99999 /dev/zero > {root}/filler 2>/dev/null"
BARE = "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9"
FAULTS = {
    "a file": ("touch {root}", "DomainError", "{root} is not a folder; remove it, " + ANOTHER),
    "a file above": (
        "touch {root}; export IOX2_VIDEO_DOMAIN={root}/below:{prefix}",
        "DomainError",
        "{root} is not a folder; remove it, " + ANOTHER,
    ),
    "a dangling link": (
        "ln -s /nowhere {root}",
        "DomainError",
        "{root} is a symbolic link to /nowhere, which does not exist; create /nowhere, remove {root}, " + ANOTHER,
    ),
    "a link in a circle": (
        "ln -s {root} {root}",
        "DomainError",
        "{root} is a symbolic link that leads to itself; remove it, " + ANOTHER,
    ),
    "a planted link": (
        "mkdir {root}; ln -s /tmp {root}/nodes",
        "DomainError",
        "{root}/nodes is a symbolic link, but must be a folder; remove it, " + ANOTHER,
    ),
    "a full disk": (
        "mkdir {root}; " + FULL,
        "DomainError",
        "the file system of {root}/services is full; remove files, " + ANOTHER,
    ),
    "no inodes": (
        "mkdir {root}; mount -t tmpfs -o nr_inodes=1 none {root}",
        "DomainError",
        "the file system of {root} cannot hold more files (limit 1); remove files, " + ANOTHER,
    ),
    "a read-only disk": (
        "mkdir {root}; mount -t tmpfs -o ro none {root}",
        "DomainError",
        "{root} is on a read-only file system; remount it writable, " + ANOTHER,
    ),
    "no shared memory": (
        BARE,
        "OutOfSharedMemoryError",
        "/dev/shm is not usable: No such file or directory (os error 2); mount it: mount -t tmpfs tmpfs /dev/shm",
    ),
    "read-only shared memory": (
        "mount -t tmpfs -o ro none /dev/shm",
        "OutOfSharedMemoryError",
        "/dev/shm is read-only; remount it writable: mount -o remount,rw /dev/shm",
    ),
    "shared memory without inodes": (
        "mount -t tmpfs -o nr_inodes=1 none /dev/shm",
        "OutOfSharedMemoryError",
        "/dev/shm cannot hold more files (limit 1); raise the limit (mount -o remount,nr_inodes=… /dev/shm), or remove "
        "files there",
    ),
    "small files only": (
        "ulimit -f 200",
        "TransportError",
        "this process may write files of at most 102400 bytes, but needs 262144; raise the limit (ulimit -f unlimited, "
        "LimitFSIZE=infinity in a systemd unit)",
    ),
    "another user's folder": (
        "mkdir {root}; chown 65534 {root}",
        "ServicePermissionError",
        "{root} belongs to user 65534 (this process runs as user 0); run all participants as the same user, " + ANOTHER,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.proves("E4")
def test_the_cause_is_told_alike_in_both_languages(fault: str, domain: Place) -> None:
    prepare, kind, reason = (text.format(root=domain.root, prefix=domain.prefix) for text in FAULTS[fault])
    answer = ask(prepare)
    place = Place()
    place.root = domain.root / "below" if "below" in prepare else domain.root
    expected = sentence(reason, place)
    assert answer.python == [f"{kind} {expected}"] * 2
    assert expected in answer.element
    if domain.root.is_symlink() or domain.root.is_file():
        domain.root.unlink()


@pytest.mark.parametrize("limit", [12, 13])
@pytest.mark.proves("E4")
def test_too_few_descriptors_are_told_with_both_numbers(limit: int, domain: Place) -> None:
    answer = ask(f"ulimit -n {limit}")
    told = re.compile(
        re.escape(sentence(f"this process may open at most {limit} files and can open only ", domain))
        + r"\d+ more, but a participant needs up to 20; raise the limit \(ulimit -n 65536"
    )
    refused = [line for line in answer.python if line != "started"]
    assert refused
    assert all(told.match(line.partition(" ")[2]) for line in refused), answer.python
    assert told.search(answer.element)


@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        ("touch {}", "is 0 bytes long instead of 16"),
        ("head -c 16 /dev/zero > {}", "was not created by iceoryx2 0.10.0"),
        ("printf '\\0\\0\\12\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0' > {}; chmod 600 {}", "has mode 0600"),
        ("mkdir {}", "is not a file"),
        ("ln -s /etc/passwd {}", "is not a file"),
    ],
)
@pytest.mark.proves("E5")
def test_what_another_user_planted_for_the_prefix_is_named(plant: str, fault: str, domain: Place) -> None:
    """The object that every participant of the prefix opens first must be sound."""
    path = node_counter(current_domain())
    prepare = plant.format(path, path)
    # Old enough not to count as unfinished.
    prepare = f"{prepare}; touch -h -d @1 {path}"
    answer = ask(prepare if "chmod" in plant else f"{prepare}; chmod go+rw {path}", NOBODY, HOME="/nonexistent")
    owner = f"{fault} and belongs to user 0 (this process runs as user 65534); remove it, or use your own prefix"
    expected = f"{path}, which every participant with prefix {domain.prefix} opens, {owner}"
    assert len(answer.python) == 2
    for line in answer.python:
        assert line.startswith(f"ServicePermissionError {sentence(expected, domain)}")
    assert sentence(expected, domain) in answer.element
    if path.is_dir():
        path.rmdir()


@pytest.mark.proves("E4")
def test_a_home_that_may_not_be_searched_is_passed_over(tmp_path: Path, domain: Place) -> None:
    """As with systemd's ProtectHome, and with HOME=/root after setuid."""
    closed = tmp_path / "closed"
    (closed / ".config" / "iceoryx2").mkdir(parents=True)
    (closed / ".config" / "iceoryx2" / "iceoryx2.toml").write_text("[global]\nprefix = 'other_'\n")
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:3]:
        if folder.name.startswith("pytest"):
            folder.chmod(0o755)
    closed.chmod(0o700)
    done = subprocess.run(
        [*NOBODY, sys.executable, "-c", START, SERVICE],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "HOME": str(closed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["started", "started"], done.stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO, errno.ELOOP, errno.ENOTDIR])
def test_a_configuration_that_cannot_be_reached_is_not_there(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = os.stat

    def stat(path: object, *args: object, **options: object) -> os.stat_result:
        if str(path).startswith(str(tmp_path)):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(domain.os, "stat", stat)
    assert current_domain({"HOME": str(tmp_path)}).prefix == "iox2_"


@pytest.mark.parametrize(
    ("root", "prefix", "found"),
    [("/tmp/vidéo", "v_", "é"), ("/tmp/vid*", "v_", "*"), ("/tmp/vid", "v?", "?"), ("/tmp/vid", "v\\x", "\\")],
)
@pytest.mark.proves("E4")
def test_a_character_that_iceoryx2_does_not_take_is_named(root: str, prefix: str, found: str) -> None:
    what, text = ("prefix", prefix) if found in prefix else ("root path", root)
    answer = ask("true", IOX2_VIDEO_DOMAIN=f"{root}:{prefix}")
    text, found = (json.dumps(part, ensure_ascii=False) for part in (text, found))
    expected = f'the {what} {text} of the iceoryx2 domain contains {found}; use printable ASCII without <>"|?*'
    assert all(expected in line for line in (*answer.python, answer.element)), answer
    assert len(answer.python) == 2


@pytest.mark.proves("E4")
def test_a_link_into_a_folder_that_this_user_may_not_enter_is_named(domain: Place, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    answer = ask(f"ln -s {tmp_path}/closed {domain.root}", NOBODY, HOME="/nonexistent")
    expected = (
        f"{domain.root} leads to a folder that user 65534 cannot enter; remove {domain.root}, or use another domain"
    )
    assert len(answer.python) == 2
    for line in (*answer.python, answer.element):
        assert f"in the iceoryx2 domain {domain.root}: {expected}" in line
    domain.root.unlink()


def test_a_parent_that_another_user_may_not_write_is_named(domain: Place, tmp_path: Path) -> None:
    answer = ask(
        f"mkdir {domain.root}; chmod 755 {domain.root}",
        NOBODY,
        IOX2_VIDEO_DOMAIN=f"{domain.root}/mine:{domain.prefix}",
        HOME="/nonexistent",
    )
    expected = (
        f"{domain.root} belongs to user 0 (this process runs as user 65534); run all participants as the same user, "
    )
    assert len(answer.python) == 2
    for line in (*answer.python, answer.element):
        assert f"in the iceoryx2 domain {domain.root}/mine: {expected}" in line
