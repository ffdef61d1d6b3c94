"""`iox2-video completion`: TAB completes commands, options and the streams that exist."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_list import CAM0
from tests.processes.children import Child

Source = Callable[..., Child]


@pytest.fixture
def on_path(iox2_video: CommandLine, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `iox2-video` is a command."""
    script = tmp_path / "bin" / "iox2-video"
    script.parent.mkdir()
    program = "import sys; sys.argv[0] = 'iox2-video'; from gst_iceoryx2.cli import main; main()"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(iox2_video.command[0])} -c "{program}" "$@"\n')
    script.chmod(0o755)
    return iox2_video.environment | {
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }


def run(shell: str, program: str, environment: dict[str, str]) -> list[str]:
    done = subprocess.run([shell, *(["-f"] if shell == "zsh" else []), "-c", program], env=environment,
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def complete_in_bash(words: list[str], environment: dict[str, str]) -> list[str]:
    """Return what bash offers for the last word."""
    typed = " ".join(map(shlex.quote, words))
    return run(
        "bash",
        f'source <(iox2-video completion bash); COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; '
        '_iox2_video_completion iox2-video; echo "${COMPREPLY[@]}"',
        environment,
    )  # fmt: skip


def test_bash_completes_commands_options_and_streams(source: Source, on_path: dict[str, str]) -> None:
    source(CAM0, "video/cam1/frame/v2", "front/left", fps=5)
    assert complete_in_bash(["iox2-video", "inf"], on_path) == ["info"]
    assert complete_in_bash(["iox2-video", "list", "--j"], on_path) == ["--json"]
    assert complete_in_bash(["iox2-video", "serve", "--ch"], on_path) == ["--check"]
    assert sorted(complete_in_bash(["iox2-video", "info", "ca"], on_path)) == ["cam0", "cam1"]
    assert sorted(complete_in_bash(["iox2-video", "top", "cam0", ""], on_path)) == ["cam0", "cam1", "front/left"]
    assert complete_in_bash(["iox2-video", "info", "video/cam0"], on_path) == [CAM0]


def test_bash_offers_nothing_where_the_domain_is_broken(on_path: dict[str, str]) -> None:
    assert complete_in_bash(["iox2-video", "info", "ca"], on_path | {"IOX2_VIDEO_DOMAIN": "not/absolute"}) == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_in_their_own_way(shell: str, iox2_video: CommandLine, source: Source) -> None:
    source(CAM0, "video/cam1/frame/v2", fps=5)
    asked = {"zsh": {"COMP_WORDS": "iox2-video info ca", "COMP_CWORD": "2"},
             "fish": {"COMP_WORDS": "iox2-video info ca", "COMP_CWORD": "ca"}}  # fmt: skip
    done = iox2_video(_IOX2_VIDEO_COMPLETE=f"{shell}_complete", **asked[shell])
    assert "cam0" in done.stdout
    assert "cam1" in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed: scripts/setup does that")
def test_fish_completes_streams(source: Source, on_path: dict[str, str]) -> None:
    source(CAM0, "video/cam1/frame/v2", fps=5)
    offered = run("fish", "iox2-video completion fish | source; complete -C 'iox2-video info ca'", on_path)
    assert offered == ["cam0", "cam1"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed: scripts/setup does that")
def test_zsh_accepts_the_script(on_path: dict[str, str]) -> None:
    program = (
        "autoload -Uz compinit; compinit -D; source <(iox2-video completion zsh); "
        'print -r -- "${_comps[iox2-video]}"'
    )  # fmt: skip
    assert run("zsh", program, on_path) == ["_iox2_video_completion"]
