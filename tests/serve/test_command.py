"""`iox2-video serve` without its supervisor: --check, --install and usage errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine, iox2_video
from tests.conftest import Place

__all__ = ["iox2_video"]

GOOD = '[streams.cam0]\ntest = true\nsize = "640x360"\n\n[streams.clip]\nfile = "clip.mp4"\nfps = "30000/1001"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "streams.toml"
    path.write_text(GOOD)
    return path


def test_check_prints_what_would_run(iox2_video: CommandLine, file: Path) -> None:
    done = iox2_video("serve", str(file), "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "cam0: test pattern, 640x360, on demand, stops 5 s after the last reader",
        f"clip: file {file.parent}/clip.mp4, 29.97 fps, in a loop, on demand, stops 5 s after the last reader; "
        "it does not exist now",
    ]


def test_check_prints_json(iox2_video: CommandLine, file: Path) -> None:
    document = iox2_video.json("serve", str(file), "--check", "--json")
    assert document["path"] == str(file)
    assert document["problems"] == []
    cam0, clip = document["streams"]
    assert cam0["name"] == "cam0"
    assert cam0["service"] == "video/cam0/frame/v2"
    assert (cam0["kind"], cam0["size"], cam0["fps"], cam0["exists"]) == ("test", [640, 360], None, True)
    assert (clip["fps"], clip["loop"], clip["line"], clip["exists"]) == (29.97, True, 5, False)


def test_mistakes_are_told_with_their_lines_and_the_exit_code_of_a_usage_error(
    iox2_video: CommandLine, file: Path
) -> None:
    file.write_text(f"{GOOD}[streams.cam1]\ncamra = 0\n")
    done = iox2_video("serve", str(file), "--check")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2
    first, last = done.stderr.splitlines()
    assert first.startswith(f'{file}:9: unknown key "camra" of "cam1"; did you mean "camera"?')
    assert last == f"Error: {file} has 1 mistake; the other streams would run"
    document = iox2_video("serve", str(file), "--check", "--json")
    assert document.returncode == 2
    assert '"line": 9' in document.stdout
    assert iox2_video("serve", str(file), "--install", "--print").returncode == 2
    file.write_text("[streams.cam0]\n")
    done = iox2_video("serve", str(file))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"Error: {file} has 1 mistake; no stream is left")


def test_passwords_are_not_printed(iox2_video: CommandLine, file: Path) -> None:
    file.write_text('[streams]\na.url = "rtsp://ada:s3cret@cam/1"\nb.pipeline = "rtspsrc user-pw=s3cret ! decodebin"\n')
    for options in (("--check",), ("--check", "--json")):
        done = iox2_video("serve", str(file), *options)
        assert done.returncode == 0
        assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--check",), "--check needs FILE"),
        (("--print",), "--print needs --install"),
        (("--json",), "--json needs --check"),
        (("--check", "--install"), "choose one of --check and --install"),
        (("gone.toml",), "cannot read gone.toml: No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(iox2_video: CommandLine, arguments: tuple[str, ...], text: str) -> None:
    done = iox2_video("serve", *arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_the_unit_is_printed_with_absolute_paths_and_the_domain(
    iox2_video: CommandLine, file: Path, domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    done = iox2_video("serve", "streams.toml", "--install", "--print")
    assert (done.returncode, done.stderr) == (0, "")
    assert f'" "serve" "{file}"\n' in done.stdout
    assert f'Environment="IOX2_VIDEO_DOMAIN={domain.variable}"' in done.stdout
    assert "ExecStart=" in iox2_video("serve", "--install", "--print").stdout


def test_without_a_systemd_of_the_user_the_reason_is_told(iox2_video: CommandLine, file: Path) -> None:
    done = iox2_video("serve", str(file), "--install", PATH=str(file.parent))
    assert done.returncode == 1
    assert "Error: this system has no systemctl" in done.stderr
