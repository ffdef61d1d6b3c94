"""`gst_iceoryx2.serve.load`: what a file with streams means, and what is said about mistakes."""

from __future__ import annotations

import os
import string
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gst_iceoryx2 import feed
from gst_iceoryx2.feed.flip import FLIPS
from gst_iceoryx2.feed.network import SCHEMES
from gst_iceoryx2.serve import Config, ConfigError, StreamConfig, config, feed_of, load, source_of, values
from gst_iceoryx2.serve.clip_settings import ClipSettings
from gst_iceoryx2.serve.stream import Kind
from gst_iceoryx2.serve.toml_lines import TomlLines


@pytest.fixture
def written(tmp_path: Path):
    """Write a file, and load it."""

    def write(text: str) -> Config:
        path = tmp_path / "streams.toml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return write


def only(config: Config) -> StreamConfig:
    assert [problem.text for problem in config.problems] == []
    (stream,) = config.streams
    return stream


# -- what a file means -----------------------------------------------------------------------------------------------


def test_every_setting_of_a_camera_is_read(written) -> None:
    text = """
        [streams.cam0]
        camera = "/dev/v4l/by-id/usb-046d_C920-video-index0"
        size = "1920x1080"
        fps = 30
        format = "MJPG"
        controls = { auto_exposure = "manual", exposure = 100, autofocus = false }
        flip = "180"
        stop_after = "2min"
    """
    stream = only(written(text))
    assert stream == StreamConfig(
        "cam0",
        "camera",
        "/dev/v4l/by-id/usb-046d_C920-video-index0",
        size=(1920, 1080),
        fps=Fraction(30),
        format="MJPG",
        controls={"auto_exposure": "manual", "exposure": "100", "autofocus": "0"},
        flip="180",
        stop_after=120.0,
        line=2,
    )
    assert list(stream.controls) == ["auto_exposure", "exposure", "autofocus"]
    assert stream.plan == (
        "cam0: camera /dev/v4l/by-id/usb-046d_C920-video-index0, 1920x1080 at 30 fps, MJPG, auto_exposure manual, "
        "exposure 100, autofocus 0, turned by 180 degrees, on demand, stops 2 min after the last reader"
    )
    assert StreamConfig.from_json(stream.to_json()) == stream


@pytest.mark.parametrize(
    ("line", "kind", "value", "source"),
    [
        ('camera = "/dev/video0"', "camera", "/dev/video0", "camera /dev/video0"),
        ("camera = 2", "camera", "2", "camera 2"),
        ('camera = "2"', "camera", "2", "camera 2"),
        ('file = "/a/clip.mp4"', "file", "/a/clip.mp4", "file /a/clip.mp4"),
        ('image = "/a/b.png"', "image", "/a/b.png", "image /a/b.png"),
        ("test = true", "test", "", "test pattern"),
        ('url = "rtsp://ada:pw@cam/1"', "url", "rtsp://ada:pw@cam/1", "url rtsp://***@cam/1"),
        ('rtsp = "rtsp://cam/1"', "url", "rtsp://cam/1", "url rtsp://cam/1"),
        ('pipeline = "videotestsrc ! a"', "pipeline", "videotestsrc ! a", "pipeline videotestsrc ! a"),
        ("pipeline = '''\n a !\n b'''", "pipeline", " a !\n b", "pipeline  a !\n b"),
    ],
)
def test_every_kind_of_source_is_read(written, line: str, kind: str, value: str, source: str) -> None:
    stream = only(written(f"[streams.cam0]\n{line}"))
    assert (stream.kind, stream.value, stream.source) == (kind, value, source)
    assert "\n" not in stream.plan
    assert StreamConfig.from_json(stream.to_json()) == stream


def test_passwords_are_shown_nowhere_but_reach_the_worker(written) -> None:
    stream = only(written('[streams.cam0]\nurl = "rtsp://ada:s3cret@cam/1"'))
    assert "s3cret" not in f"{stream} {stream!r} {stream.plan} {stream.source}"
    assert StreamConfig.from_json(stream.to_json()).value == "rtsp://ada:s3cret@cam/1"
    for line in ('url = "rstp://ada:s3cret@cam/1"', "url = 'rtsp//ada:s3cret@cam'", "pipeline = 'a user-pw=s3cret !'"):
        (problem,) = written(f"[streams.cam0]\n{line}").problems
        assert "s3cret" not in problem.text


def test_relative_paths_belong_to_the_folder_of_the_file(
    written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    names = {"clip.mp4": str(tmp_path / "clip.mp4"), "~/clip.mp4": "/home/ada/clip.mp4", "/a/b": "/a/b"}
    for name, path in names.items():
        assert only(written(f'streams.a.file = "{name}"')).value == path
    assert only(written('streams.a.camera = "./link"')).value == f"{tmp_path}/./link"
    monkeypatch.chdir(tmp_path)
    loaded = load("streams.toml")
    assert loaded.path == tmp_path / "streams.toml"
    assert only(loaded).value == f"{tmp_path}/./link"


def test_a_file_is_played_in_a_loop_unless_it_says_otherwise(written) -> None:
    assert only(written('streams.a.file = "/a"')).loop
    once = only(written('streams.a = { file = "/a", loop = false, always = true }'))
    assert once.plan == "a: file /a, once, always on"
    assert not only(written("streams.a.test = true")).loop


def test_the_encoder_of_a_stream_has_settings(written) -> None:
    table = '[streams.a.h264]\npreset = "fast"\nbitrate = "2.5M"\nkeyint = "500ms"'
    stream = only(written(f"[streams.a]\ntest = true\n{table}"))
    assert dict(stream.h264) == {"preset": "fast", "bitrate": 2_500_000, "keyint": 0.5}
    assert stream.plan.endswith("h264 with preset fast and bitrate 2500000 and keyint 0.5")
    assert StreamConfig.from_json(stream.to_json()) == stream
    assert dict(only(written("[streams.a]\ntest = true\nh264 = { crf = 18 }")).h264) == {"crf": 18.0}
    stream = only(written("[streams.a]\ntest = true\nh264 = { encoder = 'v4l2h264enc ! h264parse' }"))
    assert stream.plan.endswith("h264 with encoder v4l2h264enc ! h264parse")


def test_the_last_seconds_of_a_stream_can_be_kept(written) -> None:
    stream = only(written('[streams.a]\ntest = true\nkeep = "1min"\nkeep_bytes = "0.5G"'))
    assert (stream.keep, stream.keep_bytes) == (60.0, 500_000_000)
    assert stream.plan == "a: test pattern, always on, the last 1 min kept (at most 500 MB)"
    assert StreamConfig.from_json(stream.to_json()) == stream
    stream = only(written("[streams.a]\ntest = true\nkeep = 30"))
    assert (stream.keep, stream.keep_bytes) == (30.0, 64_000_000)
    assert only(written("[streams.a]\ntest = true")).keep is None


def test_clips_of_a_stream_have_settings(written, tmp_path: Path) -> None:
    table = '[streams.a.clip]\nbefore = "10s"\nafter = 2\nfolder = "x"\nname = "{time:%H}.mkv"\nmax_bytes = "1G"'
    stream = only(written(f"[streams.a]\ntest = true\nkeep = 30\n{table}"))
    settings = ClipSettings(**stream.clip)
    assert settings == ClipSettings(f"{tmp_path}/x", 10.0, 2.0, "{time:%H}.mkv", 1_000_000_000)
    assert StreamConfig.from_json(stream.to_json()) == stream
    # A clip is not longer than what is kept.
    stream = only(written("[streams.a]\ntest = true\nkeep = 15"))
    assert ClipSettings(**stream.clip) == ClipSettings(f"{tmp_path}/clips", before=15.0)
    assert ClipSettings(**only(written("[streams.a]\ntest = true\nkeep = 60")).clip).before == 20.0


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [("5", 5, "5 s"), ('"5s"', 5, "5 s"), ('"2 min"', 120, "2 min"), ('"1h"', 3600, "1 h"), ("0.5", 0.5, "0.5 s"),
     ('"250ms"', 0.25, "0.25 s"), ('"90"', 90, "90 s"), ("0", 0, "0 s")],
)  # fmt: skip
def test_times_have_units(written, text: str, seconds: float, shown: str) -> None:
    stream = only(written(f"streams.a = {{ test = true, stop_after = {text} }}"))
    assert stream.stop_after == seconds
    assert f"stops {shown} after the last reader" in stream.plan


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30", Fraction(30)),
        ("29.97", Fraction(2997, 100)),
        ('"30000/1001"', Fraction(30000, 1001)),
        ("0.5", Fraction(1, 2)),
    ],
)
def test_rates_are_numbers_or_fractions(written, text: str, rate: Fraction) -> None:
    assert only(written(f"streams.a = {{ test = true, fps = {text} }}")).fps == rate


def test_names_are_short_full_or_quoted(written) -> None:
    text = (
        '[streams]\n"front left".test = true\n"video/cam1/frame/v2".test = true\n"a/b".test = true\n"x@y".test = true'
    )
    streams = written(text).streams
    assert [stream.name for stream in streams] == ["front left", "cam1", "a/b", "x@y"]
    assert [stream.service for stream in streams] == ["video/front left/frame/v2", "video/cam1/frame/v2", "a/b",
                                                      "video/x@y/frame/v2"]  # fmt: skip


# -- mistakes --------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("[streams.a]\ncamra = 1", 2, 'unknown key "camra" of "a"; did you mean "camera"? known: camera, file, url, rtsp,'),
    ("[streams.a]\ntest = true\nqqq = 1", 3, 'unknown key "qqq" of "a"; known: camera, '),
    ("[streams.a]\n\n[streams.b]\ntest = true", 1, '"a" has no source; add one of camera, file, url, rtsp, pipeline,'),
    ("[streams.a]\ntest = true\nfile = 'x'", 3, '"a" has 2 sources: test, file; keep one of them'),
    ("[streams.a]\ntest = false", 2, '"test" of "a" is false; leave it out, and name another source'),
    ("[streams.a]\ntest = 'yes'", 2, '"test" of "a" must be true or false without quotes, not "yes"'),
    ("[streams.a]\ntest = true\nloop = true", 3, '"loop" of "a" needs file, not test'),
    ("[streams.a]\nfile = 'x'\ncontrols = {}", 3, '"controls" of "a" needs camera, not file'),
    ("[streams.a]\nurl = 'rtsp://x'\nfps = 3", 3, '"fps" of "a" needs camera, file, image or test, not url'),
    (
        "[streams.a]\npipeline = 'a'\nsize = '1x1'",
        3,
        '"size" of "a" needs camera, file, image, test or url, not pipeline',
    ),
    ("[streams.a]\ntest = true\nalways = true\nstop_after = 1", 4, '"stop_after" of "a" has no meaning with "always"'),
    ("[streams.a]\ntest = true\nsize = 640", 3, '"size" of "a" must be a text such as "1920x1080", not 640'),
    ("[streams.a]\ntest = true\nsize = '640'", 3, '"size" of "a" is "640"; write width and height in pixels'),
    ("[streams.a]\ntest = true\nsize = '0x480'", 3, '"size" of "a" is "0x480"; width and height can be 1 to 32768'),
    ("[streams.a]\ntest = true\nsize = '40000x1'", 3, "width and height can be 1 to 32768"),
    ("[streams.a]\ntest = true\nfps = 0", 3, '"fps" of "a" must be a number such as 30 or 29.97, or a fraction'),
    ("[streams.a]\ntest = true\nfps = '1/0'", 3, 'at most 1000, not "1/0"'),
    ("[streams.a]\ntest = true\nfps = 1001", 3, "at most 1000, not 1001"),
    ("[streams.a]\ntest = true\nfps = inf", 3, "at most 1000, not inf"),
    ("[streams.a]\ntest = true\nfps = true", 3, "at most 1000, not true"),
    ("[streams.a]\ntest = true\nfps = '1e999999999'", 3, 'at most 1000, not "1e999999999"'),
    ("[streams.a]\ntest = true\nfps = 2020-01-01", 3, "at most 1000, not a date or time"),
    (f"[streams.a]\ntest = true\nfps = 0x{'f' * 5000}", 3, "at most 1000, not a huge number"),
    (
        "[streams.a]\ntest = true\nformat = 'NV13'",
        3,
        'is "NV13", which is not a raw video format; did you mean "NV12"?',
    ),
    ("[streams.a]\ncamera = 0\nformat = 'MJPEG'", 3, "a camera's own formats have four characters, such as MJPG"),
    ("[streams.a]\ncamera = 0\nflip = 90", 3, '"flip" of "a" must be 180, horizontal or vertical, not 90'),
    (
        "[streams.a]\ncamera = 'video0'",
        2,
        '"camera" of "a" is "video0"; write a path such as "/dev/video0", or a number',
    ),
    ("[streams.a]\ncamera = -1", 2, '"camera" of "a" must be a path such as "/dev/video0", or a number, not -1'),
    ("[streams.a]\ntest = true\nh264 = 3", 3, '"h264" of "a" must be a table such as { preset = "fast" }, not 3'),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\npreset = 'slwo'",
        4,
        '"preset" in "h264" of "a" must be ultrafast, superfast, veryfast, faster, fast, medium, slow, slower or '
        'veryslow, not "slwo"',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\nprest = 'slow'",
        4,
        'unknown key "prest" in "h264" of "a"; did you mean "preset"? known: preset, crf, bitrate, keyint, encoder',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\ncrf = 52",
        4,
        '"crf" in "h264" of "a" must be a number from 0 (best) to 51, not 52',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\nbitrate = 4000",
        4,
        '"bitrate" in "h264" of "a" must be a text such as "4M" or "800k" (bits per second), not 4000',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\nkeyint = '0s'",
        4,
        '"keyint" in "h264" of "a" must be a time from "100ms" to "60s", not "0s"',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\nencoder = 'x264enc'\ncrf = 20",
        5,
        '"crf" in "h264" of "a" is for x264; with "encoder", write properties of that element',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\nencoder = 'x264enc !'",
        4,
        '"encoder" in "h264" of "a" begins or ends with "!"; leave it out, because source and sink are added',
    ),
    (
        '[streams.a]\ntest = true\n[streams.a.h264]\nencoder = "x264enc \'x"',
        4,
        '"encoder" in "h264" of "a" cannot be split into words: no closing quotation',
    ),
    (
        "[streams.a]\ntest = true\n[streams.a.h264]\nbitrate = '4M'\ncrf = 20",
        5,
        '"h264" of "a" has "crf" (quality) and "bitrate"; keep one of them',
    ),
    ("[streams.a]\ntest = true\nkeep = 0.5", 3, '"keep" of "a" must be a time from "1s" to "1h", not 0.5'),
    ("[streams.a]\ntest = true\nkeep = true", 3, '"keep" of "a" must be a time such as "5s", "2min" or "1h"'),
    ("[streams.a]\ntest = true\nkeep_bytes = '64M'", 3, '"keep_bytes" of "a" needs "keep", such as keep = "30s"'),
    (
        "[streams.a]\ntest = true\nkeep = 30\nkeep_bytes = '900k'",
        4,
        '"keep_bytes" of "a" must be a text such as "64M" or "2G" (bytes, at least "1M"), not "900k"',
    ),
    ("[streams.a]\ntest = true\nclip = {}", 3, '"clip" of "a" needs "keep", such as keep = "30s"'),
    ("[streams.a]\ntest = true\nkeep = 30\nclip = 3", 4, '"clip" of "a" must be a table such as { before = "20s" }'),
    (
        "[streams.a]\ntest = true\nkeep = 30\n[streams.a.clip]\nbefore = 40",
        5,
        '"before" in "clip" of "a" is 40 s, but "keep" is only 30 s',
    ),
    (
        "[streams.a]\ntest = true\nkeep = 30\n[streams.a.clip]\non = 'x'",
        5,
        '"on" in "clip" of "a" must have the form "results:DETECTOR LABEL>SCORE", such as "results:yolo person>0.8"',
    ),
    (
        "[streams.a]\ntest = true\nkeep = 30\n[streams.a.clip]\non = 'results:yolo person>high'",
        5,
        '"on" in "clip" of "a" has the score "high", which is not a finite number; write "results:DETECTOR LABEL',
    ),
    (
        "[streams.a]\ntest = true\nkeep = 30\n[streams.a.clip]\nname = 'a.mp4'",
        5,
        '"name" in "clip" of "a" needs the time of the clip, such as {time:%Y%m%d-%H%M%S}',
    ),
    ("[streams.a]\ncamera = 0\ncontrols = 3", 3, '"controls" of "a" must be a table such as { exposure = 100 }, not 3'),
    (
        "[streams.a]\ncamera = 0\n[streams.a.controls]\nx = 1.5",
        4,
        'control "x" of "a" must be a whole number, true, false',
    ),
    ("[streams.a]\nfile = ''", 2, '"file" of "a" is empty'),
    ("[streams.a]\nfile = 3", 2, '"file" of "a" must be a text in quotes, not 3'),
    ('[streams.a]\nfile = "a\\u0000b"', 2, r'"file" of "a" contains the control character \x00'),
    ("[streams.a]\nurl = 'rstp://x'", 2, '"url" of "a" begins with "rstp"; did you mean "rtsp"? known: rtsp, '),
    ("[streams.a]\nurl = 'x'", 2, '"url" of "a" is "x"; write an address such as "rtsp://192.168.1.20/stream1"'),
    ("[streams.a]\npipeline = 'a !'", 2, '"pipeline" of "a" ends with "!"; leave it out'),
    ('[streams.a]\npipeline = "a \'b"', 2, '"pipeline" of "a" cannot be split into words: no closing quotation'),
    ("[streams.a]\ntest = true\nstop_after = 'soon'", 3, 'must be a time such as "5s", "2min" or "1h", or a number of'),
    ("[streams.a]\ntest = true\nstop_after = -1", 3, "or a number of seconds, not -1"),
    ("[streams.a]\ntest = true\nstop_after = nan", 3, "or a number of seconds, not nan"),
    ("[streams]\n'cam0@h264'.test = true", 2, '"cam0@h264" is reserved for video that is encoded with h264'),
    (
        "[streams]\n'a@640x640-RGB'.test = true",
        2,
        '"a@640x640-RGB" is a rendition, which is made from "a" when a reader',
    ),
    ("[streams]\n'a@0x0'.test = true", 2, 'cannot make "a@0x0": the width is 0'),
    ("[streams]\n'zenoh:a'.test = true", 2, '"zenoh:a" is not a service; choose a name without "zenoh:"'),
    ("[streams]\n''.test = true", 2, "empty"),
    ("[streams]\n'\u00e4'.test = true", 2, "ASCII"),
    (f"[streams]\n{'a' * 300}.test = true", 2, "255"),
    ("[streams]\na.test = true\n'video/a/frame/v2'.test = true", 3, "is the same service as the stream in line 2"),
    ("[streams]\na.b.test = true", 2, 'unknown table "b" in "a"; a name with a dot is written "[streams."a.b"]"'),
    ("[streams]\na = 3", 2, '"a" must be a table; write "[streams.a]" once'),
    ("[[streams.a]]\ntest = true", 1, '"a" must be a table; write "[streams.a]" once'),
    ("streams = 3", 1, '"streams" must be a table; write "[streams.cam0]" above the keys of a stream'),
    ("\n# nothing\n", 1, 'no streams; write "[streams.cam0]", and below it, for example, "test = true"'),
    ("[stream.a]\ntest = true", 1, 'unknown key "stream"; did you mean "streams"? known: streams'),
    ("x = 1\n[a]\ntest = true\n[streams.b]\ntest = true", 2, 'unknown table "a"; write "[streams.a]"'),
]


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES)
@pytest.mark.proves("D6")
def test_a_mistake_is_told_with_its_line_and_what_to_write(
    written, tmp_path: Path, text: str, line: int, said: str
) -> None:
    problems = written(text).problems
    assert any(problem.line == line and said in problem.text for problem in problems), problems
    assert all(problem.text.startswith(f"{tmp_path}/streams.toml:{problem.line}: ") for problem in problems)


@pytest.mark.proves("D6")
def test_a_mistake_is_told_once_and_the_other_streams_remain(written) -> None:
    loaded = written("[streams.a]\ncamra = 1\n[streams.b]\ntest = true\n[streams.c]\nfile = ''\nsize = 'x'")
    assert [stream.name for stream in loaded.streams] == ["b"]
    assert [problem.line for problem in loaded.problems] == [2, 6, 7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[streams.a]\ncamera = /dev/video0", ':2: not valid TOML: invalid value; a text needs quotes: key = "text" ('),
        ("[streams.a]\n[streams.a]", ":2: not valid TOML: [streams.a] is declared twice"),
        ("a = 1\na = 2", ":2: not valid TOML: the key is given twice"),
        ("a = { b = 1,\nc = 2 }", ":1: not valid TOML: invalid initial character for a key part; { … } must be on one"),
        ("a = [\n\n", ":3: not valid TOML: "),
        (f"a = {'[' * 100_000}", ":1: not valid TOML: its values are nested too deeply"),
        (f"a = {'9' * 5000}", ":1: not valid TOML: "),
    ],
)  # fmt: skip
def test_a_file_that_is_not_toml_is_an_error_with_its_line(written, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(text)
    assert str(caught.value).startswith(f"{tmp_path}/streams.toml{said}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read gone\.toml: No such file or directory"):
        load("gone.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)
    (tmp_path / "a").write_bytes(b"[streams.a]\n# \xff")
    with pytest.raises(ConfigError, match="a:2: not a text in UTF-8: byte 0xff"):
        load(tmp_path / "a")
    with pytest.raises(ConfigError, match="is not a list of streams: it is larger than 1 MiB"):
        load("/dev/zero")


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf[streams.a]\r\ntest = true\r\nfsp = 1\r\n")
    (problem,) = load(tmp_path / "a").problems
    assert problem.line == 3


# -- any text --------------------------------------------------------------------------------------------------------

WORDS = [
    *config._SOURCES,
    *config._SETTINGS,
    "camra",
    "a",
    "@",
    "cam0@h264",
    "x@1x1",
    "sh4lt:/a",
    "",
    "é",
    "\x00",
    "video/a/frame/v2",
]
GOOD = ["640x480", "30/1", "NV12", "5s", "180", "rtsp://a@b", "a ! b", "''", "~x/y"]
TEXTS = st.one_of(st.sampled_from([*WORDS, *GOOD]), st.text(max_size=8))
KEYS = st.one_of(st.sampled_from(WORDS), st.text(max_size=5))


def toml(text: str) -> str:
    """Return a text as a basic string in TOML."""
    return '"' + "".join(f"\\U{ord(c):08x}" if not 0xD800 <= ord(c) < 0xE000 else "?" for c in text) + '"'


VALUES: Any = st.recursive(
    st.one_of(
        TEXTS.map(toml),
        st.integers(-(1 << 70), 1 << 70).map(str),
        # Integers with more digits than Python prints.
        st.integers(1, 5000).map(lambda digits: f"0x{'f' * digits}"),
        st.floats().map(lambda number: repr(number)),
        st.sampled_from(["true", "false", "1979-05-27 07:32:00", "07:32:00", '"""\n[a]\n"""', "'''#'''"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[\n{', '.join(items)} # x\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda items: f"{{ {', '.join(f'{toml(key)} = {value}' for key, value in items.items())} }}"
        ),
    ),
    max_leaves=4,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)
DOCUMENTS = st.dictionaries(KEYS, TABLES, max_size=4).map(
    lambda tables: "\n".join(
        line
        for name, table in tables.items()
        for line in (f"[streams.{toml(name)}]", *(f"{toml(key)} = {value}" for key, value in table.items()))
    )
)


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        loaded = load(path)
    except ConfigError:
        return
    for problem in loaded.problems:
        assert problem.text.startswith(f"{path}:{problem.line}: ")
        assert problem.text.isprintable()
        assert 1 <= problem.line <= data.count(b"\n") + 1
    for stream in loaded.streams:
        assert StreamConfig.from_json(stream.to_json()) == stream
        assert stream.plan.splitlines() == [stream.plan]
    assert loaded.streams or loaded.problems


@given(st.one_of(st.binary(), st.text().map(str.encode), DOCUMENTS.map(str.encode)))
@settings(max_examples=400)
def test_any_file_loads_or_has_problems(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    check(tmp_path_factory.getbasetemp() / f"any{os.getpid()}.toml", data)


BARE = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=4)
LITERAL = st.text(string.printable, max_size=8).filter(lambda text: text.isprintable() and "'" not in text)
NAMES = st.one_of(BARE, TEXTS.map(toml), LITERAL.map("'{}'".format))


@given(st.lists(st.tuples(NAMES, VALUES, st.sampled_from(["", "# [x]\n", "\n\n", "  "])), max_size=8))
@settings(max_examples=400)
def test_keys_are_found_in_their_lines(entries: list[tuple[str, str, str]]) -> None:
    text, expected = "[ 'a b' . c ]\n", []
    for number, (name, value, before) in enumerate(entries):
        text += before
        expected.append((f"k{number}", text.count("\n") + 1))
        text += f'k{number} . "{number}" . {name} = {value} # "\n'
    lines = TomlLines(text)
    for (key, line), (name, _, _) in zip(expected, entries, strict=True):
        parsed = config.parse_toml(f"{name} = 1")
        assert lines.of("a b", "c", key, key[1:], *parsed) == line
        assert lines.of("a b", "c", key, "gone") == line
    assert lines.of("a b", "gone") == 1


# -- what runs -------------------------------------------------------------------------------------------------------


def test_the_tables_of_this_module_are_those_of_the_sources() -> None:
    assert values._FLIPS == FLIPS
    assert values._URL_SCHEMES == SCHEMES
    assert set(config._SOURCES.values()) == set(get_args(Kind))


def test_every_kind_becomes_its_source(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as container:
        track = container.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        container.mux(track.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(track.encode(None))
    test = source_of(StreamConfig("a", "test", "", size=(64, 48), fps=Fraction(25), format="NV12"))
    assert test.shape == feed.Shape(64, 48, "NV12", Fraction(25))
    for kind, made in (("file", feed.VideoFile), ("image", feed.Image)):
        source = source_of(StreamConfig("a", kind, str(clip), size=(32, 24), format="RGB"))  # type: ignore[arg-type]
        assert isinstance(source, made)
        assert (source.shape.width, source.shape.height, source.shape.format) == (32, 24, "RGB")
        source.close()
    with pytest.raises(feed.SourceError, match="cannot use the camera /dev/null"):
        source_of(StreamConfig("a", "camera", "/dev/null"))
    with pytest.raises(feed.SourceError, match="connection refused"):
        source_of(StreamConfig("a", "url", "rtsp://127.0.0.1:1/x"))
    with pytest.raises(ValueError, match="is a pipeline"):
        source_of(StreamConfig("a", "pipeline", "videotestsrc"))


def test_a_stream_becomes_the_work_that_publishes_it(domain) -> None:
    work = feed_of(StreamConfig("a", "test", "", size=(64, 48)))
    assert isinstance(work, feed.Feeder)
    work.stop()
    work.run()
    assert work.report().service == "video/a/frame/v2"
