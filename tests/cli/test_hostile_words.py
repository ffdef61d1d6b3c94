"""Hostile names, paths, tags and texts: no command fails, and none of them reaches the terminal unescaped."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gst_iceoryx2.sh4lt import Writer
from tests.cli.conftest import CommandLine
from tests.cli.test_list import CAM0
from tests.conftest import Place
from tests.processes.children import Child

Source = Callable[..., Child]

STEERS = "\x1b[2J\x9b\u202e"
NOT_UTF8 = os.fsdecode(b"caf\xe9")
ROW = b"0000000000000000: 00000002 00000000 00010000 0001 01 1 "

PROGRAM = """
import io, json, sys
from gst_iceoryx2.cli import main

answers = []
for arguments in json.load(sys.stdin):
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    sys.stdout, sys.stderr = out, err
    try:
        code = main(arguments, prog_name="iox2-video") or 0
    except SystemExit as end:
        code = end.code
    except BaseException as exc:
        code = f"{type(exc).__name__}: {exc}"
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("latin-1"))
    answers.append([code, *texts])
sys.stdout = sys.__stdout__
print(json.dumps(answers))
"""


class Said(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def say(line: CommandLine, *commands: list[str], **environment: str) -> list[Said]:
    """Run commands in one interpreter, which is quicker; each must end without a traceback."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=json.dumps(commands),
        env=line.environment | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = []
    for arguments, (code, *raw) in zip(commands, json.loads(done.stdout), strict=True):
        out, err = (text.encode("latin-1").decode() for text in raw)
        assert code in (0, 1, 2, 3), (arguments, code)
        assert all(c.isprintable() or c == "\n" for c in out + err), (arguments, out, err)
        # After wrong usage, the usage comes first.
        assert err.count("\n") <= (4 if err.startswith("Usage: ") else 2), (arguments, err)
        if "--json" in arguments and code == 0:
            json.dumps(json.loads(out), ensure_ascii=False).encode()
        said.append(Said(code, out, err))
    return said


@pytest.fixture
def line(iox2_video: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return a function that runs commands in a folder for their files."""
    monkeypatch.chdir(tmp_path)
    return iox2_video


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short name on tmpfs, where the keys of Sh4lt paths differ."""
    with tempfile.TemporaryDirectory(prefix="w", dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.skipif(sys.platform != "linux", reason="Sh4lt is for Linux")
@pytest.mark.proves("W1")
def test_sockets_of_any_name_are_no_reason_to_fail(line: CommandLine, folder: Path) -> None:
    """Any user can make a socket with a new line in its name; the commands must still work for every user."""
    place = os.fsencode(folder)
    names = [b"a\nb", b"\n", STEERS.encode(), b"\xe9", b" x", b"\xc2\x85", b"\n0: z z z z 1 /z", b"y\n" + ROW + b"/z"]
    caps = f'video/x-raw, format=(string)RGBA, width=(int)4, height=(int)4, note=(string)"{STEERS}"'
    with contextlib.ExitStack() as opened:
        for name in names:
            Path(os.fsdecode(place + b"/" + name)).parent.mkdir(parents=True, exist_ok=True)
            for address in (place + b"/" + name, b"\0" + place + name):
                one = opened.enter_context(socket.socket(socket.AF_UNIX))
                one.bind(address)
                one.listen()
        odd = f"{folder}/w{STEERS}{NOT_UTF8}"
        opened.enter_context(Writer(odd, caps))
        opened.enter_context(Writer(f"{folder}/w\n", caps))
        listed, *others, missing = say(
            line,
            ["list", "--json"],
            ["list"],
            ["doctor"],
            ["doctor", "--json"],
            ["info", f"sh4lt:{odd}"],
            ["info", f"sh4lt:{odd}", "--json"],
            ["top", f"sh4lt:{odd}"],
            ["view", f"sh4lt:{odd}", "--no-browser"],
            ["record", f"sh4lt:{odd}", "a.mkv"],
            ["publish", f"sh4lt:{odd}", "--test"],
            ["bridge", f"sh4lt:{odd}", f"sh4lt:{odd}"],
            ["bridge", f"sh4lt:{odd}{odd}{odd}{odd}", "cam0"],
            ["info", f"sh4lt:{folder}/{STEERS}"],
        )
    found = [stream["name"] for stream in json.loads(listed.out)["streams"]]
    assert f"sh4lt:{folder}/w{STEERS}caf\ufffd" in found
    assert r"w\x1b[2J\x9b\u202ecaf\xe9" in others[0].out
    assert r"w\x1b[2J\x9b\u202ecaf\xe9" in missing.err


@pytest.mark.proves("W1")
def test_services_processes_caps_and_metas_of_any_name_are_shown_and_steer_nothing(
    request: pytest.FixtureRequest, line: CommandLine, child: Source, domain: Place
) -> None:
    names = ["cam0", f"video/{STEERS[:4]}/frame/v2", "video/a\nb/frame/v2", "video/$(id)/frame/v2", "video/`/frame/v2"]
    liar = child("lie_with_words", names)
    assert liar.told() == "sending"
    description = next(
        path for path in domain.root.glob("services/*.service") if "VideoFrameHeader" in path.read_text()
    )
    text = description.read_text()
    for number, name in enumerate([r'"\ud800"', r'"video/\u001b\udc80/frame/v2"', f'"{"x" * 5000}"', "5", '""']):
        made_up = description.with_name(f"{domain.prefix}{str(number) * 40}.service")
        made_up.write_text(re.sub("service_name = .*", lambda _, name=name: f"service_name = {name}", text))
        made_up.chmod(0o400)
        request.addfinalizer(made_up.unlink)
    listed, _, info, *_ = say(
        line,
        ["list", "--json"],
        ["list"],
        ["info", "cam0"],
        ["info", "cam0", "--json"],
        ["info", names[1]],
        ["info", "nothing like it"],
        ["top", "--count", "1"],
        ["top", "--count", "1", "--json"],
        ["doctor"],
        ["doctor", "--json"],
        ["view", "cam0", "--snapshot", f"{STEERS}.png"],
        ["record", "cam0", f"{STEERS}{NOT_UTF8}.mkv", "--frames", "1"],
    )
    found = {stream["name"]: stream["format"] for stream in json.loads(listed.out)["streams"]}
    assert found[CAM0] == "BGR"
    assert names[1] in found
    assert r"\x1b[31m" in info.out
    done = line(_IOX2_VIDEO_COMPLETE="bash_complete", COMP_WORDS="iox2-video info ", COMP_CWORD="2")
    proposed = [name for name in done.stdout.splitlines() if not name.startswith("plain,xxx")]
    assert proposed == ["plain,cam0"], "a name that the shell would run is proposed"


@pytest.mark.proves("W1")
def test_a_file_with_tags_and_a_name_in_another_encoding_is_played(
    line: CommandLine, domain: Place, tmp_path: Path
) -> None:
    """Many old files have tags in Latin-1."""
    av = pytest.importorskip("av")
    files = []
    for suffix, codec in (("mp4", "mpeg4"), ("avi", "mpeg4"), ("mkv", "libx264")):
        plain = tmp_path / f"plain.{suffix}"
        with av.open(str(plain), "w") as container:
            container.metadata["title"] = "Cafe"
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            container.mux([*stream.encode(picture), *stream.encode(None)])
        content = plain.read_bytes()
        assert b"Cafe" in content
        files.append(f"{STEERS}{NOT_UTF8}.{suffix}")
        (tmp_path / files[-1]).write_bytes(content.replace(b"Cafe", b"Caf\xe9"))
    played = say(line, *(["publish", "cam0", "--file", file, "--fast"] for file in files))
    assert [one.code for one in played] == [0, 0, 0], played
    assert all(": 1 frame in" in one.err for one in played)
    missing = say(
        line,
        *(["publish", "cam0", option, f"no{STEERS}{NOT_UTF8}"] for option in ("--file", "--image", "--camera")),
        ["publish", "cam0", "--test", "--format", f"{STEERS}{NOT_UTF8}"],
        ["publish", f"cam0{STEERS}", "--test"],
        ["record", "cam0", f"{STEERS}{NOT_UTF8}"],
        ["record", "cam0", f"/no/{STEERS}{NOT_UTF8}.mkv", "--timeout", "0.1"],
        ["view", "cam0", "--snapshot", f"/no/{STEERS}{NOT_UTF8}.png", "--timeout", "0.1"],
        ["view", "cam0", "--token-file", f"/no/{STEERS}{NOT_UTF8}"],
        ["view", "cam0", "--no-browser", "--host", f"{STEERS}{NOT_UTF8}"],
        ["bridge", "cam0", f"zenoh:{STEERS}{NOT_UTF8}//"],
        ["bridge", "cam0", "zenoh:k", "--listen", f"tcp/{STEERS}{NOT_UTF8}"],
        [f"{STEERS}{NOT_UTF8}"],
        ["list", f"--{STEERS}{NOT_UTF8}"],
    )
    assert all(one.code in (1, 2, 3) and not one.out for one in missing)


@pytest.mark.parametrize(
    "variable", ["IOX2_VIDEO_DOMAIN", "XDG_RUNTIME_DIR", "GST_PLUGIN_PATH", "HOME", "TERM", "XDG_DATA_HOME"]
)
@pytest.mark.proves("W1")
def test_an_environment_of_any_bytes_is_no_reason_to_fail(line: CommandLine, variable: str) -> None:
    say(
        line,
        ["list"],
        ["list", "--json"],
        ["doctor"],
        ["doctor", "--json"],
        ["info", "cam0"],
        ["publish", "cam0", "--test", "--frames", "1", "--size", "64x64"],
        ["view", "cam0", "--snapshot", "a.png", "--timeout", "0.1"],
        **{variable: f"/tmp/{STEERS}{NOT_UTF8}"},
    )
