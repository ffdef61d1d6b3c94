"""What a recorder leaves of an MCAP file when the disk is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcap", reason="mcap is not installed: pip install 'iox2-video[mcap]'")

from gst_iceoryx2._extras.mcap import McapWriter
from tests.cli.mcaps import whole_messages

MIB = 1 << 20


def fill_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let one write succeed in part and the next one fail. Then there is room again."""
    real, rest = os.write, [room]

    def write(descriptor: int, data: Any) -> int:
        if rest:
            return real(descriptor, data[: rest.pop()])
        monkeypatch.undo()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)


def test_a_chunk_that_did_not_fit_is_cut_off_also_if_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of it stayed in the middle of the file, followed by an empty chunk and the index."""
    file = tmp_path / "a.mcap"
    writer = McapWriter(file)
    channel = writer.add_channel("cam0", "foxglove.RawImage", b"")
    writer.add(channel, 1, bytes(MIB))
    whole = file.stat().st_size
    fill_disk(monkeypatch, 1000)
    with pytest.raises(OSError, match="No space left"):
        writer.add(channel, 2, bytes(MIB))
    # Another thread may write results meanwhile.
    with pytest.raises(OSError, match="No space left"):
        writer.add(channel, 3, bytes(MIB))
    assert file.stat().st_size == whole + 1000
    writer.close()
    assert file.stat().st_size == whole
    assert writer.written == 1
    assert [message.log_time for message in whole_messages(file)] == [1]


def test_a_file_that_cannot_be_begun_leaves_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor stayed open until the process ended."""
    before = len(os.listdir("/proc/self/fd"))
    fill_disk(monkeypatch, 3)
    with pytest.raises(OSError, match="No space left"):
        McapWriter(tmp_path / "a.mcap")
    assert len(os.listdir("/proc/self/fd")) == before
