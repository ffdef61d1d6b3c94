"""What all commands share: help, errors, outputs, exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from gst_iceoryx2 import cli, errors
from gst_iceoryx2.cli._outcome import outcome_of
from tests.cli.conftest import CommandLine
from tests.cli.test_list import CAM0
from tests.processes.children import ROOT, Child

Source = Callable[..., Child]
COMMANDS = list(cli.COMMANDS)


def run_in_one_interpreter(*lines: list[str]) -> str:
    """Run the command line with each list of arguments; return the heavy modules that were imported."""
    program = (
        "import sys, click, contextlib, io\n"
        "from gst_iceoryx2.cli import main\n"
        f"for arguments in {list(lines)!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "        try:\n"
        "            main(arguments)\n"
        "        except SystemExit as end:\n"
        "            code = end.code\n"
        "    assert code in (0, 2), (arguments, code)\n"
        "    heavy = {'iceoryx2', 'numpy', 'gi', 'av', 'zenoh', 'simplejpeg'} & sys.modules.keys()\n"
        "    assert not heavy, (arguments, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    return done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_wrong_usage_import_nothing_heavy(name: str) -> None:
    """Such answers should take at most 0.15 s; iceoryx2 and numpy take a tenth of a second each to import."""
    assert run_in_one_interpreter([name, "--help"], [name, "--no-such-option"]) == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_name_the_command(name: str, iox2_video: CommandLine) -> None:
    done = iox2_video(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    _, _, last = done.stdout.rpartition("Examples:\n")
    examples = last.strip().splitlines()
    assert examples
    assert all(f"iox2-video {name}" in example for example in examples), examples
    assert max(len(line) for line in done.stdout.splitlines()) <= 120


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_use_options_that_exist(name: str) -> None:
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for line in (command.epilog or "").splitlines():
        _, _, ours = line.partition(f"iox2-video {name}")
        for option in re.findall(r"(?<!\S)--[a-z-]+", ours.partition("|")[0]):
            assert option in known | {"--help"}, f"{name} has no {option}: {line}"


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["list", "--no-such-option"], ["info"], ["completion", "csh"]]
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong_on_stderr(
    arguments: list[str], iox2_video: CommandLine
) -> None:
    done = iox2_video(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_is_nearly_right_gets_a_suggestion(iox2_video: CommandLine) -> None:
    assert 'Error: no such command "lst": did you mean list?\n' in iox2_video("lst").stderr
    assert "choose from list, info, top" in iox2_video("xyzzy").stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "is empty"), ("x" * 300, "1 to 255 bytes"), ("bad\nname", "printable ASCII"), ("käse", '"ä"')],
)
def test_a_name_that_can_name_nothing_is_a_usage_error(iox2_video: CommandLine, name: str, words: str) -> None:
    for command in ("info", "top"):
        done = iox2_video(command, name)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ServiceNotFoundError, 3),
        (errors.FrameTimeoutError, 3),
        (errors.MissingExtraError, 2),
        (errors.InvalidServiceNameError, 2),
        (errors.ServicePermissionError, 1),
        (errors.OutOfSharedMemoryError, 1),
        (errors.Iox2VideoError, 1),
    ],
)
def test_an_error_of_the_sdk_ends_a_command_with_one_line_and_its_code(
    error: type[errors.Iox2VideoError], code: int
) -> None:
    ended = outcome_of(error("what failed\nand \x1b[2J what to do"))
    assert ended.exit_code == code
    assert ended.format_message() == r"what failed\nand \x1b[2J what to do"


def test_a_broken_domain_is_one_line_and_1(iox2_video: CommandLine) -> None:
    done = iox2_video("list", IOX2_VIDEO_DOMAIN="not/absolute")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == 'Error: the root path "not/absolute" of the iceoryx2 domain is not absolute\n'


def test_a_reader_that_has_seen_enough_is_not_complained_of(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    words = " ".join([*iox2_video.command, "top", "--count", "5"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -1"],
        env=iox2_video.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("cam0")
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_full_disk_is_an_error_and_no_traceback(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*iox2_video.command, "list", "--json"],
            env=iox2_video.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_version_tells_the_parts_that_have_to_fit(iox2_video: CommandLine) -> None:
    done = iox2_video("--version")
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["iox2-video", "iceoryx2", "plugin", "GStreamer"]
    assert re.search(r"^iceoryx2 0\.10\.0$", done.stdout, re.MULTILINE)


def test_the_documentation_has_a_section_for_each_command() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"\n## {name}\n" not in text] == []


@pytest.mark.skipif(not (Path(sys.executable).parent / "iox2-video").exists(), reason="not installed as a script")
def test_the_script_and_the_module_are_the_same_command(iox2_video: CommandLine) -> None:
    script = Path(sys.executable).parent / "iox2-video"
    done = subprocess.run([script, "--help"], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: iox2-video [OPTIONS] COMMAND")
    assert iox2_video("--help").stdout == done.stdout


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--json"], ["info", "cam0"], ["top", "--count", "1"], ["--help"]]
)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_outputs_are_nowhere_and_no_error(
    iox2_video: CommandLine, source: Source, arguments: list[str], closed: str
) -> None:
    source(CAM0)
    words = " ".join([*iox2_video.command, *arguments])
    done = subprocess.run(
        ["bash", "-c", f"{words} {closed}"], env=iox2_video.environment, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (closed == "2>&-")


def test_a_message_never_gets_where_data_goes(iox2_video: CommandLine) -> None:
    words = " ".join([*iox2_video.command, "info", "cam9", "2>&-"])
    done = subprocess.run(["bash", "-c", words], env=iox2_video.environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["--version"], ["completion", "bash"]])
def test_help_for_nobody_and_on_a_full_disk_ends_as_data_does(iox2_video: CommandLine, arguments: list[str]) -> None:
    words = " ".join([*iox2_video.command, *arguments])
    for target, code, said in (("| true", 0, ""), ("> /dev/full", 1, "No space left on device")):
        # The reader closes before anything is written.
        script = f"(sleep 0.3; {words}) {target}; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", script], env=iox2_video.environment, capture_output=True, text=True, check=False
        )
        assert done.stdout == f"{code}\n", done.stderr
        assert said in done.stderr
        assert done.stderr.count("\n") == code


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "cam0", "--test", "--duration"],
        ["record", "cam0", "a.mkv", "--duration"],
        ["record", "cam0", "a.mkv", "--timeout"],
        ["record", "cam0", "a.mkv", "--max-fps"],
        ["view", "cam0", "--max-fps"],
        ["view", "cam0", "--snapshot", "a.png", "--timeout"],
        ["bridge", "cam0", "cam1", "--max-fps"],
    ],
)
@pytest.mark.parametrize("value", ["nan", "0", "-1"])
def test_what_is_no_number_above_0_is_a_usage_error(iox2_video: CommandLine, arguments: list[str], value: str) -> None:
    done = iox2_video(*arguments, value)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for '{arguments[-1]}'" in done.stderr


@pytest.mark.parametrize("arguments", [["info", "zenoh:site/cam0"], ["top", "zenoh:site/cam0"]])
def test_a_key_cannot_be_looked_at_and_the_way_around_is_told(iox2_video: CommandLine, arguments: list[str]) -> None:
    done = iox2_video(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "to publish it as a service, run `iox2-video bridge zenoh:site/cam0 NAME`" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_characters_gets_the_rest(iox2_video: CommandLine, encoding: str) -> None:
    done = iox2_video("publish", "--help", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "I420, NV12, BGR" in " ".join(done.stdout.split())
    assert "Traceback" not in iox2_video("doctor", PYTHONIOENCODING=encoding).stderr
