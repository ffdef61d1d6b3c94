"""`iox2-video record` refuses what it cannot record, and leaves files that play or none."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from tests.cli.recordings import HEIGHT, MS, WIDTH, Record, publisher


@pytest.mark.parametrize(("file", "codec", "size"), [("a.mkv", "ffv1", "2m"), ("a.mp4", "x264", "600k")])
def test_a_full_disk_is_told_and_what_fitted_plays(
    record: Record, tmp_path: Path, file: str, codec: str, size: str
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size={size} tmpfs {folder} || exit 9"
    script = f'{mount}; "$@"; code=$?; cp {folder}/{file} {tmp_path}; exit $code'
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    noise = np.random.default_rng(0)
    # At this rate, every tenth frame is a keyframe.
    with publisher(framerate=5) as sender:
        command = record("cam0", f"{folder}/{file}", "--codec", codec, prefix=prefix)
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(60):
            sender.publish(noise.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), pts=number * 40 * MS)
        said = command.ends(1)
    assert f"Error: cannot write {folder}/{file}: No space left on device" in said
    assert said.count("No space left") == 1
    frames = 0
    # The last picture may be cut off.
    with av.open(str(tmp_path / file)) as container, contextlib.suppress(av.FFmpegError):
        for _ in container.decode(video=0):
            frames += 1
    assert frames > 3


@pytest.mark.parametrize("file", ["a.mkv", "a.mp4"])
def test_a_disk_without_room_for_anything_is_told_and_no_empty_file_stays(
    record: Record, tmp_path: Path, file: str
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    fill = f"dd if=/dev/zero of={folder}/rest bs=4k 2>/dev/null"
    mount = f"mount -t tmpfs -o size=64k tmpfs {folder} || exit 9; {fill}"
    script = f'{mount}; "$@"; code=$?; ls {folder} > {tmp_path}/left; exit $code'
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    with publisher() as sender:
        command = record("cam0", f"{folder}/{file}", prefix=("unshare", "--mount", "sh", "-c", script, "sh"))
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(60):
            sender.publish(np.full((HEIGHT, WIDTH, 3), number, np.uint8), pts=number * 40 * MS)
        sender.end_of_stream()
        said = command.ends(1)
    assert "No space left on device" in said
    assert "can be played" not in said
    assert (tmp_path / "left").read_text() == "rest\n"


def test_a_file_that_exists_is_not_touched_unless_asked(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "a.mkv"
    file.write_text("precious")
    said = record("cam0", "a.mkv").ends(1)
    assert "a.mkv already exists; choose another name, or use --overwrite" in said
    # Without a frame the file is not replaced.
    record("cam0", "a.mkv", "--overwrite", "--timeout", "0.3").ends(3)
    assert file.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_told_at_once(record: Record) -> None:
    assert "cannot write /nowhere/a.mkv: No such file or directory" in record("cam0", "/nowhere/a.mkv").ends(1)
    assert "cannot write /proc/a.mkv: " in record("cam0", "/proc/a.mkv").ends(1)


def test_names_that_mean_nothing_are_usage_errors(record: Record, tmp_path: Path) -> None:
    said = record("cam0", "a.avi").ends(2)
    assert "cannot record to 'a.avi': the container '.avi' is unknown; use .mkv, .mp4, .mov or .mcap" in said
    assert ".mp4 files cannot contain prores; use .mkv or .mov, or the codec x264" in record(
        "cam0", "a.mp4", "--codec", "prores"
    ).ends(2)
    assert "'h265' is not one of" in record("cam0", "a.mkv", "--codec", "h265").ends(2)
    record("a.mkv").ends(2)
    said = record("sh4lt:/tmp/x", "a.mkv").ends(2)
    assert "sh4lt:/tmp/x is not a service; to connect it to one, run `iox2-video bridge sh4lt:/tmp/x NAME`" in said
    assert not list(tmp_path.glob("a.*"))


def test_a_stream_that_does_not_come_leaves_no_file(record: Record, tmp_path: Path) -> None:
    with publisher():
        said = record("cam1", "a.mkv", "--timeout", "0.5").ends(3)
        assert 'no such stream "cam1"' in said
        assert "did you mean cam0?" in said
        said = record("cam0", "a.mkv", "--timeout", "0.5").ends(3)
        assert "no frame from cam0 arrived within 0.5 s" in said
    assert not (tmp_path / "a.mkv").exists()


def test_tiles_are_refused_with_what_to_do(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv", "--codec", "ffv1")
        sender.wait_for_subscribers(1, timeout=60)
        sender.publish(np.zeros((64, 64), np.uint16), format="RGB16")
        said = command.ends(1)
    assert "ffv1 cannot store RGB16 without loss; use x264 or prores" in said
    assert not (tmp_path / "a.mkv").exists()
