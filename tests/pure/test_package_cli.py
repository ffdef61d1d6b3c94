"""The command line itself: help without imports, versions, `plugin-path`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gst_iceoryx2 import _plugin, cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_plugin, "_FOLDER", tmp_path)
    return tmp_path


def test_help_version_and_usage_errors_start_no_heavy_library() -> None:
    """Such answers should take at most 0.15 s; importing iceoryx2 alone takes 0.1 s."""
    program = (
        "import sys, click\n"
        "from gst_iceoryx2.cli import main\n"
        "for arguments in (['--help'], ['--version'], ['no-such-command'], ['plugin-path', '--help']):\n"
        "    try:\n"
        "        main(arguments, standalone_mode=False)\n"
        "    except click.UsageError:\n"
        "        assert arguments == ['no-such-command']\n"
        "print(sorted({'iceoryx2', 'numpy', 'gi', 'av'} & sys.modules.keys()))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_describes_itself_as_the_list_does(name: str) -> None:
    command = cli.main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(limit=200) == cli.COMMANDS[name]


def test_version_lists_the_four_parts_that_have_to_fit() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines()]
    assert names == ["iox2-video", "iceoryx2", "plugin", "GStreamer"]


def test_version_works_without_a_plugin(folder: Path) -> None:
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0
    assert "plugin none" in result.output


def test_plugin_path_prints_the_folder_and_nothing_else(folder: Path) -> None:
    (folder / _plugin._LIBRARY_NAME).touch()
    result = CliRunner().invoke(cli.main, ["plugin-path"])
    assert result.exit_code == 0
    assert result.output == f"{folder}\n"


def test_plugin_path_without_a_plugin_fails_with_the_reason_on_stderr(folder: Path) -> None:
    result = CliRunner().invoke(cli.main, ["plugin-path"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "its build has not run" in result.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli.main, ["no-such-command"])
    assert result.exit_code == 2
    assert "no-such-command" in result.stderr
