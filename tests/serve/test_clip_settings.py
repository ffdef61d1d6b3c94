"""Names of clips, and which of them are removed when there are too many."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from gst_iceoryx2.serve.clip_settings import ClipSettings, wrong_pattern

AT = datetime(2026, 12, 1, 4, 43, 55)


def test_a_name_has_the_stream_and_the_time() -> None:
    settings = ClipSettings("/clips")
    assert settings.file_name("cam0@h264", AT) == "cam0-20261201-044355.mp4"
    # A folder in the name of a stream is none of a file.
    assert settings.file_name("a/../../b@h264", AT) == "a_.._.._b-20261201-044355.mp4"
    assert ClipSettings("/clips", name="{time:%H.%M} {stream}.MKV").file_name("x@y@h264", AT) == "04.43 x@y.MKV"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("{stream}.mp4", "needs the time of the clip, such as {time:%Y%m%d-%H%M%S}"),
        ("{time:%H}.avi", "must end in .mp4, .mkv or .mov"),
        ("{stream", "is not a pattern (expected '}' before end of string)"),
        ("{stream.__class__}{time:%H}.mp4", 'contains the field "stream.__class__"'),
        ("{time.year}.mp4", 'contains the field "time.year"'),
        ("{0}{time:%H}.mp4", 'contains the field "0"'),
        ("{stream!r}{time:%H}.mp4", 'contains the field "stream"'),
        ("{stream:9999999999}{time:%H}.mp4", 'contains the field "stream"'),
        ("{time}.mp4", 'has the time ""; write it with'),
        ("{time:x}.mp4", 'has the time "x"; write it with'),
        ("{time:%Y/%m}.mp4", "must be the name of a file"),
        ("{time:%D}.mp4", 'has the time "%D"'),
        ("{time:{stream}}.mp4", 'has the time "{stream}"'),
        ("../{time:%H}.mp4", "must be the name of a file, without a folder"),
        (".{time:%H}.mp4", "must be the name of a file, without a folder"),
    ],
)
def test_a_wrong_pattern_is_told(name: str, error: str) -> None:
    assert error in (wrong_pattern(name) or "nothing")


def made(folder: Path, name: str, age: int, size: int = 100) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, ns=(0, 10**18 - age * 10**9))
    return path


def test_the_oldest_clips_go_and_no_other_files(tmp_path: Path) -> None:
    settings = ClipSettings(str(tmp_path), max_bytes=250)
    clips = [
        made(tmp_path, "cam0-20261201-044355.mp4", 50),
        made(tmp_path, "cam0-20261201-044355-2.mp4", 40),
        made(tmp_path, "cam0-20261201-044356.mp4", 30),
        made(tmp_path, "cam0-20261201-044357.mp4", 20),
    ]
    others = [
        made(tmp_path, name, 90, 10_000)
        for name in (
            "cam0-holiday.mp4", "cam0.mp4", "cam0-20261201-044355.mkv", "cam1-20261201-044355.mp4",
            "cam0-20261399-044355.mp4", "cam0-20261201-044355-x.mp4", "my cam0-20261201-044355.mp4", "notes.txt",
        )
    ]  # fmt: skip
    (tmp_path / "cam0-20261201-000000.mp4").symlink_to(others[0])
    (tmp_path / "cam0-20261201-000001.mp4").mkdir()
    assert settings.remove_oldest("cam0@h264", ()) == clips[:2]
    assert [path.exists() for path in clips] == [False, False, True, True]
    assert all(path.exists() for path in others)
    assert settings.remove_oldest("cam0@h264", ()) == []


def test_a_clip_that_is_being_written_stays(tmp_path: Path) -> None:
    settings = ClipSettings(str(tmp_path), max_bytes=150)
    old, new = made(tmp_path, "cam0-20261201-044355.mp4", 50), made(tmp_path, "cam0-20261201-044356.mp4", 20)
    assert settings.remove_oldest("cam0@h264", {old}) == [new]
    assert old.exists()


def test_a_folder_that_does_not_exist_has_no_clips(tmp_path: Path) -> None:
    assert ClipSettings(str(tmp_path / "gone"), max_bytes=1).remove_oldest("cam0@h264", ()) == []
