"""Clips of what was kept: from the command line, from Python, and by signals to `serve`."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import Clip, LookbackError, PacketPublisher, lookback
from gst_iceoryx2.packets.errors import RecordFileError, TargetError
from gst_iceoryx2.results import Box, ResultsPublisher
from gst_iceoryx2.serve.clip_rule import ClipRule
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.cli.commands import Command
from tests.pattern_encoder import PatternEncoder
from tests.serve.conftest import Serve
from tests.serve.rings import WAIT, Film, RingProcess
from tests.serve.test_keep import child_of, kept
from tests.serve.test_ring import ring as ring
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")

FILE = """
[streams.cam0]
test = true
size = "320x240"
fps = 30
keep = "30s"
h264 = { preset = "ultrafast", keyint = "500ms" }
"""
Start = Callable[..., Serve]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def numbers_in(path: Path) -> tuple[list[int], list[Fraction]]:
    """Return the numbers of the pictures in a clip, and their times in seconds."""
    with av.open(str(path)) as container:
        shown = [(read_number(picture.to_ndarray()[: picture.height]), picture.pts * picture.time_base)
                 for picture in container.decode(video=0)]  # fmt: skip
    return [number for number, _ in shown], [moment for _, moment in shown]


def are_all(numbers: list[int], stream: str = "cam0") -> bool:
    """Whether these are the numbers of all packets from the first to the last one; a busy machine may lose frames."""
    kept_numbers = [packet.sequence or 0 for packet in lookback(stream).packets()]
    return numbers == [number for number in kept_numbers if numbers[0] <= number <= numbers[-1]]


def captured(stream: str = "cam0") -> dict[int | None, int]:
    """Return the capture times of the frames that are kept."""
    return {packet.sequence: packet.captured_at or 0 for packet in lookback(stream).packets()}


def follows(number: int, stream: str = "cam0") -> int:
    """Return the capture time of the first frame after one; a busy machine may lose frames, and capture some late."""
    later: list[int] = []

    def is_there() -> bool:
        times = captured(stream)
        later[:] = [time for time in times.values() if time > times[number]]
        return bool(later)

    wait_until(is_there, WAIT)
    return min(later)


def clips_of(served: Serve) -> list[Path]:
    assert served.file is not None
    return sorted((served.file.parent / "clips").glob("*.mp4"))


# -- the command -----------------------------------------------------------------------------------------------------


def test_a_clip_has_every_frame_once_at_its_capture_time_and_begins_at_most_one_interval_early(
    serve: Start, iox2_video: Run, tmp_path: Path
) -> None:
    served = serve(FILE)
    past = kept(4.0)
    captured = {packet.sequence: packet.captured_at or 0 for packet in past.packets()}
    before = time.monotonic_ns()
    done = iox2_video("clip", "cam0", str(tmp_path / "crash.mp4"), "--before", "2s")
    after = time.monotonic_ns()
    assert done.returncode == 0, done.stderr
    numbers, times = numbers_in(tmp_path / "crash.mp4")
    assert are_all(numbers)
    captured |= {packet.sequence: packet.captured_at or 0 for packet in past.packets()}
    assert times[0] == 0
    for number, moment in zip(numbers, times, strict=True):
        assert abs(moment - Fraction(captured[number] - captured[numbers[0]], 10**9)) < 2e-6
    begin = captured[numbers[0]]
    # Never late, and no keyframe was left out.
    assert begin <= after - 2_000_000_000
    keyframes = [packet.captured_at or 0 for packet in past.packets() if packet.is_keyframe]
    (following, *_) = (at for at in keyframes if at > begin)
    assert following > before - 2_000_000_000
    words = done.stderr.splitlines()
    assert words == [f"{tmp_path}/crash.mp4: {float(times[-1]):.1f} s, {len(numbers)} frames, "
                     f"{(tmp_path / 'crash.mp4').stat().st_size / 1e3:.0f} kB"]  # fmt: skip
    # Nothing was encoded: one encoder runs, and it is not the command.
    assert len(served.children()) == 3


def test_a_clip_waits_for_what_comes_after_now(serve: Start, tmp_path: Path) -> None:
    serve(FILE)
    past = kept(1.0)
    begin = time.monotonic_ns()
    clip = past.save(tmp_path / "a.mkv", before=0.5, after=1.5)
    asked = time.monotonic_ns() - 1_500_000_000
    numbers, times = numbers_in(tmp_path / "a.mkv")
    assert clip.note is None
    assert clip.frames == len(numbers)
    assert abs(clip.seconds - times[-1]) < 0.1
    # From half a second before the call to one and a half after it; only the next frame was captured later.
    assert captured()[numbers[0]] <= asked - 500_000_000
    assert follows(numbers[-1]) > begin + 1_500_000_000
    assert clip.size == (tmp_path / "a.mkv").stat().st_size
    assert time.monotonic_ns() - begin > 1_400_000_000


def test_a_clip_that_is_longer_than_what_is_kept_has_what_is_there_and_says_so(
    serve: Start, iox2_video: Run, tmp_path: Path
) -> None:
    serve(FILE)
    kept(1.0)
    done = iox2_video("clip", "cam0", str(tmp_path / "a.mp4"), "--before", "1min")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"the first \d+\.\d s are missing: keep is 30 s", done.stderr.splitlines()[1])
    assert len(numbers_in(tmp_path / "a.mp4")[0]) > 25
    everything = iox2_video("clip", "cam0@h264", str(tmp_path / "b.mov"))
    assert len(everything.stderr.splitlines()) == 1


def test_a_clip_of_a_killed_encoder_continues(serve: Start, tmp_path: Path) -> None:
    served = serve(FILE)
    past = kept(1.0)
    first = next(iter(past.packets())).stream
    os.kill(child_of(served, b"packets"), signal.SIGKILL)
    wait_until(lambda: len({packet.stream for packet in past.packets()}) == 2, WAIT)
    kept(past.seconds + 0.5)
    packets = list(past.packets())
    clip = past.save(tmp_path / "a.mp4")
    # Its settings are the same, so one file can hold both.
    assert clip.files == (tmp_path / "a.mp4",)
    numbers, _ = numbers_in(tmp_path / "a.mp4")
    assert numbers[: len(packets)] == [packet.sequence for packet in packets]
    assert packets[0].stream == first != packets[-1].stream


def test_another_size_continues_in_a_second_file(ring: Callable[..., RingProcess], tmp_path: Path) -> None:
    one = ring().wait()
    for width in (320, 640):
        with PacketPublisher("cam0", "h264", width, 240) as publisher:
            publish_video(one, publisher, width, 20)
    clip = lookback("cam0").save(tmp_path / "a.mp4")
    assert clip.files == (tmp_path / "a.mp4", tmp_path / "a-2.mp4")
    assert clip.frames == 40
    assert str(clip).startswith(f"{tmp_path}/a.mp4, {tmp_path}/a-2.mp4: ")
    for path, width in zip(clip.files, (320, 640), strict=True):
        numbers, _ = numbers_in(path)
        assert numbers == list(range(20))
        with av.open(str(path)) as container:
            assert container.streams.video[0].width == width
    # The picture of a time has the size of that time.
    assert lookback("cam0").at(0).rgb.shape == (240, 640, 3)


def publish_video(one: RingProcess, publisher: PacketPublisher, width: int, count: int) -> None:
    """Publish pictures of the test pattern, the last of which is captured now, and wait until the ring has them."""
    before = one.packets
    encoder = PatternEncoder(10, width)
    now = time.monotonic_ns()
    for number in range(count):
        at = now - (count - 1 - number) * 1_000_000_000 // 30
        packet = encoder.encode()
        publisher.publish(packet, is_keyframe=packet.is_keyframe, pts=at, captured_at=at)
        if number in (0, count - 1):
            # A reader that joins gives nothing before the newest keyframe, so the first packet comes alone.
            wait_until(lambda number=number: one.packets == before + number + 1, WAIT)  # type: ignore[misc]


def test_packets_that_nobody_can_decode_give_no_clip_and_no_file(
    ring: Callable[..., RingProcess], tmp_path: Path
) -> None:
    ring().wait()
    with PacketPublisher("cam0", "h264", 640, 480) as publisher:
        Film(publisher).fill(1)
        with pytest.raises(LookbackError, match="30 packets are not in the clip, because they cannot be decoded"):
            lookback("cam0").save(tmp_path / "a.mp4")
    assert list(tmp_path.glob("*.mp4")) == []


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["cam0", "a.avi"], 2, "the container '.avi' is unknown"),
        (["cam0", "a.mp4", "--before", "soon"], 2, 'must be a time such as "5s"'),
        (["cam0", "a.mp4", "--after", "2h"], 2, 'must be a time up to "1h"'),
        (["zenoh:x/y", "a.mp4"], 2, "is not a service"),
        (["cam7", "a.mp4"], 3, 'no process keeps the packets of "cam7@h264"'),
        # These two were told to add a table that `serve` refuses, and that nothing was kept.
        (["cam0@160x120", "a.mp4"], 3, 'renditions are not kept, so use "cam0"'),
        (["cam0@h265", "a.mp4"], 3, 'use "cam0@h264", which is kept'),
        (["cam0", "gone/a.mp4"], 1, "cannot write gone/a.mp4: No such file or directory"),
        (["cam0", "there.mp4"], 1, "there.mp4 already exists; choose another name, or use --overwrite"),
    ],
)
def test_what_cannot_be_clipped_is_told_and_leaves_no_file(
    serve: Start, tmp_path: Path, arguments: list[str], code: int, error: str
) -> None:
    serve(FILE)
    kept()
    (tmp_path / "there.mp4").write_bytes(b"precious")
    command = Command(tmp_path, "clip", *arguments)
    assert error in command.ends(code)
    assert [path.name for path in tmp_path.glob("*.mp4")] == ["there.mp4"]
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


def test_a_clip_of_less_than_a_megabyte_states_kilobytes(tmp_path: Path) -> None:
    """A clip of 29 kB was reported as "0.0 MB"."""
    assert str(Clip((tmp_path / "a.mp4",), 4.2, 128, 29_152)).endswith("a.mp4: 4.2 s, 128 frames, 29 kB")
    assert str(Clip((tmp_path / "a.mp4",), 25.3, 759, 4_100_000)).endswith("a.mp4: 25.3 s, 759 frames, 4.1 MB")


def test_python_raises_what_the_command_tells(serve: Start, tmp_path: Path) -> None:
    serve(FILE)
    past = kept(0.5)
    with pytest.raises(TargetError):
        past.save(tmp_path / "a.avi")
    clip = past.save(tmp_path / "a.mp4")
    with pytest.raises(RecordFileError, match="already exists"):
        past.save(tmp_path / "a.mp4")
    again = past.save(tmp_path / "a.mp4", overwrite=True)
    assert again.frames >= clip.frames
    with pytest.raises(LookbackError, match="has nothing from this time"):
        past.save(tmp_path / "b.mp4", before=1000, after=-900)
    assert not (tmp_path / "b.mp4").exists()


def test_ctrl_c_ends_a_clip_that_can_be_played(serve: Start, tmp_path: Path) -> None:
    serve(FILE)
    kept(1.0)
    command = Command(tmp_path, "clip", "cam0", "a.mp4", "--before", "1s", "--after", "10min")
    wait_until(lambda: (tmp_path / "a.mp4").exists() and (tmp_path / "a.mp4").stat().st_size > 10_000, WAIT)
    command.interrupt()
    assert "a.mp4 contains what came before Ctrl-C\n" in command.ends(130)
    assert len(numbers_in(tmp_path / "a.mp4")[0]) > 15


# -- signals ---------------------------------------------------------------------------------------------------------


def test_sigusr1_writes_clips_of_all_streams_that_are_kept(serve: Start) -> None:
    text = FILE + 'clip = { before = "1s", after = "500ms" }\n'
    served = serve(text + text.replace("cam0", "cam1") + "[streams.cam2]\ntest = true\n")
    kept(2.0)
    wait_until(lambda: lookback("cam1").seconds > 2, WAIT)
    begin = time.monotonic_ns()
    served.command.interrupt(signal.SIGUSR1)
    served.command.says("cam0: ")
    wait_until(lambda: served.command.err.count(" frames, ") == 2, WAIT)
    one, other = clips_of(served)
    assert one.name.startswith("cam0-20")
    assert other.name.startswith("cam1-20")
    for path in (one, other):
        numbers, times = numbers_in(path)
        assert are_all(numbers, path.name.partition("-")[0])
        stream = path.name.partition("-")[0]
        assert captured(stream)[numbers[0]] < time.monotonic_ns() - 1_500_000_000
        assert follows(numbers[-1], stream) > begin + 500_000_000
        assert f"{path.name.partition('-')[0]}: {path}: {float(times[-1]):.1f} s, {len(numbers)} frames, " in (
            served.command.err
        )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("results:yolo person>0.8", ClipRule("yolo", "person", 0.8)),
        ("results:yolo traffic light > 0.5", ClipRule("yolo", "traffic light", 0.5)),
        ("results:yolo person", ClipRule("yolo", "person")),
        ("results:yolo >.5", ClipRule("yolo", None, 0.5)),
        (" results:a-b.c_1 ", ClipRule("a-b.c_1")),
    ],
)
def test_a_rule_names_detector_label_and_score(text: str, rule: ClipRule) -> None:
    assert ClipRule.parse(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yolo person",
        "results:",
        "results:yolo/1 x",
        "results:yolo person>",
        "results:y>x>1",
        "results:y x>nan",
        "results:y >1e999",
    ],
)
def test_another_text_is_not_a_rule(text: str) -> None:
    with pytest.raises(ValueError, match=r"results:DETECTOR LABEL>SCORE"):
        ClipRule.parse(text)


def events(times: list[int]) -> list[int]:
    """Return the times after which nothing was found for a second. On a busy machine, a find may have such a pause."""
    return [time for before, time in pairwise([-(10**9), *times]) if time - before > 10**9]


def test_each_event_that_a_detector_finds_gives_one_clip(serve: Start) -> None:
    """A find that lasts is one event; another label, and a score that is not above the rule's, are none."""
    rule = '[streams.cam0.clip]\nbefore = "1s"\nafter = "500ms"\non = "results:yolo person>0.75"\n'
    served = serve(FILE.replace('"30s"', '"300s"') + rule)
    kept(2.0)
    with VideoFrameSubscriber("video/cam0/frame/v2") as frames, ResultsPublisher("cam0", "yolo") as yolo:
        yolo.wait_for_subscribers(1, timeout=WAIT)

        def find(label: str, score: float, seconds: float) -> list[int]:
            """Find something in each frame for some seconds; return the capture times of these frames."""
            times: list[int] = []
            while not times or times[-1] - times[0] < seconds * 1e9:
                with arrived(frames.receive_blocking(WAIT * 1000)) as frame:
                    yolo.publish(frame, [Box(label, score, 1, 2, 30, 40)])
                    times.append(frame.captured_at or 0)
            return times

        find("cat", 0.99, 0.3)
        find("person", 0.75, 0.3)
        times = find("person", 0.9, 1.5)
        find("cat", 0.99, 1.5)
        times += find("person", 0.9, 0.3)
        found = events(times)
        wait_until(lambda: served.command.err.count(" frames, ") == len(found), WAIT)
        find("cat", 0.99, 0.5)
        packets = list(lookback("cam0").packets())
    clips = clips_of(served)
    assert len(clips) == len(found) >= 2
    captured = {packet.sequence: packet.captured_at or 0 for packet in packets}
    for clip, at in zip(clips, found, strict=True):
        numbers, _ = numbers_in(clip)
        # From a second before the find, and at most one interval earlier, to half a second after it.
        keyframes = [captured[packet.sequence] for packet in packets if packet.is_keyframe]
        begin = max(time for time in keyframes if time <= at - 10**9)
        expected = [number for number, time in captured.items() if begin <= time <= at + 500_000_000]
        # On a busy machine, the last packets may arrive after the second for which they are waited for.
        shared = min(len(numbers), len(expected))
        assert numbers[:shared] == expected[:shared]
        assert at in [captured[number] for number in numbers] or at not in captured.values()
        # The next frame may be there, because it tells that the time is up.
        assert len(numbers) <= len(expected) + 1


def test_clips_that_overlap_are_all_written(serve: Start) -> None:
    # Long enough for the second clip to begin in the first one.
    served = serve(FILE + 'clip = { before = "20s", after = "2s" }\n')
    kept(2.0)
    served.command.interrupt(signal.SIGUSR1)
    wait_until(lambda: len(clips_of(served)) == 1, WAIT)
    served.command.interrupt(signal.SIGUSR1)
    wait_until(lambda: served.command.err.count(" frames, ") == 2, WAIT)
    (one, _), (other, _) = map(numbers_in, clips_of(served))
    assert set(one) & set(other)
    assert are_all(one)
    assert are_all(other)


def test_a_folder_that_cannot_be_written_is_told_and_costs_no_frame(serve: Start, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file")
    served = serve(FILE + 'clip = { before = "1s", after = "0s" }\n')
    past = kept(1.0)
    served.command.interrupt(signal.SIGUSR1)
    served.command.says(f"cam0: cannot write the clip {tmp_path}/clips/cam0-")
    kept(past.seconds + 1)
    numbers = [packet.number for packet in past.packets()]
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
    # It works as soon as the folder can be written.
    (tmp_path / "clips").unlink()
    served.command.interrupt(signal.SIGUSR1)
    served.command.says(" frames, ")


def test_a_full_disk_is_told_and_the_ring_goes_on(ring: Callable[..., RingProcess], tmp_path: Path) -> None:
    one = ring(before=20.0, after=0.0).wait()
    (tmp_path / "clips").mkdir()
    with PacketPublisher("cam0", "h264", 320, 240) as publisher:
        publish_video(one, publisher, 320, 60)
        # No file of the process may have more than 8 kB, which is an error like that of a full disk.
        resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (8192, 8192))
        one.trigger()
        one.says("cannot write the clip")
        assert one.packets == 60
        assert one.process.poll() is None


def test_the_oldest_clips_are_removed(ring: Callable[..., RingProcess], tmp_path: Path) -> None:
    one = ring(before=20.0, after=0.0, max_bytes=1_000_000).wait()
    folder = tmp_path / "clips"
    folder.mkdir()
    old, other = folder / "cam0-20200101-000000.mp4", folder / "cam0-holiday.mp4"
    for path in (old, other):
        path.write_bytes(bytes(999_000))
        os.utime(path, (0, 0))
    with PacketPublisher("cam0", "h264", 320, 240) as publisher:
        publish_video(one, publisher, 320, 60)
        one.trigger()
        one.says(f"{old} was removed, because the clips in its folder have more than max_bytes")
    assert other.exists()
    assert not old.exists()
    (clip,) = set(folder.iterdir()) - {other}
    assert numbers_in(clip)[0] == list(range(60))


def test_a_clip_that_is_being_written_when_serve_stops_can_be_played_and_is_told(serve: Start) -> None:
    """The log did not tell clips and failures of the moment in which `serve` stopped."""
    served = serve(FILE + 'clip = { before = "1s", after = "10min" }\n')
    kept(2.0)
    served.command.interrupt(signal.SIGUSR1)
    wait_until(lambda: clips_of(served) and clips_of(served)[0].stat().st_size > 10_000, WAIT)
    served.command.interrupt(signal.SIGTERM)
    served.command.ends(0)
    numbers, _ = numbers_in(clips_of(served)[0])
    assert len(numbers) > 25
    assert f"{clips_of(served)[0].name}: " in served.command.err


def test_signals_while_it_stops_do_no_harm(serve: Start) -> None:
    served = serve(FILE)
    kept(0.5)
    served.command.interrupt(signal.SIGTERM)
    for _ in range(50):
        if served.command.process.poll() is None:
            served.command.interrupt(signal.SIGUSR1)
            time.sleep(0.01)
    served.command.ends(0)


def test_a_signal_without_anything_kept_is_told(serve: Start) -> None:
    served = serve("[streams.cam0]\ntest = true\n")
    served.wait_for("cam0", "off")
    served.command.interrupt(signal.SIGUSR1)
    served.command.says('no clip: no stream has "keep"')


def test_a_restart_of_the_ring_repeats_no_clip(serve: Start) -> None:
    served = serve(FILE + 'clip = { before = "1s", after = "0s" }\n')
    kept(1.5)
    served.command.interrupt(signal.SIGUSR1)
    served.command.says(" frames, ")
    pid = child_of(served, b"ring")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in served.children(), WAIT)
    kept(0.5)
    served.command.interrupt(signal.SIGHUP)
    kept(1.5)
    assert len(clips_of(served)) == 1
