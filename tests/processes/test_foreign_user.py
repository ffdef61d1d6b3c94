"""A second user of a domain gets an error with the reason, and does not disturb the first user."""

from __future__ import annotations

import grp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._iox2.objects import node_counter
from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from gst_iceoryx2.doctor import shared_memory
from gst_iceoryx2.errors import DomainError, ServicePermissionError
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber, create_node
from tests.conftest import Place
from tests.waiting import arrived

NOBODY = "65534"
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be two users"),
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("setpriv"), reason="needs setpriv"),
]

needs_gstreamer = pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not installed")


@pytest.fixture
def plugin() -> Path:
    """Return the folder of the plugin; skip if another user cannot read it."""
    folder = plugin_library().parent
    readable = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "test", "-r", plugin_library()],
        check=False,
    )
    if readable.returncode != 0:
        pytest.skip(f"another user cannot read {folder}")
    return folder


# Live, because gst-launch-1.0 (1.22) may wait indefinitely for the preroll of a sink that failed early.
@needs_gstreamer
@pytest.mark.parametrize(
    "line", ["iceoryx2src service={} ! fakesink", "videotestsrc is-live=true ! iceoryx2sink service={}"]
)
@pytest.mark.proves("E1")
def test_an_element_of_another_user_is_refused_in_words(line: str, domain: Place, plugin: Path) -> None:
    service = "video/mine/frame/v2"
    picture = np.ones((48, 64, 3), np.uint8)
    with VideoFramePublisher(service) as publisher, VideoFrameSubscriber(service) as subscriber:
        publisher.wait_for_subscribers(1, timeout=60)
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        environment = os.environ | {"GST_PLUGIN_PATH": str(plugin), "GST_REGISTRY": f"/tmp/reg{os.getpid()}.bin"}
        try:
            ended = subprocess.run(
                [*command, "gst-launch-1.0", *line.format(service).split()],
                env=environment | {"HOME": "/nonexistent"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            Path(environment["GST_REGISTRY"]).unlink(missing_ok=True)
        assert ended.returncode in (1, 255), ended.stderr
        place = f"{domain.root} belongs to user 0 (this process runs as user 65534)"
        assert f'cannot open "{service}" in the iceoryx2 domain {domain.root}: {place}' in ended.stderr
        assert "IOX2_VIDEO_DOMAIN" in ended.stderr
        publisher.publish(picture)
        frame = arrived(subscriber.receive_blocking(60_000))
        frame.release()


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["publish cam1 --test", "bridge cam0 zenoh:k", "list"])
def test_a_command_of_another_user_is_refused_in_words(command: str, domain: Place) -> None:
    """The error is one line, not a traceback."""
    with VideoFramePublisher("video/cam0/frame/v2"):
        ended = as_nobody(sys.executable, "-m", "gst_iceoryx2", *command.split())
    if "No module named" in ended.stderr:
        pytest.skip("another user cannot read the source tree, or an extra is missing")
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith("Error: cannot "), ended.stderr
    assert f"{domain.root} belongs to user 0 (this process runs as user {NOBODY})" in ended.stderr


def test_a_camera_of_a_group_is_refused_with_the_name_of_the_group() -> None:
    """Joining the group root would not be advice, and joining a group without access would not help."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        device = Path(folder) / "video 0"
        device.touch()
        for gid, mode, hint in (
            (grp.getgrnam("video").gr_gid, 0o660, "; add yourself to its group video (`sudo usermod -aG video $USER`)"),
            (grp.getgrnam("video").gr_gid, 0o600, "\n"),
            (0, 0o660, "\n"),
        ):
            os.chown(device, 0, gid)
            device.chmod(mode)
            for command in (("cameras", str(device)), ("publish", "cam0", "--camera", str(device))):
                ended = as_nobody(sys.executable, "-m", "gst_iceoryx2", *command)
                if "No module named" in ended.stderr:
                    pytest.skip("another user cannot read the source tree, or an extra is missing")
                assert ended.returncode == 1, ended.stderr
                said = f"Error: cannot use the camera {device}: you are not permitted to open it{hint}"
                assert ended.stderr.startswith(said), ended.stderr


def plant(domain: Place, tmp_path: Path) -> list[Path]:
    """Make files that look left behind, behind links in place of iceoryx2's folders."""
    dead = str((7 << 96) | ((1 << 30) << 64) | 5)
    for folder, name in (("services", "0.service"), ("nodes", f"{dead}.node_monitor")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{domain.prefix}{name}").touch()
        os.utime(tmp_path / folder / f"{domain.prefix}{name}", (1, 1))
    domain.root.mkdir()
    (domain.root / "services").symlink_to(tmp_path / "services")
    (domain.root / "nodes").symlink_to(tmp_path / "nodes")
    return sorted(tmp_path.glob("*/*"))


@pytest.mark.proves("E5")
def test_a_clean_up_does_not_follow_links(domain: Place, tmp_path: Path) -> None:
    """Files with the prefix stay, wherever a link leads."""
    planted = plant(domain, tmp_path)
    commands = [
        [sys.executable, "-m", "gst_iceoryx2", "doctor", "--fix"],
        [sys.executable, "-m", "gst_iceoryx2._iox2.helper", str(domain.root), domain.prefix],
        [str(plugin_library().parent / "iceoryx2-cleanup"), str(domain.root), domain.prefix],
    ]
    for command in commands:
        if not command[0].endswith("iceoryx2-cleanup") or Path(command[0]).exists():
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1, command
            assert "symbolic link" in done.stdout + done.stderr, command
    assert sorted(tmp_path.glob("*/*")) == planted
    assert len(planted) == 2


@pytest.mark.parametrize("owned", ["", "nodes", "services"])
@pytest.mark.proves("E5")
def test_a_folder_of_another_user_is_refused_by_root_too(owned: str, domain: Place) -> None:
    """Its owner could choose what root removes, and what root's programs read."""
    for name in ("nodes", "services"):
        (domain.root / name).mkdir(parents=True)
    folder = domain.root / owned
    os.chown(folder, int(NOBODY), int(NOBODY))
    with pytest.raises(ServicePermissionError) as caught:
        create_node()
    assert f"{folder} belongs to user {NOBODY} (this process runs as user 0)" in str(caught.value)
    assert not domain.leftovers()


def test_a_link_of_another_user_is_not_followed(domain: Place, tmp_path: Path) -> None:
    domain.root.symlink_to(tmp_path)
    os.chown(domain.root, int(NOBODY), int(NOBODY), follow_symlinks=False)
    with pytest.raises(ServicePermissionError, match=f"{domain.root} belongs to user {NOBODY}"):
        create_node()
    domain.root.unlink()


@pytest.mark.proves("E5")
def test_the_doctor_names_what_another_user_made_for_the_prefix(domain: Place) -> None:
    """The object that every participant of the prefix opens first decides whether any can start."""
    path = node_counter(current_domain())
    create_node()
    os.chown(path, int(NOBODY), int(NOBODY))
    note = next(shared_memory.check(current_domain(), False))
    assert (note.status, note.text[:10]) == ("note", f"user {NOBODY}"[:10])
    assert "prefix" in str(note.remedy)
    path.unlink()
    path.mkdir()
    (finding,) = shared_memory.check(current_domain(), False)
    assert finding.status == "problem"
    assert finding.text.startswith(f"{path}, which every participant with prefix {domain.prefix} opens, is not a ")
    path.rmdir()


@pytest.mark.proves("E5")
def test_what_all_participants_open_can_be_closed_to_other_users(domain: Place) -> None:
    """iceoryx2 creates the node counter so that every user can overwrite it; chmod 0600 prevents that."""
    path = node_counter(current_domain())
    damage = ("sh", "-c", f": > {path}")
    with VideoFramePublisher("video/cam0/frame/v2") as publisher:
        assert as_nobody(*damage).returncode == 0
        with pytest.raises(DomainError, match="is 0 bytes long instead of 16"):
            VideoFrameSubscriber("video/cam0/frame/v2")
        path.unlink()
        with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
            path.chmod(0o600)
            assert as_nobody(*damage).returncode != 0
            assert path.stat().st_size == 16
            with VideoFrameSubscriber("video/cam0/frame/v2") as another:
                publisher.publish(np.zeros((8, 16, 3), np.uint8))
                assert subscriber.receive_blocking(60_000) is not None
                assert another.receive_blocking(60_000) is not None
